#include "core/mpfr/functions.hpp"

#include <algorithm>
#include <cmath>

#include "core/mpfr/rounding.hpp"

namespace lamp::mpfr {
namespace {

/// Extra bits of every intermediate of GELU and silu. Where it is evaluated |x| < 2^16, so |t| <
/// 2^44: the condition numbers of exp(-2t) and erfc(-x / sqrt 2) stay under 2^46, and a result
/// computed with w + guard bits has a relative error far below 2^-w. silu(x) = x / (1 + exp(-x))
/// takes exp of a number that is exact.
constexpr mpfr_prec_t guard = 64;

/// t = sqrt(2/pi) (x + 0.044715 x^3): all terms of one sign, no cancellation.
void tanh_argument(Number& t, const Number& x) {
  Number factor(mpfr_get_prec(t.get()));
  mpfr_const_pi(factor.get(), MPFR_RNDN);
  mpfr_ui_div(factor.get(), 2, factor.get(), MPFR_RNDN);
  mpfr_sqrt(factor.get(), factor.get(), MPFR_RNDN);
  mpfr_sqr(t.get(), x.get(), MPFR_RNDN);
  mpfr_mul_ui(t.get(), t.get(), 44715, MPFR_RNDN);
  mpfr_div_ui(t.get(), t.get(), 1000000, MPFR_RNDN);
  mpfr_add_ui(t.get(), t.get(), 1, MPFR_RNDN);
  mpfr_mul(t.get(), t.get(), x.get(), MPFR_RNDN);
  mpfr_mul(t.get(), t.get(), factor.get(), MPFR_RNDN);
}

/// y = x / (1 + exp(y)).
void divide_by_1_plus_exp(Number& y, const Number& x) {
  mpfr_exp(y.get(), y.get(), MPFR_RNDN);
  mpfr_add_ui(y.get(), y.get(), 1, MPFR_RNDN);
  mpfr_div(y.get(), x.get(), y.get(), MPFR_RNDN);
}

/// y = x/2 (1 + tanh t) = x / (1 + exp(-2t)).
void gelu_tanh(Number& y, const Number& x) {
  tanh_argument(y, x);
  mpfr_mul_si(y.get(), y.get(), -2, MPFR_RNDN);
  divide_by_1_plus_exp(y, x);
}

void silu(Number& y, const Number& x) {
  mpfr_neg(y.get(), x.get(), MPFR_RNDN);  // exact: y has more bits than x
  divide_by_1_plus_exp(y, x);
}

/// y = x/2 (1 + erf(x / sqrt 2)) = x/2 erfc(-x / sqrt 2).
void gelu_erf(Number& y, const Number& x) {
  mpfr_set_ui(y.get(), 2, MPFR_RNDN);
  mpfr_rec_sqrt(y.get(), y.get(), MPFR_RNDN);
  mpfr_mul(y.get(), y.get(), x.get(), MPFR_RNDN);
  mpfr_neg(y.get(), y.get(), MPFR_RNDN);
  mpfr_erfc(y.get(), y.get(), MPFR_RNDN);
  mpfr_mul(y.get(), y.get(), x.get(), MPFR_RNDN);
  mpfr_div_2ui(y.get(), y.get(), 1, MPFR_RNDN);
}

/// out = f(x) by Ziv: the interval y (1 +- 2^-w) rounds to one number, or w grows (with the draw
/// given, every rounding is monotone). GELU and silu have no exact cases but zero and the
/// infinities. Pre: out has precision format.p.
void ziv(Number& out, void (*function)(Number&, const Number&), const Number& x,
         const FloatFormat& format, Rounding mode, Draw draw) {
  const mpfr_prec_t bits = mpfr_get_prec(x.get()) + format.p;
  for (mpfr_prec_t w = 96 + bits / 128 * 128; w < (1 << 16) + 64 * bits; w *= 2) {
    Number y(w + guard), width(w + guard), low(w + guard), high(w + guard), last(format.p);
    function(y, x);
    mpfr_div_2ui(width.get(), y.get(), static_cast<unsigned long>(w), MPFR_RNDN);
    mpfr_sub(low.get(), y.get(), width.get(), MPFR_RNDN);
    mpfr_add(high.get(), y.get(), width.get(), MPFR_RNDN);
    to_format(out, low, format, mode, draw);
    to_format(last, high, format, mode, draw);
    const bool both_nan = mpfr_nan_p(out.get()) != 0 && mpfr_nan_p(last.get()) != 0;
    if (both_nan || (mpfr_equal_p(out.get(), last.get()) != 0)) return;
  }
  contract_violated("mpfr::evaluate: Ziv's loop ends: no result lies on a rounding boundary");
}

/// GELU and silu where they are next to a number that is known: false elsewhere. Both are x g(x)
/// with g rising from 0 to 1 and 1 - g(x) = g(-x).
bool is_beside(Number& r, Function f, const Number& x, const FloatFormat& format) {
  if (mpfr_number_p(x.get()) == 0 || mpfr_zero_p(x.get()) != 0) {
    mpfr_set(r.get(), x.get(), MPFR_RNDN);
    if (mpfr_inf_p(x.get()) != 0 && mpfr_signbit(x.get()) != 0) mpfr_set_zero(r.get(), -1);
    return true;
  }
  const auto bits = static_cast<double>(mpfr_get_prec(r.get()) + 2);
  // x (1 - d), 0 < d < 2^-bits: erfc(x / sqrt 2) < exp(-x^2/2), exp(-2t) < exp(-0.07 x^3); silu has
  // d < exp(-x), and log 2 < 0.7
  const double right = f == Function::silu ? 0.7 * bits : std::sqrt(1.4 * bits);
  if (mpfr_cmp_d(x.get(), std::max(32.0, right)) >= 0) {
    mpfr_set(r.get(), x.get(), MPFR_RNDN);
    mpfr_nextbelow(r.get());
    return true;
  }
  // -d, 0 < d < 2^-(10^9 + 10^5), or 2^-100'000, below every format, by the same bounds; silu has d
  // < -x exp(x): 2^-1'009'886'000 at -7e8, 2^-115'000 at -8e4
  const bool near = format.emin > -50'000;
  const double left = f == Function::silu       ? (near ? -8e4 : -7e8)
                      : near                    ? -1000.0
                      : f == Function::gelu_erf ? -40'000.0
                                                : -4000.0;
  if (mpfr_cmp_d(x.get(), left) <= 0) {
    mpfr_set_si_2exp(r.get(), -1, near ? -100'000 : -2'000'000'000, MPFR_RNDN);
    return true;
  }
  // x/2 + d, 0 < d < x^2/2
  if (static_cast<double>(mpfr_get_exp(x.get())) < -bits) {
    mpfr_div_2ui(r.get(), x.get(), 1, MPFR_RNDN);
    mpfr_nextabove(r.get());
    return true;
  }
  return false;
}

/// Whether the result may be the argument or a neighbour of it.
bool holds_argument(Function f) {
  return f == Function::gelu_tanh || f == Function::gelu_erf || f == Function::silu ||
         f == Function::relu;
}

}  // namespace

void evaluate(Number& out, Function f, const Number& x, const FloatFormat& format, Rounding mode,
              Draw draw) {
  free_cache_with_thread();
  mpfr_prec_t precision = std::max<mpfr_prec_t>(working_precision, format.p + odd_bits);
  if (holds_argument(f)) precision = std::max<mpfr_prec_t>(precision, mpfr_get_prec(x.get()) + 2);
  Number r(precision);
  switch (f) {  // MPFR rounds all but the activations correctly and says whether they are exact
    case Function::exp:
      round_to_odd(r, mpfr_exp(r.get(), x.get(), MPFR_RNDZ));
      break;
    case Function::exp2:
      round_to_odd(r, mpfr_exp2(r.get(), x.get(), MPFR_RNDZ));
      break;
    case Function::log:
      round_to_odd(r, mpfr_log(r.get(), x.get(), MPFR_RNDZ));
      break;
    case Function::tanh:
      round_to_odd(r, mpfr_tanh(r.get(), x.get(), MPFR_RNDZ));
      break;
    case Function::erf:
      round_to_odd(r, mpfr_erf(r.get(), x.get(), MPFR_RNDZ));
      break;
    case Function::reciprocal:
      round_to_odd(r, mpfr_ui_div(r.get(), 1, x.get(), MPFR_RNDZ));
      break;
    case Function::rsqrt:
      round_to_odd(r, mpfr_rec_sqrt(r.get(), x.get(), MPFR_RNDZ));
      if (mpfr_zero_p(x.get()) != 0)
        mpfr_set_inf(r.get(), mpfr_signbit(x.get()) != 0 ? -1 : 1);  // MPFR has +inf for -0
      break;
    case Function::gelu_tanh:
      if (!is_beside(r, f, x, format)) return ziv(out, gelu_tanh, x, format, mode, draw);
      break;
    case Function::gelu_erf:
      if (!is_beside(r, f, x, format)) return ziv(out, gelu_erf, x, format, mode, draw);
      break;
    case Function::silu:
      if (!is_beside(r, f, x, format)) return ziv(out, silu, x, format, mode, draw);
      break;
    case Function::relu:
      if (mpfr_nan_p(x.get()) != 0 || mpfr_sgn(x.get()) > 0)
        mpfr_set(r.get(), x.get(), MPFR_RNDN);
      else
        mpfr_set_zero(r.get(), 1);
      break;
  }
  to_format(out, r, format, mode, draw);
}

double evaluate(Function f, double x, const FloatFormat& format, Rounding mode, Draw draw) {
  expects(fits_binary64(format), "mpfr::evaluate: fits_binary64(format)");
  const ExponentRange range = ExponentRange::wide();
  Number out(format.p);
  evaluate(out, f, Number::exactly(x), format, mode, draw);
  return mpfr_get_d(out.get(), MPFR_RNDN);
}

Real evaluate(Function f, const Real& x, const FloatFormat& format, Rounding mode, Draw draw) {
  const ExponentRange range = ExponentRange::wide();
  Number argument(mpfr_get_prec(x.get())), out(format.p);
  mpfr_set(argument.get(), x.get(), MPFR_RNDN);
  evaluate(out, f, argument, format, mode, draw);
  return Real(out);
}

double evaluate(Function f, double x, const FloatFormat& format, Rounding mode) {
  expects(!is_stochastic(mode), "mpfr::evaluate: a stochastic mode comes with a draw");
  return mpfr::evaluate(f, x, format, mode, Draw{});
}

}  // namespace lamp::mpfr
