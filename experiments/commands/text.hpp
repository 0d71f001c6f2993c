// Plain output for people, 80 to 100 columns wide.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lamp::experiments {

inline constexpr std::size_t text_width = 96;

/// Words wrapped at text_width; lines after the first begin with `indent` blanks. `column`: where
/// the text will begin.
std::string wrapped(std::string_view text, std::size_t indent, std::size_t column);

/// "1.5 GiB", "212 MiB", "3 KiB", "17 bytes".
std::string bytes_text(double bytes);

/// The text with blanks behind it, at least `width` characters of ASCII.
std::string padded(std::string text, std::size_t width);

}  // namespace lamp::experiments
