#include "core/mpfr/operations.hpp"

#include "core/mpfr/rounding.hpp"

namespace lamp::mpfr {
namespace {

/// MPFR's operation on the exact operands, then one rounding to the format.
template <class Operation, class... Operands>
double rounded(Operation* operation, const FloatFormat& format, Rounding mode, Operands... operands) {
  const ExponentRange range = ExponentRange::wide();  // before the operands: they need it too
  return [&](const auto&... x) {
    Number r(working_precision);
    round_to_odd(r, operation(r.get(), x.get()..., MPFR_RNDZ));
    // An exact zero sum: its sign is the mode's, which MPFR knows.
    if (mode == Rounding::rtn && mpfr_zero_p(r.get()) != 0) operation(r.get(), x.get()..., MPFR_RNDD);
    return to_format(r, format, mode);
  }(Number::exactly(operands)...);
}

}  // namespace

double round(double x, const FloatFormat& format, Rounding mode) {
  const ExponentRange range = ExponentRange::wide();
  Number r(working_precision);
  mpfr_set_d(r.get(), x, MPFR_RNDN);
  return to_format(r, format, mode);
}

double add(double a, double b, const FloatFormat& format, Rounding mode) { return rounded(mpfr_add, format, mode, a, b); }
double sub(double a, double b, const FloatFormat& format, Rounding mode) { return rounded(mpfr_sub, format, mode, a, b); }
double mul(double a, double b, const FloatFormat& format, Rounding mode) { return rounded(mpfr_mul, format, mode, a, b); }
double div(double a, double b, const FloatFormat& format, Rounding mode) { return rounded(mpfr_div, format, mode, a, b); }
double fma(double a, double b, double c, const FloatFormat& format, Rounding mode) { return rounded(mpfr_fma, format, mode, a, b, c); }
double sqrt(double a, const FloatFormat& format, Rounding mode) { return rounded(mpfr_sqrt, format, mode, a); }

}  // namespace lamp::mpfr
