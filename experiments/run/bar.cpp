#include "experiments/run/bar.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "core/model/files/text.hpp"

namespace lamp::experiments {
namespace {

constexpr std::size_t whole_bar = 24, half_bar = 12, least_where = 12;

/// Columns that a character takes: two of any that is not ASCII, which is no less than it takes.
std::size_t columns_of(std::string_view character) { return character.size() == 1 ? 1 : 2; }

/// The beginning of a text that takes at most `columns`; of UTF-8 whole characters.
std::string cut(std::string_view text, std::size_t columns) {
  std::string kept;
  while (!text.empty()) {
    const std::string_view character =
        text.substr(0, std::max<std::size_t>(shown_length(text.substr(0, 4)), 1));
    if (columns_of(character) > columns) break;
    columns -= columns_of(character);
    kept += character;
    text.remove_prefix(character.size());
  }
  return kept;
}

/// Nothing where the share is not known.
std::string drawn(double share, std::size_t width) {
  if (share < 0.0) return {};
  const auto filled =
      static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(width));
  return "[" + std::string(filled, '#') + std::string(width - filled, '.') + "] ";
}

std::string joined(const std::vector<std::string>& words, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += (i == 0 ? "" : ", ") + words[i];
  return text;
}

}  // namespace

std::size_t terminal_columns() {
  struct winsize size {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::string bar_line(double share, const std::vector<std::string>& words, const std::string& where,
                     std::size_t columns) {
  const std::size_t room = columns == 0 ? 0 : columns - 1;  // the last one would begin a new line
  std::string whole = drawn(share, whole_bar) + joined(words, words.size());
  if (whole.size() + 2 + least_where <= room && !where.empty())
    return whole + "  " + cut(where, room - whole.size() - 2);
  if (whole.size() <= room) return whole;
  for (std::size_t count = words.size(); count > 0; --count)
    for (const std::string& bar : {drawn(share, half_bar), std::string()})
      if (std::string line = bar + joined(words, count); line.size() <= room) return line;
  return cut(joined(words, std::min<std::size_t>(words.size(), 1)), room);
}

void draw_over(const std::string& line) {
  std::fprintf(stderr, "\r%s\033[K", line.c_str());
  std::fflush(stderr);
}

}  // namespace lamp::experiments
