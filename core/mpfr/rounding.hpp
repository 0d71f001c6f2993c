// The one rounding of the second implementation. An operation delivers its exact result, or that
// result rounded to odd at a precision well above any format's, which every later rounding treats
// alike (Boldo & Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms using
// rounding to odd", IEEE TC 57 (2008), theorem 3: two more bits suffice).
#pragma once

#include "core/fp/format.hpp"
#include "core/fp/rounding.hpp"
#include "core/mpfr/number.hpp"

namespace lamp::mpfr {

/// Bits of a rounding to odd beyond the format's precision: 32 random bits of SR, two for the
/// theorem.
inline constexpr mpfr_prec_t odd_bits = 34;
/// Precision of results before they are rounded to a format that fits binary64: more than the
/// product of two binary64 numbers.
inline constexpr mpfr_prec_t working_precision = 160;
static_assert(working_precision >= 106 && working_precision >= 53 + odd_bits);

/// x was truncated with MPFR's ternary value `ternary`: makes it the exact result rounded to odd.
void round_to_odd(Number& x, int ternary);

/// r = operation(x...) rounded to odd at r's precision; an exact zero sum has the sign that `mode`
/// gives it.
template <class Operation, class... Operands>
void apply_to_odd(Number& r, Operation* operation, Rounding mode, const Operands&... x) {
  round_to_odd(r, operation(r.get(), x.get()..., MPFR_RNDZ));
  if (mode == Rounding::rtn && mpfr_zero_p(r.get()) != 0) operation(r.get(), x.get()..., MPFR_RNDD);
}

/// out = x in `format` by `mode`; out has precision format.p at least, and any zero, infinity or
/// NaN is MPFR's. Any p >= 1 and exponents within the range. Pre: the exponent range is wide, 1 <=
/// draw.bits <= 32.
void to_format(Number& out, const Number& x, const FloatFormat& format, Rounding mode, Draw draw);
/// As binary64. Pre: also fits_binary64(format).
double to_format(const Number& x, const FloatFormat& format, Rounding mode, Draw draw = {});

}  // namespace lamp::mpfr
