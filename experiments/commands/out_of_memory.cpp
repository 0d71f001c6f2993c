#include "experiments/commands/out_of_memory.hpp"

#include <gmp.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

#include "core/base/result.hpp"

namespace lamp::experiments {
namespace {

const char* begins_line = "lamp: ";
std::atomic<bool> ended_by_itself{false};

[[noreturn]] void end() { ::_exit(out_of_memory()); }

/// malloc has said so to this thread, and no failed call since has said anything else: what comes
/// of it may be far from where memory was refused.
bool was_refused_memory() { return errno == ENOMEM; }

/// HDF5 1.10 calls exit(-1), without a word, in some places where it is refused memory.
void at_exit() {
  if (!ended_by_itself) end();
}

/// In others it follows a null pointer, frees what it has not, or fails to say that it failed until
/// the stack is full. Any other crash stays one.
void at_crash(int signal) {
  if (was_refused_memory()) end();
  std::signal(signal, SIG_DFL);  // the instruction that crashed is executed again
}

/// std::filesystem is refused memory inside functions that must not throw.
void at_terminate() {
  if (was_refused_memory()) end();
  if (const std::exception_ptr error = std::current_exception(); error != nullptr) {
    try {
      std::rethrow_exception(error);
    } catch (const std::bad_alloc&) {
      end();
    } catch (...) {
    }
  }
  std::abort();
}

void watch_crashes() {
  alignas(std::max_align_t) static std::array<std::byte, std::size_t{1} << 16> memory;
  stack_t stack{};
  stack.ss_sp = memory.data();
  stack.ss_size = memory.size();
  ::sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_handler = at_crash;
  action.sa_flags = SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGSEGV, SIGABRT}) {
    struct sigaction present {};
    ::sigaction(signal, nullptr, &present);
    if (present.sa_handler == SIG_DFL)  // else it is a sanitizer's
      ::sigaction(signal, &action, nullptr);
  }
}

/// GMP, and with it MPFR, would abort; an exception through its frames would leave its numbers half
/// made.
void* gmp_allocate(std::size_t size) {
  void* const memory = std::malloc(size);
  return memory != nullptr ? memory : (end(), nullptr);
}
void* gmp_reallocate(void* old, std::size_t, std::size_t size) {
  void* const memory = std::realloc(old, size);
  return memory != nullptr ? memory : (end(), nullptr);
}

}  // namespace

void end_well_without_memory(const char* speaker) {
  begins_line = speaker;
  std::atexit(at_exit);
  std::set_terminate(at_terminate);
  watch_crashes();
  mp_set_memory_functions(gmp_allocate, gmp_reallocate, nullptr);
}

void command_has_ended() { ended_by_itself = true; }

int out_of_memory() {
  std::array<char, 128> line{};
  const int length = std::snprintf(
      line.data(), line.size(),
      "%sout of memory; use fewer threads, a smaller model or shorter sequences\n", begins_line);
  static_cast<void>(!::write(STDERR_FILENO, line.data(), static_cast<std::size_t>(length)));
  return static_cast<int>(ExitCode::out_of_memory);
}

}  // namespace lamp::experiments
