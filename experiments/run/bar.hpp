// A bar on a terminal: one line that is written over and over, and so must fit on one.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace lamp::experiments {

/// Columns of the terminal that standard error is; 80 where it does not say.
std::size_t terminal_columns();

/// "[####....] first, second  where" in less than `columns` columns: where it does not fit, `where`
/// is cut and left out, then half of the bar, then all of it, then the last of `words`, and so on.
/// `share` is in [0, 1]; negative: it is not known, and there is no bar. Words are ASCII.
std::string bar_line(double share, const std::vector<std::string>& words, const std::string& where,
                     std::size_t columns);

/// Writes the line over the one before.
void draw_over(const std::string& line);

}  // namespace lamp::experiments
