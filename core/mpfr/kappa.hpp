// The condition number that LAMP weighs a component of an activation with, on MPFR: the definition,
// and the last step of Ziv's strategy in core/selection.
#pragma once

#include "core/fp/elementary.hpp"

namespace lamp::mpfr {

/// kappa = |phi'(y)| w / |phi(y)| of the real function phi (gelu_tanh, gelu_erf, silu or relu),
/// correctly rounded to p = 24, RNE, exponent unbounded; then as a binary64 number, and infinite
/// where it is above 2^22. relu has 0 for y < 0. At y = 0 infinite; at infinite y and w the limit,
/// where there is one, else NaN; NaN of NaN; 0 of w = 0 elsewhere. w >= 0.
double kappa(Function phi, double y, double w);
/// The same with w = |y|: 1 at y = 0.
double relative_kappa(Function phi, double y);

}  // namespace lamp::mpfr
