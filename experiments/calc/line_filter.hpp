// A command as a function of lines: it reads them on its standard input and answers on its standard
// output.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace lamp::experiments {

/// Runs `command` by /bin/sh, gives it `input` and returns the lines it answers, without their
/// ends. Input is written while answers are read, so neither side waits for the other, and the
/// command may keep its answers until its input ends. Its standard error is ours. The error says
/// how the command ended, where that was not with exit code 0.
Result<std::vector<std::string>> run_filter(const std::string& command, std::string_view input);

}  // namespace lamp::experiments
