// Rounding to nearest even of binary64 numbers by additions, for the formats where that is right:
// the constants of it.
#pragma once

#include <optional>

#include "core/fp/format.hpp"

namespace lamp {

/// With 2^e the larger of the binade of y and xmin: the spacing is 2^e 2^(1-p), and (y + s) - s
/// with s = 2^e 1.5 2^(53-p) is y rounded.
struct Nearest {
  double xmin;          // smallest normal number
  double shift;         // 1.5 2^(53-p)
  double half_spacing;  // 2^-p
  double limit;         // results from numbers below it do not overflow
};

/// Absent where a zero, an underflow, a tie or the top binade needs more care, or 2^e s could leave
/// the range of binary64.
constexpr std::optional<Nearest> nearest_of(const FloatFormat& f) {
  const bool plain = f.subnormals && f.zero && f.signed_zero && !f.is_unsigned && f.p >= 2 &&
                     f.p <= 24 && f.emin >= -900 && f.emax <= 900;
  if (!plain || xmax(f) < pow2(f.emax)) return std::nullopt;
  return Nearest{.xmin = xmin(f),
                 .shift = 1.5 * pow2(53 - f.p),
                 .half_spacing = pow2(-f.p),
                 .limit = pow2(f.emax)};
}

}  // namespace lamp
