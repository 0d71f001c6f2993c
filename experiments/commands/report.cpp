#include <charconv>
#include <iostream>

#include "experiments/commands/commands.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments {

int report(std::string_view command, const Error& error) {
  std::cerr << "lamp " << command << ": " << one_line(error.message) << '\n';
  return static_cast<int>(error.code);
}

std::optional<std::size_t> parse_count(std::string_view text, std::size_t min, std::size_t max) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < min || value > max)
    return std::nullopt;
  return value;
}

}  // namespace lamp::experiments
