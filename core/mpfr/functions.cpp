#include "core/mpfr/functions.hpp"

#include <cmath>
#include <limits>

#include "core/mpfr/rounding.hpp"

namespace lamp::mpfr {
namespace {

/// Extra bits of every intermediate of GELU. Where it is evaluated |x| < 1000, so |t| < 2^26: the condition numbers of exp(-2t) and
/// erfc(-x / sqrt 2) stay under 2^28, and a result computed with w + guard bits has a relative error far below 2^-w.
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

/// y = x/2 (1 + tanh t) = x / (1 + exp(-2t)).
void gelu_tanh(Number& y, const Number& x) {
  tanh_argument(y, x);
  mpfr_mul_si(y.get(), y.get(), -2, MPFR_RNDN);
  mpfr_exp(y.get(), y.get(), MPFR_RNDN);
  mpfr_add_ui(y.get(), y.get(), 1, MPFR_RNDN);
  mpfr_div(y.get(), x.get(), y.get(), MPFR_RNDN);
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

/// Ziv: the interval y (1 +- 2^-w) rounds to one number, or w grows (with the draw given, every rounding is monotone). GELU has no exact
/// cases but zero and the infinities.
double ziv(void (*function)(Number&, const Number&), const Number& x, const FloatFormat& format, Rounding mode, Draw draw) {
  for (mpfr_prec_t w = 96; w < 1 << 16; w *= 2) {
    Number y(w + guard), width(w + guard), low(w + guard), high(w + guard);
    function(y, x);
    mpfr_div_2ui(width.get(), y.get(), static_cast<unsigned long>(w), MPFR_RNDN);
    mpfr_sub(low.get(), y.get(), width.get(), MPFR_RNDN);
    mpfr_add(high.get(), y.get(), width.get(), MPFR_RNDN);
    const double first = to_format(low, format, mode, draw), last = to_format(high, format, mode, draw);
    if (first == last || (std::isnan(first) && std::isnan(last))) return first;
  }
  contract_violated("mpfr::evaluate: Ziv's loop ends: no result lies on a rounding boundary");
}

double gelu(Function f, double x, const FloatFormat& format, Rounding mode, Draw draw) {
  const bool erf_form = f == Function::gelu_erf;
  Number argument = Number::exactly(x), r(working_precision);
  if (!std::isfinite(x) || x == 0.0) {
    mpfr_set_d(r.get(), x == -std::numeric_limits<double>::infinity() ? -0.0 : x, MPFR_RNDN);
    return to_format(r, format, mode, draw);
  }
  // Far out, GELU(x) is x (1 - d) with 0 < d < 2^-200, or -d with 0 < d < 2^-100000: any such number rounds alike.
  if (x >= 32.0) {  // exp(-2t) < exp(-2 * 0.79 * (32 + 1465)), erfc(32 / sqrt 2) < exp(-512)
    mpfr_set_d(r.get(), x, MPFR_RNDN);
    mpfr_nextbelow(r.get());
    return to_format(r, format, mode, draw);
  }
  if (x <= -1000.0) {  // exp(2t) < exp(-2 * 0.79 * 0.0447e9), erfc(1000 / sqrt 2) < exp(-500000)
    mpfr_set_si_2exp(r.get(), -1, -100000, MPFR_RNDN);
    return to_format(r, format, mode, draw);
  }
  return ziv(erf_form ? gelu_erf : gelu_tanh, argument, format, mode, draw);
}

/// MPFR caches constants per thread; they go with the thread.
struct ConstantCache {
  ~ConstantCache() { mpfr_free_cache2(MPFR_FREE_LOCAL_CACHE); }
};

}  // namespace

double evaluate(Function f, double x, const FloatFormat& format, Rounding mode, Draw draw) {
  static thread_local const ConstantCache cache;
  const ExponentRange range = ExponentRange::wide();
  const Number argument = Number::exactly(x);
  Number r(working_precision);
  switch (f) {  // MPFR rounds all but GELU correctly and says whether they are exact
    case Function::exp:
      round_to_odd(r, mpfr_exp(r.get(), argument.get(), MPFR_RNDZ));
      break;
    case Function::exp2:
      round_to_odd(r, mpfr_exp2(r.get(), argument.get(), MPFR_RNDZ));
      break;
    case Function::log:
      round_to_odd(r, mpfr_log(r.get(), argument.get(), MPFR_RNDZ));
      break;
    case Function::tanh:
      round_to_odd(r, mpfr_tanh(r.get(), argument.get(), MPFR_RNDZ));
      break;
    case Function::erf:
      round_to_odd(r, mpfr_erf(r.get(), argument.get(), MPFR_RNDZ));
      break;
    case Function::reciprocal:
      round_to_odd(r, mpfr_ui_div(r.get(), 1, argument.get(), MPFR_RNDZ));
      break;
    case Function::rsqrt:
      round_to_odd(r, mpfr_rec_sqrt(r.get(), argument.get(), MPFR_RNDZ));
      if (x == 0.0) mpfr_set_inf(r.get(), std::signbit(x) ? -1 : 1);  // MPFR has +inf for -0
      break;
    case Function::gelu_tanh:
    case Function::gelu_erf:
      return gelu(f, x, format, mode, draw);
  }
  return to_format(r, format, mode, draw);
}

double evaluate(Function f, double x, const FloatFormat& format, Rounding mode) {
  expects(mode < Rounding::sr, "mpfr::evaluate: a stochastic mode comes with a draw");
  return mpfr::evaluate(f, x, format, mode, Draw{});
}

}  // namespace lamp::mpfr
