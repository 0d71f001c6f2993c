// Rounding of many binary64 numbers to one format, in every deterministic mode, on vectors; and the
// numbers that vector code needs for it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "core/fp/rounding.hpp"

namespace lamp {

/// y = x rounded, element by element, with the bits of round. x and y may be the same memory. Pre:
/// equal lengths; as for round.
void round_values(std::span<const double> x, std::span<double> y, const FloatFormat& format,
                  Rounding mode = Rounding::rne);

/// One rounding of binary64 numbers to a format. `none`: every number is one of the format.
/// `converted`: RNE to binary32, by the processor's conversion. `nearest`: RNE. `any`: every mode,
/// from round-to-nearest and what it left.
struct VectorRounding {
  enum class Kind : std::uint8_t { none, converted, nearest, any } kind = Kind::none;
  Rounding mode = Rounding::rne;
  double smallest_normal = 0;    // 2^emin
  double scale = 0;              // 1.5 2^(53-p)
  double spacing = 0;            // 2^(1-p): of the numbers in [1, 2)
  double largest = 0;            // xmax
  double beyond = 0;             // 2^(emax+1)
  double overflow = 0;           // what `nearest` makes of a larger one: infinity, NaN or xmax
  double overflow_positive = 0;  // the same of `any`, by sign
  double overflow_negative = 0;
  double draws = 0;      // 2^r, r the random bits of SR and SRE
  double draw_unit = 0;  // spacing / draws
};

/// One rounding, of numbers that are exact or rounded to odd.
std::optional<VectorRounding> vector_rounding(const FloatFormat& format, Rounding mode,
                                              int random_bits = 32);

}  // namespace lamp
