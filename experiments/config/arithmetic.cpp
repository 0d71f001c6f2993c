#include "experiments/config/arithmetic.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "core/arith/engine.hpp"
#include "core/mpfr/real.hpp"
#include "experiments/config/fields.hpp"
#include "experiments/config/read.hpp"

namespace lamp::experiments {
namespace {

struct FormatInteger {
  std::string_view key;
  int FloatFormat::*member;
  int min, max;
  bool required;
};
// Wide enough for MPFR (`calc` only); the fast engines need numbers that are binary64 numbers.
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
    if (!overflow) return wrong(join(names_in(overflow_names)));
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

/// A string that holds the table.
Result<FloatFormat> read_format_text(const std::string& text) {
  const Result<Value::Table> parsed = parse_toml("format = " + text, "format");
  if (!parsed) return parsed.error();
  const Value::Table* table =
      parsed->size() == 1 ? parsed->front().value.get<Value::Table>() : nullptr;
  FloatFormat format;
  if (table == nullptr)
    return Error{ExitCode::bad_data,
                 toml_string(text) + " is no format; legal: " + std::string(format_legal)};
  if (const std::optional<Problem> problem = read_format_table(*table, format))
    return Error{ExitCode::bad_data, to_string(*problem)};
  return format;
}

}  // namespace

void MacConfig::complete() {
  const bool paper = preset == "lamp-paper";
  if (!operands.given) operands = {.given = true};
  if (!product.given) product = {.given = true};
  if (!via.given) via = {.given = true, .format = paper ? std::optional(binary32) : std::nullopt};
  if (!rounding) rounding = Rounding::rne;
  if (!random_bits) random_bits = MacSpec{}.random_bits;
}

MacSpec MacConfig::mac() const {
  expects(rounding && random_bits && has_format(), "MacConfig::mac: complete");
  return {.operands = operands.format,
          .product = product.format,
          .via = via.format,
          .format = accumulator(),
          .rounding = *rounding,
          .random_bits = *random_bits};
}

void ArithmeticConfig::complete() {
  if (!engine.empty()) {
    if (!operands.given) operands = {.given = true, .format = default_engine_operands};
    if (!has_format()) format = default_engine_format;
    return;
  }
  MacConfig::complete();
  if (!order) order = Order{};
  if (block) block->complete();
}

void ArithmeticConfig::forget_idle_keys() {
  const auto forget_bits = [](MacConfig& mac) {
    if (mac.rounding != Rounding::sr) mac.random_bits = MacSpec{}.random_bits;
  };
  if (!engine.empty()) return;
  forget_bits(*this);
  if (block) forget_bits(*block);
  if (block && (order->kind != OrderKind::blocked || block->mac() == mac())) block.reset();
}

Arithmetic ArithmeticConfig::arithmetic() const {
  if (!engine.empty()) {
    expects(operands.format && has_format(), "ArithmeticConfig::arithmetic: complete");
    Arithmetic known = engine_arithmetic(engine, *operands.format, accumulator()).value();
    if (order) known.order.size = order->size;
    return known;
  }
  expects(order.has_value(), "ArithmeticConfig::arithmetic: complete");
  return {
      .mac = mac(), .order = *order, .block = block ? std::optional(block->mac()) : std::nullopt};
}

std::optional<Problem> check_engine(const ArithmeticConfig& config, const std::string& path) {
  if (config.engine.empty()) return std::nullopt;
  const std::string engine = "engine = " + toml_string(config.engine);
  const std::array<std::pair<const char*, bool>, 7> decided{
      {{"preset", !config.preset.empty()},
       {"product", config.product.given},
       {"via", config.via.given},
       {"rounding", config.rounding.has_value()},
       {"random_bits", config.random_bits.has_value()},
       {"order", config.order && config.order->kind != OrderKind::split},
       {"block", config.block.has_value()}}};
  for (const auto& [key, given] : decided)
    if (given)
      return Problem{.key = path + '.' + key,
                     .message = "given beside " + engine + ", which decides it",
                     .legal = "engine, operands, format, order = \"split:S\""};
  const std::string legal = engine_modes(*find_engine(config.engine));
  if (!config.operands.format)
    return Problem{.key = path + ".operands",
                   .message = "\"as-is\" beside " + engine + ", whose operands have a format",
                   .legal = legal};
  if (const Result<Arithmetic> known =
          engine_arithmetic(config.engine, *config.operands.format, config.accumulator());
      !known)
    return Problem{.key = path + ".engine",
                   .message = toml_string(config.engine) + " has no operands " +
                              format_word(*config.operands.format) + " with format " +
                              format_word(config.accumulator()),
                   .legal = legal};
  return std::nullopt;
}

std::optional<Problem> read_format(const Value& value, FloatFormat& format) {
  if (const std::string* text = value.get<std::string>()) {
    const Result<FloatFormat> named =
        text->starts_with('{') ? read_format_text(*text) : parse_format(*text);
    if (!named) return Problem{.key = {}, .message = named.error().message, .where = value.where};
    format = *named;
    return std::nullopt;
  }
  if (const Value::Table* table = value.get<Value::Table>())
    return read_format_table(*table, format);
  return Problem{
      .key = {}, .message = describe(value) + " is no format", .legal = std::string(format_legal)};
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

Value value_of_json(const nlohmann::json& json) {
  Value value;
  if (json.is_boolean()) {
    value.data = json.get<bool>();
  } else if (json.is_number_unsigned() && json.get<std::uint64_t>() > std::uint64_t{INT64_MAX}) {
    value.data = json.get<double>();
  } else if (json.is_number_integer()) {
    value.data = json.get<std::int64_t>();
  } else if (json.is_number()) {
    value.data = json.get<double>();
  } else if (json.is_string()) {
    value.data = json.get<std::string>();
  } else if (json.is_array()) {
    Value::List list;
    for (const nlohmann::json& item : json) list.push_back(value_of_json(item));
    value.data = std::move(list);
  } else if (json.is_object()) {
    Value::Table table;
    for (const auto& [key, item] : json.items())
      table.push_back({.key = key, .value = value_of_json(item)});
    value.data = std::move(table);
  }
  return value;
}

Result<Arithmetic> parse_arithmetic(const nlohmann::json& arith) {
  const Value value = value_of_json(arith);
  const Value::Table* table = value.get<Value::Table>();
  if (table == nullptr)
    return Error{ExitCode::bad_data, "arith is " + describe(value) +
                                         "; legal: an object such as {\"format\": \"ps7\"}"};
  Config config;
  ArithmeticConfig& read = config.arithmetic_or_new("arith");
  for (const Entry& entry : *table) {
    const std::string path = "arithmetic.arith." + entry.key;
    const FieldMatch match = find_field(path);
    std::optional<Problem> problem =
        match.field == nullptr ? unknown_key(path, config) : read_field(config, match, entry.value);
    if (!problem) continue;
    constexpr std::string_view prefix = "arithmetic.";
    for (std::string* text : {&problem->key, &problem->suggestion})
      if (text->starts_with(prefix)) text->erase(0, prefix.size());
    return Error{ExitCode::bad_data, to_string(*problem)};
  }
  for (const auto& [mac, name] : {std::pair<const MacConfig*, std::string>(&read, "arith"),
                                  {read.block ? &*read.block : nullptr, "arith.block"}}) {
    if (mac == nullptr) continue;
    if (mac->mu && mac->format)
      return Error{ExitCode::bad_data, name + ": mu and format are both given; legal: one of them"};
    if (!mac->has_format() && read.engine.empty())
      return Error{ExitCode::bad_data, name + ": format is missing; legal: format, mu or engine"};
  }
  read.complete();
  if (const std::optional<Problem> problem = check_engine(read, "arith"))
    return Error{ExitCode::bad_data, to_string(*problem)};
  return read.arithmetic();
}

Result<FloatFormat> parse_format_json(const nlohmann::json& format) {
  FloatFormat read;
  if (const std::optional<Problem> problem = read_format(value_of_json(format), read))
    return Error{ExitCode::bad_data, to_string(*problem)};
  return read;
}

}  // namespace lamp::experiments
