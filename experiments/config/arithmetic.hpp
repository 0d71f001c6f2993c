// One named arithmetic as a config or a line of `lamp calc` writes it, and the Arithmetic it means.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "core/arith/spec.hpp"
#include "core/base/result.hpp"
#include "experiments/config/number_systems.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments {

/// A format or the word that stands for none ("as-is", "exact", "none"), and whether the config
/// gave it.
struct FormatOrNone {
  bool given = false;
  std::optional<FloatFormat> format{};
  friend bool operator==(const FormatOrNone&, const FormatOrNone&) = default;
};

/// The same of any number system: operands.
struct SystemOrNone {
  bool given = false;
  std::optional<NumberSystem> system{};
  friend bool operator==(const SystemOrNone&, const SystemOrNone&) = default;
};

/// Keys of one multiply-accumulate: of [arithmetic.NAME] and of its `block`. After complete() every
/// key but `mu` and `format`, of which one is set, has its value.
struct MacConfig {
  std::string preset{};  // empty: none
  std::optional<int> mu{};
  std::optional<FloatFormat> format{};
  SystemOrNone operands{};
  FormatOrNone product{}, via{};
  std::optional<Rounding> operand_rounding{}, rounding{};
  std::optional<int> random_bits{};
  friend bool operator==(const MacConfig&, const MacConfig&) = default;

  [[nodiscard]] bool has_format() const { return mu.has_value() || format.has_value(); }
  /// The format that mu or format says. Pre: has_format().
  [[nodiscard]] FloatFormat accumulator() const { return mu ? ps(*mu) : *format; }
  /// Null where operands are as they are, or of a system that is no float format.
  [[nodiscard]] const FloatFormat* float_operands() const {
    return operands.system ? operands.system->float_format() : nullptr;
  }
  /// Fills what was not given from the preset, then from the defaults: as-is, exact, none, RNE
  /// twice, 32.
  void complete();
  /// Pre: complete() was called, has_format().
  [[nodiscard]] MacSpec mac() const;
};

/// Keys of [arithmetic.NAME].
struct ArithmeticConfig : MacConfig {
  std::optional<Order> order{};
  std::optional<MacConfig> block{};  // absent: the arithmetic itself
  FormatOrNone part{};               // what split:S rounds the sums of its parts to
  std::string engine{};  // of a GPU; empty: none. It decides all but operands, format and parts
  friend bool operator==(const ArithmeticConfig&, const ArithmeticConfig&) = default;

  /// As MacConfig's, and the order sequential. With an engine: operands binary16 and format
  /// binary32, and nothing else.
  void complete();
  /// Drops what was written without effect: random_bits outside of SR; operand_rounding without
  /// operands; a part or a block that the order does not use, a block that is the arithmetic
  /// itself. Pre: as for arithmetic().
  void forget_idle_keys();
  /// Pre: complete() was called, has_format() here and in block, check_engine and
  /// check_operand_rounding find nothing.
  [[nodiscard]] Arithmetic arithmetic() const;
};

/// What is wrong with an arithmetic on an engine: keys that the engine decides, formats it has not
/// got. Its keys begin with `path`. Pre: complete() was called.
std::optional<Problem> check_engine(const ArithmeticConfig& config, const std::string& path);

/// RNA and RTZ round operands of float formats. Pre: complete() was called.
std::optional<Problem> check_operand_rounding(const MacConfig& config, const std::string& path);

/// JSON as a tree of values (places unknown).
Value value_of_json(const nlohmann::json& json);

/// The `arith` object of a line of `lamp calc`: the keys of [arithmetic.NAME], one of preset and
/// format required.
Result<Arithmetic> parse_arithmetic(const nlohmann::json& arith);
}  // namespace lamp::experiments
