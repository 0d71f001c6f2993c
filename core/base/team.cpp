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

}  // namespace

struct Team::Others {
  /// Some ten microseconds, in which the next site mostly comes; none where members wait for each
  /// other's core.
  int looks;
  std::atomic<std::uint32_t> meeting{0};  // number of the last one; all members come to each
  std::atomic<std::uint32_t> absent{0};   // others that have not ended it
  // Written by the caller before a meeting.
  std::size_t parts = 0;
  const void* work = nullptr;
  Call call = nullptr;
  bool last = false;
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

  void do_part(std::size_t part) {
    if (part >= parts) return;
    try {
      call(work, part);
    } catch (...) {
      const std::lock_guard lock(mutex);
      thrown = std::current_exception();
    }
  }

  void member(std::size_t part) {
    for (std::uint32_t before = 0;; ++before) {
      wait_while(meeting, before, looks);
      if (last) return;
      do_part(part);
      if (absent.fetch_sub(1, std::memory_order_acq_rel) == 1) absent.notify_one();
    }
  }
};

Team::Team(std::size_t size, double least_work)
    : size_(std::max<std::size_t>(size, 1)), least_work_(least_work) {
  if (size_ == 1) return;
  others_ = std::make_unique<Others>(size_ <= std::thread::hardware_concurrency() ? 2000 : 0);
  for (std::size_t part = 1; part < size_; ++part)
    others_->threads.emplace_back([others = others_.get(), part] { others->member(part); });
}

Team::~Team() = default;
Team::Team(Team&&) noexcept = default;
Team& Team::operator=(Team&&) noexcept = default;

void Team::meet(std::size_t parts, const void* work, Call call) {
  Others& others = *others_;
  expects(others.work == nullptr, "Team: one piece of work at a time");
  others.parts = parts, others.work = work, others.call = call;
  others.absent.store(static_cast<std::uint32_t>(size_ - 1), std::memory_order_relaxed);
  others.begin();
  others.do_part(0);
  for (std::uint32_t absent = others.absent.load(std::memory_order_acquire); absent != 0;
       absent = others.absent.load(std::memory_order_acquire))
    wait_while(others.absent, absent, others.looks);
  others.work = nullptr;
  if (others.thrown) std::rethrow_exception(std::exchange(others.thrown, nullptr));
}

}  // namespace lamp
