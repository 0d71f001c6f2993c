#include "core/mpfr/operations.hpp"

#include "core/mpfr/rounding.hpp"

namespace lamp::mpfr {
namespace {

/// operation(r, rounding) -> ternary, then once to the format.
template <class Operation>
double rounded(const FloatFormat& format, Rounding mode, Operation&& operation) {
  const ExponentRange range = ExponentRange::wide();
  Number r(working_precision);
  round_to_odd(r, operation(r.get(), MPFR_RNDZ));
  // An exact zero sum: its sign is the mode's, which MPFR knows.
  if (mode == Rounding::rtn && mpfr_zero_p(r.get()) != 0) operation(r.get(), MPFR_RNDD);
  return to_format(r, format, mode);
}

}  // namespace

double round(double x, const FloatFormat& format, Rounding mode) {
  const ExponentRange range = ExponentRange::wide();
  Number r(working_precision);
  mpfr_set_d(r.get(), x, MPFR_RNDN);
  return to_format(r, format, mode);
}

double add(double a, double b, const FloatFormat& format, Rounding mode) {
  const Number x = Number::exactly(a), y = Number::exactly(b);
  return rounded(format, mode, [&](mpfr_ptr r, mpfr_rnd_t rnd) { return mpfr_add(r, x.get(), y.get(), rnd); });
}

double sub(double a, double b, const FloatFormat& format, Rounding mode) {
  const Number x = Number::exactly(a), y = Number::exactly(b);
  return rounded(format, mode, [&](mpfr_ptr r, mpfr_rnd_t rnd) { return mpfr_sub(r, x.get(), y.get(), rnd); });
}

double mul(double a, double b, const FloatFormat& format, Rounding mode) {
  const Number x = Number::exactly(a), y = Number::exactly(b);
  return rounded(format, mode, [&](mpfr_ptr r, mpfr_rnd_t rnd) { return mpfr_mul(r, x.get(), y.get(), rnd); });
}

double div(double a, double b, const FloatFormat& format, Rounding mode) {
  const Number x = Number::exactly(a), y = Number::exactly(b);
  return rounded(format, mode, [&](mpfr_ptr r, mpfr_rnd_t rnd) { return mpfr_div(r, x.get(), y.get(), rnd); });
}

double fma(double a, double b, double c, const FloatFormat& format, Rounding mode) {
  const Number x = Number::exactly(a), y = Number::exactly(b), z = Number::exactly(c);
  return rounded(format, mode, [&](mpfr_ptr r, mpfr_rnd_t rnd) { return mpfr_fma(r, x.get(), y.get(), z.get(), rnd); });
}

double sqrt(double a, const FloatFormat& format, Rounding mode) {
  const Number x = Number::exactly(a);
  return rounded(format, mode, [&](mpfr_ptr r, mpfr_rnd_t rnd) { return mpfr_sqrt(r, x.get(), rnd); });
}

}  // namespace lamp::mpfr
