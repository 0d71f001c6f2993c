// Options of a command as the command line gives them: what parsing the options of all commands has
// in common.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace CLI {
class App;
}

namespace lamp::experiments {

using Arguments = std::vector<std::string>;

/// One line on standard error; the exit code of a usage error.
int usage_error(std::string_view command, const std::string& message);

/// Parses the options of one command; an exit code where that ends the program (help, or a usage
/// error).
std::optional<int> parse(CLI::App& app, std::string_view command, const Arguments& arguments);

inline constexpr std::size_t most_threads = 1024;

/// The value of --threads, which the app knows; all cores where it was not given.
Result<std::size_t> thread_count(const CLI::App& app, const std::string& text);

/// A number in (0, 1]: decimal, the whole text.
std::optional<double> parse_fraction(std::string_view text);

}  // namespace lamp::experiments
