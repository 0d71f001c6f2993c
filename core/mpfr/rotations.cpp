#include "core/mpfr/rotations.hpp"

#include "core/base/contract.hpp"
#include "core/mpfr/outputs.hpp"
#include "core/mpfr/rounding.hpp"

namespace lamp::mpfr {
namespace {

/// f = theta^(-2j/d) and what Llama 3 makes of it, with a relative error below 2^(12 - w), w the
/// bits of f.
void frequency(Number& f, const Rope& rope, std::size_t j, std::size_t d) {
  free_cache_with_thread();
  const mpfr_prec_t w = mpfr_get_prec(f.get());
  Number exponent(w), waves(w), share(w), scaled(w);
  mpfr_set_d(f.get(), rope.theta, MPFR_RNDN);
  mpfr_set_ui(exponent.get(), 2 * j, MPFR_RNDN);
  mpfr_div_ui(exponent.get(), exponent.get(), d, MPFR_RNDN);
  mpfr_neg(exponent.get(), exponent.get(), MPFR_RNDN);
  mpfr_pow(f.get(), f.get(), exponent.get(), MPFR_RNDN);
  if (!rope.scaling) return;
  const Rope::Llama3& s = *rope.scaling;
  mpfr_const_pi(waves.get(), MPFR_RNDN);  // positions f / (2 pi)
  mpfr_mul_2ui(waves.get(), waves.get(), 1, MPFR_RNDN);
  mpfr_div(waves.get(), f.get(), waves.get(), MPFR_RNDN);
  mpfr_mul_d(waves.get(), waves.get(), s.positions, MPFR_RNDN);
  if (mpfr_cmp_d(waves.get(), s.high) > 0) return;
  mpfr_div_d(scaled.get(), f.get(), s.factor, MPFR_RNDN);
  if (mpfr_cmp_d(waves.get(), s.low) < 0) return mpfr_swap(f.get(), scaled.get());
  mpfr_sub_d(share.get(), waves.get(), s.low, MPFR_RNDN);
  Number range(w);
  mpfr_set_d(range.get(), s.high, MPFR_RNDN);
  mpfr_sub_d(range.get(), range.get(), s.low, MPFR_RNDN);
  mpfr_div(share.get(), share.get(), range.get(), MPFR_RNDN);
  mpfr_mul(f.get(), f.get(), share.get(), MPFR_RNDN);
  mpfr_ui_sub(share.get(), 1, share.get(), MPFR_RNDN);
  mpfr_fma(f.get(), share.get(), scaled.get(), f.get(), MPFR_RNDN);
}

void set(double& value, const Number& x, const FloatFormat& format) {
  Number rounded(format.p);
  to_format(rounded, x, format, Rounding::rne, {});
  value = to_binary64(rounded);
}
void set(Number& value, const Number& x, const FloatFormat& format) {
  Number rounded(format.p);
  mpfr_set(rounded.get(), x.get(), MPFR_RNDN);
  value = std::move(rounded);
}
bool same(double x, double y) { return x == y; }
bool same(const Number& x, const Number& y) { return mpfr_equal_p(x.get(), y.get()) != 0; }

}  // namespace

/// Ziv: y +- 2^-(w - 40) rounds to one number, or w grows; an angle below 2^25 is known to
/// 2^(38 - w).
template <class Value>
std::pair<Value, Value> Rotations::at(std::size_t position, std::size_t j,
                                      const FloatFormat& format) const {
  expects(position < (std::size_t{1} << 24) && 2 * j < d_, "Rotations: j < d/2, a position < 2^24");
  Number one(2), zero(2);
  mpfr_set_ui(one.get(), 1, MPFR_RNDN), mpfr_set_zero(zero.get(), 1);
  std::pair<Value, Value> value{};
  if (position == 0) {
    set(value.first, one, format), set(value.second, zero, format);
    return value;
  }
  for (mpfr_prec_t w = format.p + 128;; w *= 2) {
    expects(w < 64 * (format.p + 128), "Rotations: no cosine lies on a rounding boundary");
    Number angle(w), cosine(w), sine(w), error(2);
    frequency(angle, rope_, j, d_);
    mpfr_mul_ui(angle.get(), angle.get(), position, MPFR_RNDN);
    mpfr_sin_cos(sine.get(), cosine.get(), angle.get(), MPFR_RNDN);
    mpfr_set_ui_2exp(error.get(), 1, 40 - w, MPFR_RNDN);
    const auto known = [&](Value& y, const Number& x) {
      Number low(w + 64), high(w + 64);
      mpfr_sub(low.get(), x.get(), error.get(), MPFR_RNDN);
      mpfr_add(high.get(), x.get(), error.get(), MPFR_RNDN);
      Value last{};
      set(y, low, format), set(last, high, format);
      return same(y, last);
    };
    if (known(value.first, cosine) && known(value.second, sine)) return value;
  }
}

template std::pair<double, double> Rotations::at(std::size_t, std::size_t,
                                                 const FloatFormat&) const;
template std::pair<Number, Number> Rotations::at(std::size_t, std::size_t,
                                                 const FloatFormat&) const;

}  // namespace lamp::mpfr
