#include "experiments/config/arithmetic.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "core/arith/engine.hpp"
#include "experiments/config/fields.hpp"
#include "experiments/config/read.hpp"

namespace lamp::experiments {
void MacConfig::complete() {
  const bool paper = preset == "lamp-paper";
  if (!operands.given) operands = {.given = true};
  if (!product.given) product = {.given = true};
  if (!via.given) via = {.given = true, .format = paper ? std::optional(binary32) : std::nullopt};
  if (!operand_rounding) operand_rounding = Rounding::rne;
  if (!rounding) rounding = Rounding::rne;
  if (!random_bits) random_bits = MacSpec{}.random_bits;
}

MacSpec MacConfig::mac() const {
  expects(operand_rounding && rounding && random_bits && has_format(), "MacConfig::mac: complete");
  return {.operands = operands.system,
          .product = product.format,
          .via = via.format,
          .format = accumulator(),
          .rounding = *rounding,
          .random_bits = *random_bits,
          .operand_rounding = *operand_rounding};
}

void ArithmeticConfig::complete() {
  if (!engine.empty()) {
    if (!operands.given) operands = {.given = true, .system = default_engine_operands};
    if (!has_format()) format = default_engine_format;
    return;
  }
  MacConfig::complete();
  if (!order) order = Order{};
  if (block) block->complete();
}

void ArithmeticConfig::forget_idle_keys() {
  if (!order || !is<Split>(*order)) part = {};
  if (!engine.empty()) return;
  const auto forget = [](MacConfig& mac) {
    if (mac.rounding != Rounding::sr) mac.random_bits = MacSpec{}.random_bits;
    if (!mac.operands.system) mac.operand_rounding = Rounding::rne;
  };
  forget(*this);
  if (block) forget(*block);
  if (block && (!row_of(*order).has_blocks || block->mac() == mac())) block.reset();
}

Arithmetic ArithmeticConfig::arithmetic() const {
  if (!engine.empty()) {
    expects(float_operands() != nullptr && has_format(), "ArithmeticConfig::arithmetic: complete");
    Arithmetic known = engine_arithmetic(engine, *float_operands(), accumulator()).value();
    known.mac.operand_rounding = operand_rounding.value_or(Rounding::rne);
    if (order)
      known.order =
          SplitEngine{*engine_step(known.order), std::get<Split>(*order).parts, part.format};
    return known;
  }
  expects(order.has_value(), "ArithmeticConfig::arithmetic: complete");
  Arithmetic whole{
      .mac = mac(), .order = *order, .block = block ? std::optional(block->mac()) : std::nullopt};
  if (auto* split = std::get_if<Split>(&whole.order)) split->part = part.format;
  return whole;
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
       {"order", config.order && !is<Split>(*config.order)},
       {"block", config.block.has_value()}}};
  for (const auto& [key, given] : decided)
    if (given)
      return Problem{
          .key = path + '.' + key,
          .message = "given beside " + engine + ", which decides it",
          .legal = "engine, operands, format, operand_rounding, order = \"split:S\", part"};
  const std::string legal = engine_modes(*find_engine(config.engine));
  if (!config.operands.system)
    return Problem{.key = path + ".operands",
                   .message = "\"as-is\" beside " + engine + ", whose operands have a format",
                   .legal = legal};
  const FloatFormat* operands = config.float_operands();
  if (operands == nullptr || !engine_arithmetic(config.engine, *operands, config.accumulator()))
    return Problem{.key = path + ".engine",
                   .message = toml_string(config.engine) + " has no operands " +
                              system_word(*config.operands.system) + " with format " +
                              format_word(config.accumulator()),
                   .legal = legal};
  return std::nullopt;
}

std::optional<Problem> check_operand_rounding(const MacConfig& config, const std::string& path) {
  if (!config.operands.system || config.operands.system->float_format() != nullptr ||
      config.operand_rounding.value_or(Rounding::rne) == Rounding::rne)
    return std::nullopt;
  return Problem{.key = path + ".operand_rounding",
                 .message = toml_string(rounding_name(*config.operand_rounding)) +
                            " with operands " + system_word(*config.operands.system) + ", a " +
                            kind_of(*config.operands.system),
                 .legal = "\"RNE\" there; RNA and RTZ with operands of a float format"};
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
  std::optional<Problem> problem = check_engine(read, "arith");
  if (!problem) problem = check_operand_rounding(read, "arith");
  if (!problem && read.block) problem = check_operand_rounding(*read.block, "arith.block");
  if (problem) return Error{ExitCode::bad_data, to_string(*problem)};
  return read.arithmetic();
}

}  // namespace lamp::experiments
