#include "experiments/config/number_systems.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "core/mpfr/real.hpp"
#include "experiments/config/arithmetic.hpp"
#include "experiments/config/read.hpp"
#include "experiments/config/suggestions.hpp"

namespace lamp::experiments {
namespace {

struct FormatInteger {
  std::string_view key;
  int FloatFormat::*member;
  int min, max;
  bool required;
};
// Wide enough for MPFR (`calc` only); the fast evaluators need formats within binary64.
constexpr int widest = mpfr::largest_format_exponent;
constexpr std::array<FormatInteger, 4> format_integers{
    {{"p", &FloatFormat::p, 1, mpfr::largest_precision, true},
     {"emin", &FloatFormat::emin, -widest, widest, true},
     {"emax", &FloatFormat::emax, -widest, widest, true},
     {"top_codes_lost", &FloatFormat::top_codes_lost, 0, (1 << 30) - 1, false}}};

struct FormatFlag {
  std::string_view key;
  bool FloatFormat::*member;
};
constexpr std::array<FormatFlag, 6> format_flags{{{"subnormals", &FloatFormat::subnormals},
                                                  {"infinities", &FloatFormat::infinities},
                                                  {"nan", &FloatFormat::nan},
                                                  {"signed_zero", &FloatFormat::signed_zero},
                                                  {"unsigned", &FloatFormat::is_unsigned},
                                                  {"zero", &FloatFormat::zero}}};

std::vector<std::string> format_keys() {
  std::vector<std::string> keys;
  for (const FormatInteger& f : format_integers) keys.emplace_back(f.key);
  for (const FormatFlag& f : format_flags) keys.emplace_back(f.key);
  keys.emplace_back("overflow");
  return keys;
}

std::optional<Problem> read_format_entry(const Entry& entry, FloatFormat& format) {
  const auto wrong = [&](const std::string& legal) {
    return Problem{.key = {},
                   .message = entry.key + " is " + describe(entry.value),
                   .legal = legal,
                   .where = entry.value.where};
  };
  for (const FormatInteger& f : format_integers)
    if (f.key == entry.key) {
      const std::int64_t* value = entry.value.get<std::int64_t>();
      if (value == nullptr || *value < f.min || *value > f.max)
        return wrong("an integer, " + std::to_string(f.min) + " to " + std::to_string(f.max));
      format.*f.member = static_cast<int>(*value);
      return std::nullopt;
    }
  for (const FormatFlag& f : format_flags)
    if (f.key == entry.key) {
      const bool* value = entry.value.get<bool>();
      if (value == nullptr) return wrong("true or false");
      format.*f.member = *value;
      return std::nullopt;
    }
  if (entry.key == "overflow") {
    const std::string* value = entry.value.get<std::string>();
    const std::optional<Overflow> overflow =
        value == nullptr ? std::nullopt : value_in(overflow_names, *value);
    if (!overflow) {
      Problem problem = wrong(join(names_in(overflow_names)));
      if (value != nullptr) problem.suggestion = nearest(*value, names_in(overflow_names));
      return problem;
    }
    return format.overflow = *overflow, std::nullopt;
  }
  const std::vector<std::string> keys = format_keys();
  return Problem{.key = {},
                 .message = "unknown key \"" + entry.key + "\" of a format",
                 .legal = join(keys),
                 .suggestion = nearest(entry.key, keys),
                 .where = entry.where};
}

constexpr std::string_view format_legal =
    "a name such as \"ps7\" or \"binary32\", or a table {p = 8, emin = -126, emax = 127}";

bool has_key(const Value::Table& table, std::string_view key) {
  for (const Entry& entry : table)
    if (entry.key == key) return true;
  return false;
}

std::optional<Problem> read_format_table(const Value::Table& table, FloatFormat& format) {
  FloatFormat read;
  for (const Entry& entry : table)
    if (std::optional<Problem> problem = read_format_entry(entry, read)) return problem;
  for (const FormatInteger& f : format_integers)
    if (f.required && !has_key(table, f.key))
      return Problem{.key = {},
                     .message = "a format needs " + std::string(f.key),
                     .legal = join(format_keys())};
  if (const Result<void> legal = mpfr::check_format(read); !legal)
    return Problem{.key = {}, .message = legal.error().message};
  format = read;
  return std::nullopt;
}

/// The table that a string holds.
Result<Value::Table> read_table(const std::string& text) {
  const Result<Value::Table> parsed = parse_toml("format = " + text, "format");
  if (!parsed) return parsed.error();
  const Value::Table* table =
      parsed->size() == 1 ? parsed->front().value.get<Value::Table>() : nullptr;
  if (table != nullptr) return *table;
  return Error{ExitCode::bad_data,
               toml_string(text) + " is no format; legal: " + std::string(format_legal)};
}

/// The table of a value: its own, or one that a string holds; absent where it is neither.
std::optional<Result<Value::Table>> table_of(const Value& value) {
  if (const Value::Table* table = value.get<Value::Table>()) return Result<Value::Table>(*table);
  const std::string* text = value.get<std::string>();
  if (text == nullptr || !text->starts_with('{')) return std::nullopt;
  return read_table(*text);
}

std::optional<Problem> read_numbers(const Entry& entry, const Value::List& list,
                                    PropertyValue& property) {
  std::vector<double> numbers;
  for (const Value& item : list) {
    const std::int64_t* integer = item.get<std::int64_t>();
    const double* number = item.get<double>();
    if (integer == nullptr && number == nullptr)
      return Problem{.key = {},
                     .message = entry.key + " holds " + describe(item),
                     .legal = "a list of numbers",
                     .where = item.where};
    numbers.push_back(integer != nullptr ? static_cast<double>(*integer) : *number);
  }
  property = std::move(numbers);
  return std::nullopt;
}

/// A value of an object as core/fp takes it: a table is a float format.
std::optional<Problem> read_property(const Entry& entry, PropertyValue& property) {
  if (const std::optional<Result<Value::Table>> table = table_of(entry.value)) {
    FloatFormat format;
    std::optional<Problem> problem =
        *table ? read_format_table(**table, format)
               : Problem{.key = {}, .message = table->error().message, .where = entry.where};
    if (problem) problem->message.insert(0, entry.key + ": "), problem->where = entry.where;
    property = format;
    return problem;
  }
  if (const Value::List* list = entry.value.get<Value::List>())
    return read_numbers(entry, *list, property);
  if (const std::string* text = entry.value.get<std::string>())
    return property = *text, std::nullopt;
  if (const double* number = entry.value.get<double>()) return property = *number, std::nullopt;
  if (const std::int64_t* integer = entry.value.get<std::int64_t>())
    return property = *integer, std::nullopt;
  if (const bool* flag = entry.value.get<bool>()) return property = *flag, std::nullopt;
  return Problem{.key = {},
                 .message = entry.key + " is " + describe(entry.value),
                 .legal = "a number, a string or a float format",
                 .where = entry.value.where};
}

/// A table whose keys are `legal`, of a system that is no float format.
std::optional<Problem> read_system_table(const Value::Table& table,
                                         const std::vector<std::string>& legal,
                                         std::optional<NumberSystem>& system) {
  Properties object;
  for (const Entry& entry : table) {
    if (std::find(legal.begin(), legal.end(), entry.key) == legal.end())
      return Problem{.key = {},
                     .message = "unknown key \"" + entry.key + "\" of an object of " + join(legal),
                     .legal = join(legal),
                     .suggestion = nearest(entry.key, legal),
                     .where = entry.where};
    Property& property = object.emplace_back(Property{.key = entry.key, .value = false});
    if (std::optional<Problem> problem = read_property(entry, property.value)) return problem;
  }
  const Result<NumberSystem> read = system_of_object(object);
  if (!read) return Problem{.key = {}, .message = read.error().message};
  system = *read;
  return std::nullopt;
}

std::optional<Problem> read_table_of(const Value::Table& table,
                                     std::optional<NumberSystem>& system) {
  std::vector<std::string_view> keys;
  for (const Entry& entry : table) keys.emplace_back(entry.key);
  const std::vector<std::string_view> legal = keys_of_object(keys);
  if (!legal.empty()) return read_system_table(table, {legal.begin(), legal.end()}, system);
  FloatFormat format;
  if (std::optional<Problem> problem = read_format_table(table, format)) return problem;
  system = format;
  return std::nullopt;
}

Problem not_a_float_format(const NumberSystem& system) {
  return Problem{.key = {},
                 .message = system_text(system) + " is a " + kind_of(system) +
                            ", which rounds rows of values, not single numbers",
                 .legal = "a float format: " + std::string(format_legal)};
}

std::string property_text(const PropertyValue& value, std::string (*format)(const FloatFormat&)) {
  struct {
    std::string (*format)(const FloatFormat&);
    std::string operator()(bool x) const { return x ? "true" : "false"; }
    std::string operator()(std::int64_t x) const { return std::to_string(x); }
    std::string operator()(double x) const { return toml_number(x); }
    std::string operator()(const std::string& x) const { return toml_string(x); }
    std::string operator()(const FloatFormat& x) const { return format(x); }
    std::string operator()(const std::vector<double>& x) const {
      std::vector<std::string> words;
      for (const double number : x) words.push_back(toml_number(number));
      return "[" + join(words) + "]";
    }
  } const text{format};
  return std::visit(text, value);
}

/// {key = value, ..}
std::string object_text(const Properties& object, std::string (*format)(const FloatFormat&)) {
  std::vector<std::string> words;
  for (const Property& property : object)
    words.push_back(property.key + " = " + property_text(property.value, format));
  return "{" + join(words) + "}";
}

}  // namespace

std::optional<Problem> read_number_system(const Value& value, std::optional<NumberSystem>& system) {
  if (const Value::Table* table = value.get<Value::Table>()) return read_table_of(*table, system);
  if (const std::optional<Result<Value::Table>> table = table_of(value)) {
    if (!*table) return Problem{.key = {}, .message = table->error().message, .where = value.where};
    const std::optional<Problem> problem = read_table_of(**table, system);
    if (!problem) return std::nullopt;  // its places are those of the string
    return Problem{.key = {}, .message = to_string(*problem), .where = value.where};
  }
  const std::string* name = value.get<std::string>();
  if (name == nullptr)
    return Problem{.key = {},
                   .message = describe(value) + " is no format",
                   .legal = std::string(format_legal)};
  const Result<NumberSystem> named = parse_number_system(*name);
  if (!named)
    return Problem{.key = {},
                   .message = named.error().message,
                   .suggestion = nearest_format(*name),
                   .where = value.where};
  system = *named;
  return std::nullopt;
}

std::optional<Problem> read_format(const Value& value, FloatFormat& format) {
  std::optional<NumberSystem> system;
  if (std::optional<Problem> problem = read_number_system(value, system)) {
    // For an unknown name: only the float formats are legal here.
    const std::string* name = value.get<std::string>();
    if (name != nullptr && !name->starts_with('{')) {
      problem->message = parse_format(*name).error().message;
      if (!parse_format(problem->suggestion)) problem->suggestion.clear();
    }
    return problem;
  }
  if (system->float_format() == nullptr) return not_a_float_format(*system);
  format = *system->float_format();
  return std::nullopt;
}

std::string system_identity(const NumberSystem& system) {
  return system.visit([]<class S>(const S& s) {
    if constexpr (RowSystem<S>)
      return object_text(s.properties(), format_identity);
    else
      return format_identity(s);
  });
}

std::string system_word(const NumberSystem& system) {
  return system.visit([&]<class S>(const S& s) {
    if constexpr (RowSystem<S>) {
      const std::string name = name_of(system);
      return name.empty() ? object_text(s.properties(), format_text) : name;
    } else {
      return format_word(s);
    }
  });
}

std::string system_text(const NumberSystem& system) {
  const std::string word = system_word(system);
  return word.starts_with('{') ? word : toml_string(word);
}

std::string format_identity(const FloatFormat& format) {
  std::string text = "{";
  for (const FormatInteger& f : format_integers)
    text += std::string(f.key) + " = " + std::to_string(format.*f.member) + ", ";
  for (const FormatFlag& f : format_flags)
    text += std::string(f.key) + (format.*f.member ? " = true, " : " = false, ");
  return text + "overflow = \"" + std::string(name_in(overflow_names, format.overflow)) + "\"}";
}

std::string format_word(const FloatFormat& format) {
  const std::string name = format_name(format);
  const Result<FloatFormat> parsed = parse_format(name);
  return parsed && *parsed == format ? name : format_identity(format);
}

std::string format_text(const FloatFormat& format) {
  const std::string word = format_word(format);
  return word.starts_with('{') ? word : toml_string(word);
}

Result<FloatFormat> parse_format_json(const nlohmann::json& format) {
  FloatFormat read;
  if (const std::optional<Problem> problem = read_format(value_of_json(format), read))
    return Error{ExitCode::bad_data, to_string(*problem)};
  return read;
}

Result<NumberSystem> parse_number_system_json(const nlohmann::json& system) {
  std::optional<NumberSystem> read;
  if (const std::optional<Problem> problem = read_number_system(value_of_json(system), read))
    return Error{ExitCode::bad_data, to_string(*problem)};
  return *read;
}

}  // namespace lamp::experiments
