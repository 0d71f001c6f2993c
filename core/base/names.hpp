// Names of an enum's values: one table beside each enum, which parsing, printing, help and
// completion read, and where the compiler misses a row when the enum has a new value.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/contract.hpp"

namespace lamp {

template <class E>
struct NamedValue {
  std::string_view name;
  E value;
};

template <class E, std::size_t n>
constexpr std::string_view name_in(const std::array<NamedValue<E>, n>& table, E value) {
  for (const NamedValue<E>& row : table)
    if (row.value == value) return row.name;
  contract_violated("name_in: a value of the table");
}

template <class E, std::size_t n>
constexpr std::optional<E> value_in(const std::array<NamedValue<E>, n>& table,
                                    std::string_view name) {
  for (const NamedValue<E>& row : table)
    if (row.name == name) return row.value;
  return std::nullopt;
}

template <class E, std::size_t n>
std::vector<std::string> names_in(const std::array<NamedValue<E>, n>& table) {
  std::vector<std::string> names;
  for (const NamedValue<E>& row : table) names.emplace_back(row.name);
  return names;
}

/// Whether the value has a name in the source: the compiler spells one without a name "(E)7".
template <auto value>
constexpr bool is_enumerator() {
  constexpr std::string_view text = __PRETTY_FUNCTION__;
  const char next = text[text.rfind(')') + 1];
  return next < '0' || next > '9';
}

/// How many enumerators E has. Pre: they are 0, 1, 2, ..
template <class E, std::size_t n = 0>
constexpr std::size_t enumerators() {
  if constexpr (is_enumerator<static_cast<E>(n)>())
    return enumerators<E, n + 1>();
  else
    return n;
}

/// Each enumerator has one row, in any order, and no two have one name.
template <class E, std::size_t n>
constexpr bool names_all(const std::array<NamedValue<E>, n>& table) {
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (table[i].value == table[j].value || table[i].name == table[j].name) return false;
  return n == enumerators<E>();
}

}  // namespace lamp
