#include "core/mpfr/kappa.hpp"

#include <cmath>
#include <limits>

#include "core/base/contract.hpp"
#include "core/mpfr/number.hpp"

namespace lamp::mpfr {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// phi'(y)/phi(y) = (1 + h)/y. h = y/(1 + exp y) of silu.
void silu_term(Number& h, const Number& y) {
  mpfr_exp(h.get(), y.get(), MPFR_RNDN);
  mpfr_add_ui(h.get(), h.get(), 1, MPFR_RNDN);
  mpfr_div(h.get(), y.get(), h.get(), MPFR_RNDN);
}

/// h = y 2 c0 (1 + 3 c1 y^2) / (1 + exp(2a)), a = c0 (y + c1 y^3).
void gelu_tanh_term(Number& h, const Number& y) {
  const mpfr_prec_t p = mpfr_get_prec(h.get());
  Number c0(p), square(p), exponential(p);  // 2 c0; c1 y^2
  mpfr_const_pi(c0.get(), MPFR_RNDN);
  mpfr_ui_div(c0.get(), 8, c0.get(), MPFR_RNDN);
  mpfr_sqrt(c0.get(), c0.get(), MPFR_RNDN);
  mpfr_sqr(square.get(), y.get(), MPFR_RNDN);
  mpfr_mul_ui(square.get(), square.get(), 44715, MPFR_RNDN);
  mpfr_div_ui(square.get(), square.get(), 1000000, MPFR_RNDN);
  mpfr_add_ui(exponential.get(), square.get(), 1, MPFR_RNDN);
  mpfr_mul(exponential.get(), exponential.get(), y.get(), MPFR_RNDN);
  mpfr_mul(exponential.get(), exponential.get(), c0.get(), MPFR_RNDN);
  mpfr_exp(exponential.get(), exponential.get(), MPFR_RNDN);
  mpfr_add_ui(exponential.get(), exponential.get(), 1, MPFR_RNDN);
  mpfr_mul_ui(h.get(), square.get(), 3, MPFR_RNDN);
  mpfr_add_ui(h.get(), h.get(), 1, MPFR_RNDN);
  mpfr_mul(h.get(), h.get(), c0.get(), MPFR_RNDN);
  mpfr_mul(h.get(), h.get(), y.get(), MPFR_RNDN);
  mpfr_div(h.get(), h.get(), exponential.get(), MPFR_RNDN);
}

/// h = y pdf(y)/cdf(y), cdf(y) = erfc(-y/sqrt 2)/2: y exp(-y^2/2) sqrt(2/pi) / erfc(-y/sqrt 2).
void gelu_erf_term(Number& h, const Number& y) {
  const mpfr_prec_t p = mpfr_get_prec(h.get());
  Number tail(p), factor(p);
  mpfr_sqr(tail.get(), y.get(), MPFR_RNDN);
  mpfr_div_si(tail.get(), tail.get(), -2, MPFR_RNDN);
  mpfr_exp(h.get(), tail.get(), MPFR_RNDN);
  mpfr_mul(h.get(), h.get(), y.get(), MPFR_RNDN);
  mpfr_const_pi(factor.get(), MPFR_RNDN);
  mpfr_ui_div(factor.get(), 2, factor.get(), MPFR_RNDN);
  mpfr_sqrt(factor.get(), factor.get(), MPFR_RNDN);
  mpfr_mul(h.get(), h.get(), factor.get(), MPFR_RNDN);
  mpfr_set_ui(factor.get(), 2, MPFR_RNDN);
  mpfr_rec_sqrt(factor.get(), factor.get(), MPFR_RNDN);
  mpfr_mul(factor.get(), factor.get(), y.get(), MPFR_RNDN);
  mpfr_neg(factor.get(), factor.get(), MPFR_RNDN);
  mpfr_erfc(factor.get(), factor.get(), MPFR_RNDN);
  mpfr_div(h.get(), h.get(), factor.get(), MPFR_RNDN);
}

double finish(const Number& rounded) {
  if (mpfr_cmp_d(rounded.get(), 0x1p22) > 0) return infinity;
  return mpfr_get_d(rounded.get(), MPFR_RNDN);
}

/// To p = 24; the number after rounding.
Number to_24(const Number& x) {
  Number out(24);
  mpfr_set(out.get(), x.get(), MPFR_RNDN);
  return out;
}

/// w |y|^power (1 + d), d > 0 or d < 0 and |d| < 2^-80, power 1 or -1: w |y|^power has at most 106
/// bits or is no number and no midpoint of p = 24 by 2^-78 of its size at least, so a neighbour of
/// it in many bits rounds alike.
double beside(double y, double w, int power, bool above) {
  Number q(160);
  mpfr_set_d(q.get(), std::fabs(y), MPFR_RNDN);
  if (power < 0)
    mpfr_d_div(q.get(), w, q.get(), MPFR_RNDZ);
  else
    mpfr_mul_d(q.get(), q.get(), w, MPFR_RNDZ);
  if (above)
    mpfr_nextabove(q.get());
  else
    mpfr_nextbelow(q.get());
  return finish(to_24(q));
}

/// |1 + h(y)| w / |y| of a finite y != 0 and a finite w > 0, by Ziv.
double by_ziv(void (*term)(Number&, const Number&), double y, double w) {
  const Number argument = Number::exactly(y);
  for (mpfr_prec_t p = 160; p < 1 << 16; p *= 2) {
    Number h(p), t(p), width(p);
    term(h, argument);
    // |h| has a relative error below 2^-(p - 80): the condition of exp and erfc where this is
    // called is below 2^64.
    mpfr_add_ui(t.get(), h.get(), 1, MPFR_RNDN);
    mpfr_abs(h.get(), h.get(), MPFR_RNDN);
    mpfr_add_ui(width.get(), h.get(), 1, MPFR_RNDN);
    mpfr_div_2ui(width.get(), width.get(), static_cast<unsigned long>(p - 80), MPFR_RNDN);
    mpfr_abs(t.get(), t.get(), MPFR_RNDN);
    Number low(p), high(p);
    mpfr_sub(low.get(), t.get(), width.get(), MPFR_RNDD);
    mpfr_add(high.get(), t.get(), width.get(), MPFR_RNDU);
    for (Number* end : {&low, &high}) {
      mpfr_mul_d(end->get(), end->get(), w, end == &low ? MPFR_RNDD : MPFR_RNDU);
      mpfr_div_d(end->get(), end->get(), std::fabs(y), end == &low ? MPFR_RNDD : MPFR_RNDU);
    }
    if (mpfr_sgn(low.get()) <= 0) continue;
    if (mpfr_cmp_d(low.get(), 0x1p23) > 0) return infinity;
    const Number first = to_24(low), last = to_24(high);
    if (mpfr_equal_p(first.get(), last.get()) != 0) return finish(first);
  }
  contract_violated("mpfr::kappa: Ziv's loop ends: no kappa lies on a rounding boundary");
}

/// At y = +-inf.
double at_infinity(Function phi, double y, double w) {
  if (w == 0.0) return 0.0;
  if (y > 0.0) return std::isinf(w) ? not_a_number : 0.0;  // of 1/y
  if (phi != Function::silu || std::isinf(w)) return infinity;
  return finish(to_24(Number::exactly(w)));  // silu'/silu is 1
}

}  // namespace

