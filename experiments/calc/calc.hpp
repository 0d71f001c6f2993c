// `lamp calc`: single operations of the toolkit as a filter, JSON Lines in, JSON Lines out
// (commands/calc.md).
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>

namespace lamp::experiments {

struct CalcAnswer {
  std::string json;  // one line, without its end
  bool ok = true;    // false: json is {"error": ".."}
};

/// Answers one line.
CalcAnswer calc_line(std::string_view line);

/// Answers every line that is not empty, in order, each as soon as it is read. Exit code: 0, 65 if
/// a line was bad, 74 if the output could not be written.
int calc_command(std::istream& in, std::ostream& out);

}  // namespace lamp::experiments
