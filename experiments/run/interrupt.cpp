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
std::atomic<bool> guarded{false};
static_assert(std::atomic<bool>::is_always_lock_free);
std::atomic<pid_t> owner{0};  // who says something of a signal: not a process that it has forked

constexpr std::string_view
    nothing_kept = "; what it was doing is lost: run the same command again\n",
    second_signal =
        " at once; what it was doing is lost (the cells that a run was computing, and those "
        "finished in the last 30 s): run the same command again to continue\n";

/// One line, by what a signal handler may call.
[[noreturn]] void end_at_once(int signal, std::string_view words) {
  constexpr std::string_view begin = "lamp: stopped by signal ";
  std::array<char, 256> line{};
  std::size_t size = 0;
  const auto put = [&](std::string_view text) {
    for (const char c : text) line[size++] = c;
  };
  static_assert(begin.size() + 2 + second_signal.size() < line.size());
  static_assert(SIGINT < 100 && SIGTERM < 100);
  put(begin);
  if (signal >= 10) line[size++] = static_cast<char>('0' + signal / 10);
  line[size++] = static_cast<char>('0' + signal % 10);
  put(words);
  static_cast<void>(!::write(STDERR_FILENO, line.data(), size));
  ::_exit(128 + signal);
}

extern "C" void handle(int signal) {
  if (::getpid() != owner) return;
  const int error_number = errno;
  int none = 0;
  if (!guarded) end_at_once(signal, nothing_kept);
  if (!request.compare_exchange_strong(none, signal)) end_at_once(signal, second_signal);
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

InterruptGuard::InterruptGuard() {
  request = 0;
  guarded = true;
}

InterruptGuard::~InterruptGuard() { guarded = false; }

const StopRequest& stop_request() { return request; }

}  // namespace lamp::experiments
