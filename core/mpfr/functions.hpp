// Elementary functions on MPFR, correctly rounded: the definition, and the last step of Ziv's
// strategy in core/fp.
#pragma once

#include "core/fp/elementary.hpp"
#include "core/fp/format.hpp"
#include "core/fp/rounding.hpp"
#include "core/mpfr/real.hpp"

namespace lamp::mpfr {

/// f(x) correctly rounded to `format` (any p <= 53), with the real constants and special values
/// that core/fp/elementary.hpp states. Thread-safe; leaves the exponent range of the thread as it
/// was. Pre: fits_binary64(format), mode is deterministic.
double evaluate(Function f, double x, const FloatFormat& format, Rounding mode = Rounding::rne);
/// In any mode.
double evaluate(Function f, double x, const FloatFormat& format, Rounding mode, Draw draw);
/// out = f(x) in `format`. Pre: out has precision format.p; check_format(format); the exponent
/// range of the thread is wide.
void evaluate(Number& out, Function f, const Number& x, const FloatFormat& format, Rounding mode,
              Draw draw);
/// On numbers of any precision, to any format and in any mode. Pre: check_format(format), 1 <=
/// draw.bits <= 32.
Real evaluate(Function f, const Real& x, const FloatFormat& format, Rounding mode = Rounding::rne,
              Draw draw = {});

}  // namespace lamp::mpfr
