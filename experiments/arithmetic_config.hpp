// One named arithmetic as a config or a line of `lamp calc` writes it, and the Arithmetic it means.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "core/arith/spec.hpp"
#include "core/base/result.hpp"
#include "experiments/config_value.hpp"

namespace lamp::experiments {

/// A format or the word that stands for none ("as-is", "exact", "none"), and whether the config gave it.
struct FormatOrNone {
  bool given = false;
  std::optional<FloatFormat> format{};
  friend bool operator==(const FormatOrNone&, const FormatOrNone&) = default;
};

/// Keys of [arithmetic.NAME]. After complete() every key but `mu` and `format`, of which one is set, has its value.
struct ArithmeticConfig {
  std::string preset{};  // empty: none
  std::optional<int> mu{};
  std::optional<FloatFormat> format{};
  FormatOrNone operands{}, product{}, via{};
  std::optional<Rounding> rounding{};
  std::optional<Order> order{};
  friend bool operator==(const ArithmeticConfig&, const ArithmeticConfig&) = default;

  /// The format that mu or format says. Pre: one of them is set.
  [[nodiscard]] FloatFormat accumulator() const { return mu ? ps(*mu) : *format; }
  /// Fills what was not given from the preset, then from the defaults: as-is, exact, none, RNE, sequential.
  void complete();
  /// Pre: complete() was called and mu or format is set.
  [[nodiscard]] Arithmetic arithmetic() const;
};

/// A format given by name, or as a table {p, emin, emax, subnormals, infinities, nan, signed_zero, unsigned, top_codes_lost,
/// overflow}: p, emin, emax are required, the rest has IEEE's values. The problem's key is left to the caller.
std::optional<Problem> read_format(const Value& value, FloatFormat& format);

/// A format as a config writes it: its catalog name, or its table.
std::string format_text(const FloatFormat& format);
/// Every property of a format, whatever its name: what identities are made of.
std::string format_identity(const FloatFormat& format);

/// JSON as a tree of values (places unknown).
Value value_of_json(const nlohmann::json& json);

/// The `arith` object of a line of `lamp calc`: the keys of [arithmetic.NAME], one of preset and format required.
Result<Arithmetic> parse_arithmetic(const nlohmann::json& arith);
/// A format of a line of `lamp calc`: a name or an object.
Result<FloatFormat> parse_format_json(const nlohmann::json& format);

}  // namespace lamp::experiments
