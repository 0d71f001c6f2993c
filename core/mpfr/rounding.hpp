// The one rounding of the second implementation. An operation delivers its exact result, or that result rounded to odd at a
// precision well above any format's, which every later rounding treats alike (Boldo & Melquiond, "Emulation of a FMA and
// correctly rounded sums: proved algorithms using rounding to odd", IEEE TC 57 (2008), theorem 3: two more bits suffice).
#pragma once

#include "core/fp/format.hpp"
#include "core/fp/rounding.hpp"
#include "core/mpfr/number.hpp"

namespace lamp::mpfr {

/// Precision of results before the rounding: more than the product of two binary64 numbers, far more than 53 + 2.
inline constexpr mpfr_prec_t working_precision = 160;

/// x was truncated with MPFR's ternary value `ternary`: makes it the exact result rounded to odd.
void round_to_odd(Number& x, int ternary);

/// x in `format` by `mode`. Pre: fits_binary64(format), mode is deterministic, the exponent range is wide.
double to_format(const Number& x, const FloatFormat& format, Rounding mode);

}  // namespace lamp::mpfr
