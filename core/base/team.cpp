#include "core/base/team.hpp"

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace lamp {
namespace {

/// Waits until `value` is no longer `old`: awake for so many looks, then asleep.
void wait_while(const std::atomic<std::uint32_t>& value, std::uint32_t old, int looks) {
  for (int look = 0; look < looks; ++look) {
    if (value.load(std::memory_order_acquire) != old) return;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

/// Parts of a meeting that nobody has taken yet, in one word, so that who comes late to a meeting
/// takes nothing of the next one by mistake.
struct Open {
  std::uint64_t meeting : 32, parts : 16, next : 16;
};

}  // namespace

// The caller takes whatever part no other has taken: where others have the cores it does all by
// itself, and waits for nobody who has not begun.
struct Team::Others {
  /// Some ten microseconds, in which the next site mostly comes; none where members wait for each
  /// other's core.
  int looks;
  std::atomic<std::uint32_t> meeting{0};  // number of the last one
  std::atomic<Open> open{Open{0, 0, 0}};
  std::atomic<std::uint32_t> done{0};  // parts of it
  std::atomic<bool> last{false};
  // Of the meeting; written by the caller while no part of one is under way.
  const void* work = nullptr;
  Call call = nullptr;
  std::mutex mutex;  // thrown
  std::exception_ptr thrown;
  std::vector<std::jthread> threads;

  explicit Others(int looks_) : looks(looks_) {}
  Others(const Others&) = delete;
  Others& operator=(const Others&) = delete;
  ~Others() {
    last = true;
    begin();
  }

  void begin() {
    meeting.fetch_add(1, std::memory_order_release);
    meeting.notify_all();
  }

  /// Does parts of the meeting that is on until all are taken.
  void do_parts() {
    for (Open now = open.load(std::memory_order_acquire); now.next < now.parts;) {
      Open then = now;
      ++then.next;
      if (!open.compare_exchange_weak(now, then, std::memory_order_acq_rel)) continue;
      try {
        call(work, now.next);
      } catch (...) {
        const std::lock_guard lock(mutex);
        thrown = std::current_exception();
      }
      if (done.fetch_add(1, std::memory_order_acq_rel) + 1 == now.parts) done.notify_one();
      now = open.load(std::memory_order_acquire);
    }
  }

  void member() {
    for (std::uint32_t seen = 0; !last; wait_while(meeting, seen, looks)) {
      seen = meeting.load(std::memory_order_acquire);
      if (!last) do_parts();
    }
  }
};

Team::Team(std::size_t size, double least_work)
    : size_(std::max<std::size_t>(size, 1)), least_work_(least_work) {
  expects(size_ < (std::size_t{1} << 16), "Team: below 2^16 threads");
  if (size_ == 1) return;
  others_ = std::make_unique<Others>(size_ <= std::thread::hardware_concurrency() ? 2000 : 0);
  for (std::size_t i = 1; i < size_; ++i)
    others_->threads.emplace_back([others = others_.get()] { others->member(); });
}

Team::~Team() = default;
Team::Team(Team&&) noexcept = default;
Team& Team::operator=(Team&&) noexcept = default;

void Team::meet(std::size_t parts, const void* work, Call call) {
  Others& others = *others_;
  expects(others.work == nullptr, "Team: one piece of work at a time");
  others.work = work, others.call = call;
  others.done.store(0, std::memory_order_relaxed);
  Open open = others.open.load(std::memory_order_relaxed);
  open = {(open.meeting + 1) & 0xFFFFFFFFU, parts & 0xFFFFU, 0};
  others.open.store(open, std::memory_order_release);
  others.begin();
  others.do_parts();
  for (std::uint32_t done = others.done.load(std::memory_order_acquire); done != parts;
       done = others.done.load(std::memory_order_acquire))
    wait_while(others.done, done, others.looks);
  others.work = nullptr;
  if (others.thrown) std::rethrow_exception(std::exchange(others.thrown, nullptr));
}

}  // namespace lamp