double kappa(Function phi, double y, double w) {
  if (std::isnan(y) || std::isnan(w)) return not_a_number;
  if (y == 0.0) return infinity;
  if (phi == Function::relu && y < 0.0) return 0.0;
  if (std::isinf(y)) return at_infinity(phi, y, w);
  if (w == 0.0) return 0.0;
  if (std::isinf(w)) return infinity;
  free_cache_with_thread();
  const ExponentRange range = ExponentRange::widest_of_all();
  if (phi == Function::relu) {
    Number q(24);
    mpfr_set_d(q.get(), y, MPFR_RNDN);
    const Number divisor = Number::exactly(y);
    mpfr_d_div(q.get(), w, divisor.get(), MPFR_RNDN);
    return finish(q);
  }
  // d = h(y) > 0: below 2^-86 of silu at 64, below 2^-101 of the others at 12
  if (y >= (phi == Function::silu ? 64.0 : 12.0)) return beside(y, w, -1, true);
  if (phi == Function::silu) return by_ziv(silu_term, y, w);
  if (phi == Function::gelu_tanh) return by_ziv(gelu_tanh_term, y, w);
  expects(phi == Function::gelu_erf, "mpfr::kappa: an activation");
  // pdf/cdf at y = -a is a + 1/a - 2/a^3 + ..: kappa = w a (1 - d), d < 2/a^4
  return y <= -0x1p30 ? beside(y, w, 1, false) : by_ziv(gelu_erf_term, y, w);
}

double relative_kappa(Function phi, double y) {
  if (y == 0.0) return 1.0;
  if (std::isinf(y)) return y > 0.0 ? 1.0 : phi == Function::relu ? 0.0 : infinity;
  return kappa(phi, y, std::fabs(y));
}

}  // namespace lamp::mpfr
