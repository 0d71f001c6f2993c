#include "experiments/commands/text.hpp"

#include <array>
#include <cstdio>
#include <sstream>

namespace lamp::experiments {

std::string wrapped(std::string_view text, std::size_t indent, std::size_t column) {
  std::string out;
  std::istringstream words{std::string(text)};
  for (std::string word; words >> word;) {
    if (!out.empty() && column + 1 + word.size() > text_width) {
      out.append("\n").append(indent, ' ');
      column = indent;
    } else if (!out.empty()) {
      out += ' ', ++column;
    }
    out += word, column += word.size();
  }
  return out;
}

std::string bytes_text(double bytes) {
  constexpr std::array units{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024.0 && unit + 1 < units.size(); ++unit) bytes /= 1024.0;
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), unit > 0 && bytes < 10.0 ? "%.1f %s" : "%.0f %s", bytes,
                units[unit]);
  return text.data();
}

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.resize(width, ' ');
  return text;
}

}  // namespace lamp::experiments
