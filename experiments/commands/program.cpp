#include "experiments/commands/program.hpp"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>

#include "core/base/target.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments {

int run_program(int argc, char** argv, int (*call)(const Arguments&)) {
  try {
    const Arguments arguments(argv + std::min(argc, 1), argv + argc);
    if (const char* target = std::getenv("LAMP_TARGET"); target != nullptr)
      if (const Result<void> forced = force_target(target); !forced)
        return report("LAMP_TARGET", forced.error());
    const int code = call(arguments);
    std::cout.flush();
    if (std::cout) return code;
    std::cerr << "lamp: writing to standard output failed\n";
    return static_cast<int>(ExitCode::io);
  } catch (const std::bad_alloc&) {
    std::cerr << "lamp: out of memory; use fewer threads, a smaller model or shorter sequences\n";
    return static_cast<int>(ExitCode::out_of_memory);
  } catch (const std::exception& error) {
    std::cerr << "lamp: internal error, please report: " << one_line(error.what()) << '\n';
    return static_cast<int>(ExitCode::internal);
  }
}

}  // namespace lamp::experiments
