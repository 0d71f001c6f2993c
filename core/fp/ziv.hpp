// Ziv's strategy for p <= 24: a binary64 first step with a bound of its error, MPFR where that
// bound leaves two roundings possible.
#pragma once

#include "core/fp/elementary.hpp"

namespace lamp::ziv {

/// abs(y - f(x)) < bound abs(y) for every first step y = f(x) of core/fp/binary64.hpp that is a
/// normal number: they are within 1 ulp, at most 2^-52 abs(y); doubled so that the ends of the
/// enclosure may themselves be rounded.
inline constexpr double bound = 0x1p-51;

double first_step(Function f, double x);

/// f(x) correctly rounded, given its first step y. `error` replaces the bound in tests: one too
/// small gives wrong bits. Pre: fits_binary64(format), p <= 24, mode is deterministic.
double finish(Function f, double x, double y, const FloatFormat& format, Rounding mode,
              double error = bound);

}  // namespace lamp::ziv
