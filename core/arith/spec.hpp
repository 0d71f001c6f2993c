// What one multiply-accumulate is, and in which order a sum of them is taken: data, no code paths
// (method.md sections 2, 3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/arith/orders/catalog.hpp"
#include "core/fp/format.hpp"
#include "core/fp/number_system.hpp"
#include "core/fp/rounding.hpp"

namespace lamp {

/// c <- c + a*b as the decisions it consists of.
struct MacSpec {
  // absent: as-is. Else the rows a and b along k are rounded to it once, before the sum
  std::optional<NumberSystem> operands{};
  std::optional<FloatFormat> product{};  // absent: exact, one rounding of a*b + c. Else the product
                                         // is rounded to it first, by `rounding`
  std::optional<FloatFormat>
      via{};  // absent: none. Else every sum is rounded RNE to it, then by `rounding` to `format`
  FloatFormat format = binary32;  // where the accumulator lives after the step
  Rounding rounding = Rounding::rne;
  int random_bits = 32;                       // r of SR, 1..32
  Rounding operand_rounding = Rounding::rne;  // to `operands`: RNE, RNA or RTZ; RNE where rows are
                                              // rounded

  /// Null where operands are as they are, or of a system that is no float format.
  [[nodiscard]] const FloatFormat* float_operands() const {
    return operands ? operands->float_format() : nullptr;
  }
  /// Operands are of a system that rounds whole rows.
  [[nodiscard]] bool rounds_rows() const { return operands && !float_operands(); }
  /// y = the row x as an operand; x and y may be the same memory. Pre: operands are given.
  void round_operands(std::span<const double> x, std::span<double> y) const {
    round_row(*operands, x, y, {}, operand_rounding);
  }
  /// An operand of a lone multiply-accumulate.
  [[nodiscard]] double round_operand(double x) const {
    return operands ? round_alone(*operands, x, operand_rounding) : x;
  }
  friend bool operator==(const MacSpec&, const MacSpec&) = default;
};

/// Where the random words of stochastic modes come from: the coordinates that a site's outputs
/// share. Part of a run, not of what the arithmetic is.
struct DrawStream {
  std::uint32_t seed = 0, sequence = 0, layer = 0, head = 0, site = 0;
  std::uint32_t first_row = 0;  // of a site that is computed by blocks of rows: the row of the site
                                // that is row 0 of the block
};

/// The arithmetic of a site: how one step rounds, and in which order sums are taken. Two are equal
/// whatever they draw from.
struct Arithmetic {
  MacSpec mac;
  Order order;
  std::optional<MacSpec> block{};  // the arithmetic inside blocks; absent: mac. Orders without
                                   // blocks do not look at it
  DrawStream draws{};

  /// The specification of the steps that multiply: block's where the order has blocks.
  [[nodiscard]] const MacSpec& steps() const {
    return block && row_of(order).has_blocks ? *block : mac;
  }
  [[nodiscard]] MacSpec& steps() { return block && row_of(order).has_blocks ? *block : mac; }
  friend bool operator==(const Arithmetic& x, const Arithmetic& y) {
    return x.mac == y.mac && x.order == y.order && x.block == y.block;
  }
};

/// The same for rows that are rounded to its operands already.
inline Arithmetic of_rounded_rows(Arithmetic arithmetic) {
  arithmetic.steps().operands.reset();
  arithmetic.steps().operand_rounding = Rounding::rne;
  return arithmetic;
}

/// The preset `lamp-paper`: exact product, via binary32, PS(mu), RNE, sequential: the reference
/// code of [LAMP].
inline Arithmetic lamp_paper(int mu) {
  return {.mac = {.via = binary32, .format = ps(mu)}, .order = {}};
}
/// Fused multiply-add in `format`, RNE, sequential.
inline Arithmetic fused(const FloatFormat& format) {
  return {.mac = {.format = format}, .order = {}};
}
/// The same with p bits and no exponent limits, functions correctly rounded: the reference mpfr:p.
/// Only core/mpfr evaluates it. 2 <= p <= 10,000.
inline Arithmetic unlimited(int p) {
  constexpr int no_limit =
      1'000'000'000;  // stands for it: beyond any format that a config can name
  return fused({.p = p, .emin = -no_limit, .emax = no_limit});
}
inline bool is_unlimited(const Arithmetic& arithmetic) {
  return arithmetic.mac.format == unlimited(arithmetic.mac.format.p).mac.format;
}

}  // namespace lamp
