#include "experiments/commands/program.hpp"

#include <gmp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "core/base/system_error.hpp"
#include "core/base/target.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/config/value.hpp"
#include "experiments/run/interrupt.hpp"

namespace lamp::experiments {
namespace {

/// What a line of an error begins with: "lamp run: ". Kept from the start, since the command that
/// fails for want of memory can ask for none.
std::array<char, 32> speaker{"lamp: "};

void name_speaker(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command.empty() || command.size() > 16 ||
      command.find_first_not_of("abcdefghijklmnopqrstuvwxyz") != std::string_view::npos)
    return;
  std::snprintf(speaker.data(), speaker.size(), "lamp %s: ", argv[1]);
}

/// Takes no memory to say so.
int out_of_memory() {
  std::array<char, 128> line{};
  const int length = std::snprintf(
      line.data(), line.size(),
      "%sout of memory; use fewer threads, a smaller model or shorter sequences\n", speaker.data());
  static_cast<void>(!::write(STDERR_FILENO, line.data(), static_cast<std::size_t>(length)));
  return static_cast<int>(ExitCode::out_of_memory);
}

/// Whether run_program has returned. HDF5 1.10 calls exit(-1), without a word, in places where it
/// is refused memory.
std::atomic<bool> returned{false};

void at_exit() {
  if (!returned) ::_exit(out_of_memory());
}

/// GMP, and with it MPFR, would abort where memory is refused; an exception through its frames
/// would leave its numbers half made.
void* gmp_allocate(std::size_t size) {
  void* const memory = std::malloc(size);
  return memory != nullptr ? memory : (::_exit(out_of_memory()), nullptr);
}
void* gmp_reallocate(void* old, std::size_t, std::size_t size) {
  void* const memory = std::realloc(old, size);
  return memory != nullptr ? memory : (::_exit(out_of_memory()), nullptr);
}

/// One line on standard error; the exit code.
int ended(ExitCode code, const std::string& message) {
  std::cerr << speaker.data() << one_line(message) << '\n';
  return static_cast<int>(code);
}

int guarded(int argc, char** argv, int (*call)(const Arguments&)) {
  handle_interrupts();
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond `ulimit -f` then fails, as one on a full disk
  mp_set_memory_functions(gmp_allocate, gmp_reallocate, nullptr);
  try {
    const Arguments arguments(argv + std::min(argc, 1), argv + argc);
    if (const char* target = std::getenv("LAMP_TARGET"); target != nullptr)
      if (const Result<void> forced = force_target(target); !forced)
        return report("LAMP_TARGET", forced.error());
    const int code = call(arguments);
    std::cout.flush();
    if (std::cout) return code;
    return ended(ExitCode::io, "writing to standard output failed");
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const std::length_error&) {  // of a container: more than the address space
    return out_of_memory();
  } catch (const std::system_error& error) {  // no thread can be made
    const std::error_code code = error.code();
    if (code.category() != std::generic_category() && code.category() != std::system_category())
      return ended(ExitCode::internal,
                   std::string("internal error, please report: ") + error.what());
    return ended(exit_code(code.value(), Role::input), system_words(code.value()));
  } catch (const std::exception& error) {
    return ended(ExitCode::internal, std::string("internal error, please report: ") + error.what());
  }
}

}  // namespace

int run_program(int argc, char** argv, int (*call)(const Arguments&)) {
  name_speaker(argc, argv);
  std::atexit(at_exit);
  const int code = guarded(argc, argv, call);
  returned = true;
  return code;
}

}  // namespace lamp::experiments
