#include "core/fp/stochastic.hpp"

#include "core/base/contract.hpp"
#include "core/mpfr/functions.hpp"

namespace lamp {

double evaluate(Function f, double x, const FloatFormat& format, Rounding mode, Draw draw) {
  expects(mode == Rounding::sr || mode == Rounding::sre, "evaluate with a draw: a stochastic mode");
  return mpfr::evaluate(f, x, format, mode, draw);
}

}  // namespace lamp
