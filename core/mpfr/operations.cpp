#include "core/mpfr/operations.hpp"

#include "core/mpfr/rounding.hpp"

namespace lamp::mpfr {
namespace {

/// MPFR's operation on the exact operands, then one rounding to the format.
template <class Operation, class... Operands>
double rounded(Operation* operation, const FloatFormat& format, Rounding mode, Draw draw,
               Operands... operands) {
  const ExponentRange range = ExponentRange::wide();  // before the operands: they need it too
  return [&](const auto&... x) {
    Number r(working_precision);
    apply_to_odd(r, operation, mode, x...);
    return to_format(r, format, mode, draw);
  }(Number::exactly(operands)...);
}

void check(Rounding mode) {
  expects(!is_stochastic(mode), "mpfr: a stochastic mode comes with a draw");
}

}  // namespace

double round(double x, const FloatFormat& format, Rounding mode, Draw draw) {
  const ExponentRange range = ExponentRange::wide();
  Number r(working_precision);
  mpfr_set_d(r.get(), x, MPFR_RNDN);
  return to_format(r, format, mode, draw);
}

double add(double a, double b, const FloatFormat& f, Rounding mode, Draw draw) {
  return rounded(mpfr_add, f, mode, draw, a, b);
}
double sub(double a, double b, const FloatFormat& f, Rounding mode, Draw draw) {
  return rounded(mpfr_sub, f, mode, draw, a, b);
}
double mul(double a, double b, const FloatFormat& f, Rounding mode, Draw draw) {
  return rounded(mpfr_mul, f, mode, draw, a, b);
}
double div(double a, double b, const FloatFormat& f, Rounding mode, Draw draw) {
  return rounded(mpfr_div, f, mode, draw, a, b);
}
double fma(double a, double b, double c, const FloatFormat& f, Rounding mode, Draw draw) {
  return rounded(mpfr_fma, f, mode, draw, a, b, c);
}
double sqrt(double a, const FloatFormat& f, Rounding mode, Draw draw) {
  return rounded(mpfr_sqrt, f, mode, draw, a);
}

double round(double x, const FloatFormat& f, Rounding mode) {
  return check(mode), mpfr::round(x, f, mode, Draw{});
}
double add(double a, double b, const FloatFormat& f, Rounding mode) {
  return check(mode), mpfr::add(a, b, f, mode, Draw{});
}
double sub(double a, double b, const FloatFormat& f, Rounding mode) {
  return check(mode), mpfr::sub(a, b, f, mode, Draw{});
}
double mul(double a, double b, const FloatFormat& f, Rounding mode) {
  return check(mode), mpfr::mul(a, b, f, mode, Draw{});
}
double div(double a, double b, const FloatFormat& f, Rounding mode) {
  return check(mode), mpfr::div(a, b, f, mode, Draw{});
}
double fma(double a, double b, double c, const FloatFormat& f, Rounding mode) {
  return check(mode), mpfr::fma(a, b, c, f, mode, Draw{});
}
double sqrt(double a, const FloatFormat& f, Rounding mode) {
  return check(mode), mpfr::sqrt(a, f, mode, Draw{});
}

}  // namespace lamp::mpfr
