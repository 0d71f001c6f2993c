// Reading and writing values of each kind that keys have: what the rows of the list in
// fields.cpp are made of. Readers leave a problem's key and legal values to read_field.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/config/fields.hpp"

namespace lamp::experiments {

using Outcome = std::optional<Problem>;   // absent: read
using Text = std::optional<std::string>;  // absent: not set

Outcome wrong(const Value& value);
Outcome out_of_range(const Value& value, const std::string& shown);
Outcome not_available(const Value& value, const std::string& what);

std::vector<std::string> available_names(std::span<const Choice> choices);
std::vector<std::string> site_names();
/// Sites at which LAMP may select in one of the networks.
std::vector<std::string> selectable_names();

/// An integer within the field's range.
template <class T>
Outcome read_integer(const Value& value, const Field& field, T& target) {
  const std::int64_t* x = value.get<std::int64_t>();
  if (x == nullptr) return wrong(value);
  if (static_cast<double>(*x) < field.min || static_cast<double>(*x) > field.max)
    return out_of_range(value, std::to_string(*x));
  target = static_cast<T>(*x);
  return std::nullopt;
}

/// A finite number within the field's range; integers are numbers.
Outcome read_number(const Value& value, const Field& field, std::optional<double>& target);
Outcome read_boolean(const Value& value, bool& target);
/// A string that is not empty.
Outcome read_text(const Value& value, std::string& target);
/// The name of one of the field's choices.
Outcome read_name(const Value& value, const Field& field, std::string& target);

/// The value that the table of the field's choices gives the name.
template <class E, std::size_t n, class T>
Outcome read_choice(const Value& value, const Field& field,
                    const std::array<NamedValue<E>, n>& table, T& target) {
  std::string name;
  if (Outcome problem = read_name(value, field, name)) return problem;
  target = *value_in(table, name);
  return std::nullopt;
}

/// An order as core/arith writes it.
Outcome read_order(const Value& value, std::optional<Order>& target);
/// A format, or the word that stands for none.
Outcome read_format_or_none(const Value& value, std::string_view none, FormatOrNone& target);
/// A number system, or the word that stands for none.
Outcome read_system_or_none(const Value& value, std::string_view none, SystemOrNone& target);
/// Values of one axis of the grid: a list of one or more different numbers, strings or, where the
/// key takes them, booleans, formats also as tables; integers become numbers where the axis's key
/// takes numbers. Without a key (an unknown one) any value is read.
Outcome read_coordinates(const Value& value, const Field* key, std::vector<Coordinate>& target);
/// Axes with values of theirs: dotted keys, lists of one or more values at the ends of nested
/// tables, or one value each. That they are axes is checked once the grid is read (grid.cpp).
enum class ValuesOfAxis : std::uint8_t { one, several };
Outcome read_axes(const Value& value, ValuesOfAxis each, std::vector<GridAxis>& target,
                  const std::string& prefix = {});
/// A list of different sites.
Outcome read_sites(const Value& value, std::vector<Site>& target);

Text nonempty(const std::string& x);
template <class E, std::size_t n>
Text choice_text(const std::array<NamedValue<E>, n>& table, E value) {
  return toml_string(name_in(table, value));
}
std::string boolean_text(bool x);
std::string format_in(Form form, const FloatFormat& format);
Text format_or_none(Form form, const FormatOrNone& x, std::string_view none);
Text system_or_none(Form form, const SystemOrNone& x, std::string_view none);
Text site_list(const std::vector<Site>& list);
std::string coordinate_list(const std::vector<Coordinate>& list);
std::string axes_text(const std::vector<GridAxis>& axes, ValuesOfAxis each);

/// Rows of [arithmetic.NAME] (arithmetic_fields.cpp), of [lamp.SITE] (lamp_fields.cpp), of [store]
/// (store_fields.cpp), of [stop] (stop_fields.cpp), and of [truth] (truth_fields.cpp).
std::span<const Field> arithmetic_fields();
std::span<const Field> lamp_fields();
std::span<const Field> store_fields();
std::span<const Field> stop_fields();
std::span<const Field> truth_fields();

}  // namespace lamp::experiments
