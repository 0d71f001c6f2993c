// A config before it has types: a tree of values that remember where they were written, and the
// problems found in it.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/result.hpp"

namespace lamp::experiments {

/// Place of a value: source 0 is the config file, source k the k-th --set. Line and column count
/// from 1; a column is a character, also a tab.
struct Where {
  std::size_t source = 0;
  std::size_t line = 0;
  std::size_t column = 0;
  friend auto operator<=>(const Where&, const Where&) = default;
};

struct Entry;
struct Unsupported {};  // dates and times of TOML, null of JSON

struct Value {
  using List = std::vector<Value>;
  using Table = std::vector<Entry>;
  std::variant<Unsupported, bool, std::int64_t, double, std::string, List, Table> data;
  Where where{};

  template <class T>
  [[nodiscard]] const T* get() const {
    return std::get_if<T>(&data);
  }
};

struct Entry {
  std::string key;
  Value value;
  Where where{};  // of the key
};

/// What is wrong with one key, before its file, line and column are put in front.
struct Problem {
  std::string key;
  std::string message;
  std::string legal{};
  std::string suggestion{};
  std::optional<Where> where{};  // absent: the place of the key
};

/// "key: message; legal: ...; did you mean "..."?"
std::string to_string(const Problem& problem);

/// `the string "4"`, `the number 4.0`, `a list`: what was found where something else is legal.
std::string describe(const Value& value);

/// A number as TOML writes it: shortest digits that read back the same, with a point or an
/// exponent.
std::string toml_number(double x);
/// A TOML basic string.
std::string toml_string(std::string_view text);

/// Control characters and bytes that are not UTF-8 escaped (\uNNNN, \xNN), so that an error stays
/// one line and a terminal shows it as it is.
std::string one_line(std::string_view text);

/// A word as one types it in a shell: in quotes where it needs them.
std::string shell_word(const std::string& word);
/// A command line as one could type it again.
std::string shell_line(std::span<const std::string> words);

/// "a, b, c"
std::string join(std::span<const std::string> words);

/// Parts of a dotted path: "a.b" is {"a", "b"}.
std::vector<std::string> split_path(std::string_view path);

}  // namespace lamp::experiments
