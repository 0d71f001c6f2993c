#include "experiments/commands/program.hpp"

#include <algorithm>
#include <array>
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
#include "experiments/commands/out_of_memory.hpp"
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

/// One line on standard error; the exit code.
int ended(ExitCode code, const std::string& message) {
  std::cerr << speaker.data() << one_line(message) << '\n';
  return static_cast<int>(code);
}

int guarded(int argc, char** argv, int (*call)(const Arguments&)) {
  handle_interrupts();
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond `ulimit -f` then fails, as one on a full disk
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
  end_well_without_memory(speaker.data());
  const int code = guarded(argc, argv, call);
  command_has_ended();
  return code;
}

}  // namespace lamp::experiments
