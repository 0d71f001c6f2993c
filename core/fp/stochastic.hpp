// Elementary functions in the stochastic modes.
#pragma once

#include "core/fp/elementary.hpp"

namespace lamp {

/// f(x) rounded to `format` by a stochastic mode and its draw, from the exact value for every p:
/// the discarded fraction of a function value has no end, and the draw may fall anywhere in it, so
/// MPFR decides. Constants and special values as in elementary.hpp. Pre: fits_binary64(format), 1
/// <= draw.bits <= 32, mode is SR or SRE.
double evaluate(Function f, double x, const FloatFormat& format, Rounding mode, Draw draw);

}  // namespace lamp
