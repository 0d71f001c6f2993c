// Values for the keys of a config, most of them legal: from the list of keys itself, where it says
// what is legal, and from a few words where it says so in prose.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/model/site.hpp"
#include "experiments/config/fields.hpp"
#include "tests/fuzz/harness.hpp"

namespace lamp::fuzz {

template <class List>
auto one_of(const List& list, Random& random) {
  return list[random() % std::size(list)];
}

inline std::string in_string(std::string_view word) { return '"' + std::string(word) + '"'; }

inline constexpr std::array format_words{
    "ps1",
    "ps4",
    "ps7",
    "ps23",
    "binary16",
    "bfloat16",
    "binary32",
    "binary64",
    "tf32",
    "e4m3fn",
    "e5m2",
    "e2m1",
    "mxfp4",
    "mxfp8",
    "posit16",
    "int8",
    "{p = 8, emin = -126, emax = 127}",
    "{p = 2, emin = 0, emax = 2, infinities = false, nan = false, overflow = \"max\"}",
    "{p = 30, emin = -5, emax = 60, subnormals = false}"};
inline constexpr std::array order_words{
    "sequential", "reverse",    "pairwise:1",  "pairwise:8",   "blocked:4",      "blocked:64",
    "lanes:4",    "lanes:16",   "split:2",     "panels:128,8", "kahan",          "neumaier",
    "exact",      "tree:(0 1)", "numpy-sum:8", "multiterm:4",  "lane-tree:(0 1)"};
inline constexpr std::array arithmetic_words{"low", "high", "rest", "soft", "single", "a"};
inline constexpr std::array number_words{"0",    "1",   "2",    "3",     "4",     "7",    "8",
                                         "16",   "64",  "255",  "0.0",   "0.01",  "0.5",  "1.0",
                                         "1.5",  "2.0", "1e-3", "-1",    "1e300", "nan",  "inf",
                                         "-0.0", "99",  "23",   "65536", "0x10",  "1_000"};

/// A number from the range of a key, or any.
inline std::string number_of(const experiments::Field& field, Random& random) {
  if (random() % 4 == 0 || !(field.max > field.min)) return one_of(number_words, random);
  const double u = static_cast<double>(random() % 1024) / 1024;
  const double width = std::min(field.max - field.min, random() % 2 == 0 ? 8.0 : 1000.0);
  const double x = field.min + u * width;
  if (field.kind == experiments::Kind::integer)
    return std::to_string(static_cast<std::int64_t>(std::min(std::max(x, -9e15), 9e15)));
  return experiments::toml_number(x);
}

inline std::string site_word(Random& random) { return std::string(one_of(sites, random).name); }

/// A key of the list with names in the place of its '*'.
inline std::string any_key(Random& random) {
  const experiments::Field& field = one_of(experiments::fields(), random);
  const std::string key(field.key);
  const std::size_t star = key.find('*');
  if (star == std::string::npos) return key;
  std::string name = key.starts_with("arithmetic") || key.starts_with("cost")
                         ? std::string(one_of(arithmetic_words, random))
                         : site_word(random);
  if (key.starts_with("lamp.layer"))
    name = (random() % 2 == 0 ? "0." : "1.head.2.") + name;
  else if ((key.starts_with("plan") || key.starts_with("store")) && random() % 3 == 0)
    name = (random() % 2 == 0 ? "layer.0." : "layer.1.head.3.") + name;
  if (key.starts_with("grid")) name = "arithmetic.low.mu";
  return experiments::path_of(field.key, name);
}

/// A value as TOML.
inline std::string value_of_key(std::string_view key, Random& random) {
  using experiments::Kind;
  if (random() % 32 == 0) return one_of(number_words, random);
  const experiments::FieldMatch match = experiments::find_field(key);
  if (match.field == nullptr) return in_string(one_of(arithmetic_words, random));
  const experiments::Field& field = *match.field;
  if (key == "schema_version") return "1";
  const bool is_list = field.kind == Kind::list;
  if (key.ends_with(".rule") && random() % 4 == 0)
    return random() % 2 == 0 ? "\"python:r.py:f\"" : "\"python:/bin/sh:g\"";
  if (!field.choices.empty()) {
    const std::string word = in_string(one_of(field.choices, random).name);
    return is_list ? '[' + word + ']' : word;
  }
  if (field.kind == Kind::integer || field.kind == Kind::number) return number_of(field, random);
  if (field.kind == Kind::boolean) return random() % 2 == 0 ? "true" : "false";
  if (field.kind == Kind::format) {
    const std::string word = one_of(format_words, random);
    return word.front() == '{' ? word : in_string(word);
  }
  if (key.ends_with(".order")) return in_string(one_of(order_words, random));
  if (key.starts_with("record.")) return "[" + in_string(site_word(random)) + "]";
  if (key.starts_with("store.")) return in_string(one_of(format_words, random));
  if (is_list) return "[" + std::string(one_of(number_words, random)) + "]";
  if (key == "reference.arithmetic" && random() % 2 == 0)
    return random() % 2 == 0 ? "\"mpfr:60\"" : "\"binary64\"";
  return in_string(one_of(arithmetic_words, random));
}

/// Some values: an axis of the grid.
inline std::string list_of_values(std::string_view key, Random& random) {
  std::string list = "[";
  for (std::size_t left = 1 + random() % 3; left > 0; --left)
    list += value_of_key(key, random) + (left > 1 ? ", " : "");
  return list + ']';
}

}  // namespace lamp::fuzz
