// What the programs of this project have in common around their commands.
#pragma once

#include "experiments/commands/arguments.hpp"

namespace lamp::experiments {

/// Calls a command with the program's arguments, in the instruction set that LAMP_TARGET names;
/// failures that nobody handles, and of standard output, become one line and an exit code.
int run_program(int argc, char** argv, int (*call)(const Arguments&));

}  // namespace lamp::experiments
