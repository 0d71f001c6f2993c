#include "experiments/run/interrupt.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <string_view>

namespace lamp::experiments {
namespace {

StopRequest request{0};
std::atomic<bool> guard_is_on{false};
static_assert(std::atomic<bool>::is_always_lock_free);
std::atomic<pid_t> owner{0};  // who says something of a signal: not a process that it has forked

std::string_view what_first, what_second;  // of the guard; written before `guard_is_on` is

/// One line in pieces, by what a signal handler may call.
class Line {
 public:
  /// On a terminal the line begins below a bar and the "^C" beside it.
  Line() {
    if (::isatty(STDERR_FILENO) != 0) put("\n");
  }
  Line& put(std::string_view text) {
    for (const char c : text)
      if (size_ < bytes_.size()) bytes_[size_++] = c;
    return *this;
  }
  Line& put_number(int number) {
    static_assert(SIGINT < 100 && SIGTERM < 100);
    if (number >= 10) put(digits.substr(static_cast<std::size_t>(number / 10), 1));
    return put(digits.substr(static_cast<std::size_t>(number % 10), 1));
  }
  void write() const { static_cast<void>(!::write(STDERR_FILENO, bytes_.data(), size_)); }

 private:
  static constexpr std::string_view digits = "0123456789";
  std::array<char, 384> bytes_{};
  std::size_t size_ = 0;
};

[[noreturn]] void end_at_once(int signal) {
  Line line;
  line.put("lamp: stopped by signal ").put_number(signal);
  if (guard_is_on)
    line.put(" at once; lost: ").put(what_second).put("; run the same command again to continue\n");
  else
    line.put("; what it was doing is lost: run the same command again\n");
  line.write();
  ::_exit(128 + signal);
}

/// For who sits before it, and may press the keys again.
void announce() {
  if (::isatty(STDERR_FILENO) == 0) return;
  Line line;
  line.put("lamp: ").put(what_first).put("; a second Ctrl-C ends at once and costs ");
  line.put(what_second).put("\n").write();
}

extern "C" void handle(int signal) {
  if (::getpid() != owner) return;
  const int error_number = errno;
  int none = 0;
  if (!guard_is_on || !request.compare_exchange_strong(none, signal)) end_at_once(signal);
  announce();
  errno = error_number;
}

}  // namespace

void handle_interrupts() {
  owner = ::getpid();
  struct sigaction action {};
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
}

InterruptGuard::InterruptGuard(std::string_view doing, std::string_view cost) {
  what_first = doing, what_second = cost;
  request = 0;
  guard_is_on = true;
}

InterruptGuard::~InterruptGuard() { guard_is_on = false; }

const StopRequest& stop_request() { return request; }

}  // namespace lamp::experiments
