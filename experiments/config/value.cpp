#include "experiments/config/value.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "core/model/files/text.hpp"
#include "experiments/config/suggestions.hpp"

namespace lamp::experiments {
namespace {

std::string number_text(double x) {
  std::array<char, 32> text{};
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), x);
  expects(error == std::errc{}, "number_text: a binary64 number has at most 24 characters");
  return {text.data(), end};
}

constexpr std::size_t shown = 60;  // bytes of a value that an error quotes

/// A byte's hexadecimal digits.
std::string two_digits(char c) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  const auto byte = static_cast<unsigned char>(c);
  return {digits[byte >> 4], digits[byte & 15]};
}

}  // namespace

std::string to_string(const Problem& problem) {
  std::string text = problem.key.empty() ? std::string() : problem.key + ": ";
  text += problem.message;
  if (!problem.legal.empty()) text += "; legal: " + problem.legal;
  return text + did_you_mean(problem.suggestion);
}

std::string describe(const Value& value) {
  struct {
    std::string operator()(const Unsupported&) const { return "a date, a time or null"; }
    std::string operator()(bool x) const { return x ? "true" : "false"; }
    std::string operator()(std::int64_t x) const { return "the integer " + std::to_string(x); }
    std::string operator()(double x) const { return "the number " + toml_number(x); }
    std::string operator()(const std::string& x) const {
      return "the string " + toml_string(x.size() <= shown ? x : x.substr(0, shown) + "...");
    }
    std::string operator()(const Value::List& x) const {
      return x.empty() ? "an empty list" : "a list";
    }
    std::string operator()(const Value::Table&) const { return "a table"; }
  } constexpr words;
  return std::visit(words, value.data);
}

std::string toml_number(double x) {
  if (std::isnan(x)) return "nan";
  if (std::isinf(x)) return x > 0 ? "inf" : "-inf";
  std::string text = number_text(x);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string toml_string(std::string_view text) {
  std::string quoted;
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    const auto byte = static_cast<unsigned char>(c);
    quoted += byte < 0x20 || byte == 0x7F ? "\\u00" + two_digits(c) : std::string(1, c);
  }
  return '"' + quoted + '"';
}

std::string shell_word(const std::string& word) {
  if (!word.empty() && word.find_first_of(" \t\n\"'\\$`*?[]{}()<>|&;#~!") == std::string::npos)
    return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string shell_line(std::span<const std::string> words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + shell_word(word);
  return line;
}

std::string one_line(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = shown_length(text.substr(0, 4));
    const bool c1 = length == 0 && !first_invalid_utf8(text.substr(0, 2)) && text[0] == '\xC2';
    out +=
        length > 0 ? std::string(text.substr(0, length))
        : c1       ? "\\u00" + two_digits(text[1])
             : (static_cast<unsigned char>(text[0]) < 0x80 ? "\\u00" : "\\x") + two_digits(text[0]);
    text.remove_prefix(c1 ? 2 : std::max<std::size_t>(length, 1));
  }
  return out;
}

std::string join(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> parts(1);
  for (const char c : path) {
    if (c == '.')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

}  // namespace lamp::experiments
