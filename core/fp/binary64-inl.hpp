// The binary64 functions, written once for one number and for a vector of them (vector-inl.hpp): R
// is double or Vector. Branch-free: every path is computed and one selected, so the sequence of
// operations does not depend on the data. Polynomials are in coefficients.hpp; how the error bounds
// follow is in core/fp/README.md. Included once for each Highway target.
#include <limits>

#include "core/fp/coefficients.hpp"
#include "core/fp/vector-inl.hpp"

#if defined(LAMP_FP_BINARY64_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef LAMP_FP_BINARY64_INL_HPP
#undef LAMP_FP_BINARY64_INL_HPP
#else
#define LAMP_FP_BINARY64_INL_HPP
#endif

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
inline constexpr Bits64 sign_bit = Bits64{1} << 63;
inline constexpr double to_integer =
    0x1.8p52;  // t = x + to_integer holds the nearest integer to x in its last bits, abs(x) < 2^51

template <class R>
HWY_INLINE R magnitude(R x) {
  return from_bits(bits(x) & ~sign_bit);
}
template <class R>
HWY_INLINE R with_sign_of(R x, R sign) {
  return from_bits((bits(x) & ~sign_bit) | (bits(sign) & sign_bit));
}

// Unevaluated sums hi + lo [Dekker; Higham section 4.3].

template <class R>
struct Pair {
  R hi, lo;
};

/// a + b exactly; abs(a) >= abs(b), or a = 0.
template <class R>
HWY_INLINE Pair<R> fast_two_sum(R a, R b) {
  const R s = a + b;
  return {s, (a - s) + b};
}

/// a + b exactly.
template <class R>
HWY_INLINE Pair<R> two_sum(R a, R b) {
  const R s = a + b;
  const R b_part = s - a;
  return {s, (a - (s - b_part)) + (b - b_part)};
}

/// a b exactly, barring underflow.
template <class R>
HWY_INLINE Pair<R> two_product(R a, R b) {
  const R p = a * b;
  return {p, mul_add(a, b, -p)};
}

template <class R, std::size_t n>
HWY_INLINE R horner(const double (&c)[n], R x) {
  R y = c[n - 1];
  for (std::size_t i = n - 1; i-- > 0;) y = mul_add(y, x, R(c[i]));
  return y;
}

// exp

/// exp(x) = 2^k (1 + r + half_square + rest): abs(r) <= ln(2)/2, half_square is r^2/2 rounded, rest
/// < 2^-7 all that is missing, with an error below 2^-57. k is also in the last bits of k_bits.
template <class R>
struct ReducedExp {
  R k, k_bits, r, half_square, rest;
};

/// 2^k exp(r), r a pair.
template <class R>
HWY_INLINE ReducedExp<R> reduced_exp(R k, R k_bits, Pair<R> r) {
  const Pair<R> square = two_product(r.hi, r.hi);
  const R half(0.5);
  const R lost = mul_add(half, square.lo, mul_add(r.lo, r.hi, r.lo));  // of r and of r^2/2
  return {k, k_bits, r.hi, half * square.hi,
          mul_add(r.hi * square.hi, horner(coefficients::exp_cubic, r.hi), lost)};
}

/// exp of x = x_hi + x_lo, -1000 < x_hi < 711, abs(x_lo) <= ulp(x_hi). x_hi - k ln2_hi is exact: a
/// multiple of the last place of ln2_hi (or of x_hi, if that is smaller) not above 0.35.
template <class R>
HWY_INLINE ReducedExp<R> reduce_exp(R x_hi, R x_lo) {
  const R k_bits = mul_add(x_hi, R(coefficients::log2_e), R(to_integer));
  const R k = k_bits - R(to_integer);
  const R r_hi = mul_add(-k, R(coefficients::ln2_hi), x_hi);
  const R r_lo = mul_add(-k, R(coefficients::ln2_lo), x_lo);
  return reduced_exp(k, k_bits, fast_two_sum(r_hi, r_lo));
}

/// exp(x) 2^-k, in [0.70, 1.42], as hi + lo, abs(lo) <= ulp(hi)/2; error below 2^-57.
template <class R>
HWY_INLINE Pair<R> significand(const ReducedExp<R>& e) {
  const Pair<R> linear = fast_two_sum(R(1.0), e.r);
  const Pair<R> quadratic = fast_two_sum(linear.hi, e.half_square);
  return fast_two_sum(quadratic.hi, (linear.lo + quadratic.lo) + e.rest);
}

/// y 2^k in two exact steps, or one rounding where the result is subnormal; -1500 < k < 1025.
template <class R>
HWY_INLINE R scale(R y, R k_bits) {
  const auto biased = bits(k_bits) - (std::bit_cast<Bits64>(to_integer) - 2046);  // k + 2046 > 0
  const auto half = shift_right<1>(biased);
  return y * from_bits(shift_left<52>(half)) * from_bits(shift_left<52>(biased - half));
}

/// 2^k, -1022 <= k <= 1023.
template <class R>
HWY_INLINE R power_of_two(R k_bits) {
  return from_bits(shift_left<52>(bits(k_bits) - (std::bit_cast<Bits64>(to_integer) - 1023)));
}

template <class R>
HWY_INLINE R clamp(R x, double low, double high) {  // NaN stays
  return select(x < R(low), R(low), select(x > R(high), R(high), x));
}

template <class R>
HWY_INLINE R exp(R x) {
  const ReducedExp<R> e = reduce_exp(clamp(x, -746.0, 710.0), R(0.0));
  return scale(significand(e).hi, e.k_bits);
}

/// 2^x = 2^k exp((x - k) ln 2): x - k is exact, and so is the result at integers.
template <class R>
HWY_INLINE R exp2(R x) {
  const R limited = clamp(x, -1080.0, 1024.0);
  const R k_bits = limited + R(to_integer);
  const R k = k_bits - R(to_integer);
  const R t = limited - k;
  const Pair<R> r = two_product(t, R(coefficients::ln2_hi));
  const ReducedExp<R> e =
      reduced_exp(k, k_bits, fast_two_sum(r.hi, mul_add(t, R(coefficients::ln2_lo), r.lo)));
  return scale(significand(e).hi, e.k_bits);
}

template <class R>
HWY_INLINE R expm1(R x) {
  const ReducedExp<R> e = reduce_exp(clamp(x, -50.0, 710.0), R(0.0));
  const Pair<R> y = significand(e);
  const R power = power_of_two(e.k_bits);
  const Pair<R> difference = two_sum(power * y.hi, R(-1.0));
  const R small = difference.hi + mul_add(power, y.lo, difference.lo);
  const R large = scale(y.hi, e.k_bits);     // e^-40 < 2^-57
  const R tiny = mul_add(R(0.5) * x, x, x);  // x^2/6 < 2^-56
  const R usual = select(x > R(40.0), large, small);
  return select(magnitude(x) < R(0x1p-54), x,
                select(magnitude(x) < R(0x1p-27), tiny, usual));  // the first keeps -0
}

template <class R>
HWY_INLINE R expm1_minus_x(R x) {
  const ReducedExp<R> e = reduce_exp(clamp(x, -60.0, 710.0), R(0.0));
  const R power = power_of_two(e.k_bits);
  // 2^k (1 + r + r^2/2 + ..) - 1 - x, in which for k = 0 all up to r^2/2 cancels; 2^k - 1 is exact
  // where it matters
  const Pair<R> constant = two_sum(power - R(1.0), -x);
  const Pair<R> linear = two_sum(constant.hi, power * e.r);
  const Pair<R> quadratic = two_sum(linear.hi, power * e.half_square);
  const R small = quadratic.hi + mul_add(power, e.rest, (constant.lo + linear.lo) + quadratic.lo);
  const R large = scale(significand(e).hi, e.k_bits) - (R(1.0) + x);
  return select(x < R(-60.0), R(-1.0) - x,
                select(x > R(36.0), select(x < R(710.0), large, R(infinity)), small));
}

// log, rsqrt and reciprocal

template <class R>
HWY_INLINE R log(R x) {
  // x = 2^k m with m in [sqrt 1/2, sqrt 2): the exponent is read after moving the cut from 1 to
  // sqrt(1/2)
  const auto subnormal = x < R(0x1p-1022);
  const R scaled = select(subnormal, x * R(0x1p54), x);
  const Bits64 cut = std::bit_cast<Bits64>(0x1.6a09e667f3bcdp-1);
  const Bits64 one = std::bit_cast<Bits64>(1.0);
  const auto moved = bits(scaled) - cut + one;  // its exponent field is k + 1023
  const auto exponent = shift_right<52>(moved);
  const R m = from_bits(bits(scaled) - shift_left<52>(exponent) + one);
  const R k = from_bits(exponent + std::bit_cast<Bits64>(to_integer)) - R(to_integer + 1023.0) -
              select(subnormal, R(54.0), R(0.0));
  // log(1 + f) = f - f^2/2 + s (f^2/2 + z R(z)), s = f/(2 + f), z = s^2
  const R f = m - R(1.0);
  const R s = f / (R(2.0) + f);
  const R z = s * s;
  const R half_square = R(0.5) * f * f;
  const R rest = s * mul_add(z, horner(coefficients::log_r, z), half_square);
  const Pair<R> leading = fast_two_sum(k * R(coefficients::ln2_short_hi), f);
  const R tail = mul_add(k, R(coefficients::ln2_short_lo), rest) - half_square;
  const R y = leading.hi + (leading.lo + tail);
  const R not_positive = select(magnitude(x) < R(0x1p-1074), R(-infinity), R(not_a_number));
  return select(x > R(0.0), select(x < R(infinity), y, x), not_positive);
}

template <class R>
HWY_INLINE R rsqrt(R x) {
  // one Newton step on y = 1/sqrt(x), whose error is about 1 ulp, with the residual 1 - x y^2 exact
  // to 2^-104
  const R y = R(1.0) / square_root(x);
  const Pair<R> xy = two_product(x, y);
  const R residual = mul_add(-xy.lo, y, mul_add(-xy.hi, y, R(1.0)));
  const R better = mul_add(R(0.5) * y, residual, y);
  return select(magnitude(x) > R(0.0), select(x < R(infinity), better, y), y);
}

template <class R>
HWY_INLINE R reciprocal(R x) {
  return R(1.0) / x;
}

// tanh and erf: odd functions of the magnitude

template <class R>
HWY_INLINE R bounded_magnitude(R x, double bound) {  // `bound` for NaN
  return select(magnitude(x) < R(bound), magnitude(x), R(bound));
}

/// The quotient of two pairs: one correction of its first approximation.
template <class R>
HWY_INLINE R quotient(const Pair<R>& numerator, const Pair<R>& denominator) {
  const R inverse = R(1.0) / denominator.hi;
  const R q = numerator.hi * inverse;
  const R residual =
      mul_add(-q, denominator.hi, numerator.hi) + mul_add(-q, denominator.lo, numerator.lo);
  return mul_add(residual, inverse, q);
}

/// -m/(2 + m), m = exp(-2 abs(x)) - 1, all pairs.
template <class R>
HWY_INLINE R tanh(R x) {
  const R a = bounded_magnitude(x, 22.0);  // tanh(22) = 1 - 2^-62
  const ReducedExp<R> e = reduce_exp(R(-2.0) * a, R(0.0));
  const Pair<R> y = significand(e);
  const R power = power_of_two(e.k_bits);  // 2^-64 at least
  const Pair<R> difference = two_sum(power * y.hi, R(-1.0));
  const Pair<R> m = fast_two_sum(difference.hi, mul_add(power, y.lo, difference.lo));
  const Pair<R> sum = fast_two_sum(R(2.0), m.hi);
  const R result = with_sign_of(quotient<R>({-m.hi, -m.lo}, {sum.hi, sum.lo + m.lo}), x);
  return select(magnitude(x) > R(0x1p-28), result, x);  // x - x^3/3; NaN stays
}

/// a (erf(a)/a), a = abs(x) below 6: the second factor from a table, whose row is the multiple of
/// 1/8 nearest to a. Near 0, where the parts of the product would underflow, x + (2/sqrt(pi) - 1)
/// x.
template <class R>
HWY_INLINE R erf(R x) {
  const R a = bounded_magnitude(x, 6.0);  // erf(6) = 1 - 2^-55.4
  constexpr double to_eighths = to_integer / 8.0;
  const R c_bits = a + R(to_eighths);
  const auto row = bits(c_bits) - std::bit_cast<Bits64>(to_eighths);
  static_assert(coefficients::erf_columns == 12);
  const auto start = shift_left<3>(row) + shift_left<2>(row);
  const double* table = &coefficients::erf_rows[0][0];
  const R t = a - (c_bits - R(to_eighths));
  const auto of_row = lookup_row<coefficients::erf_columns>(table, start);
  R series = of_row[coefficients::erf_columns - 1];
  for (std::size_t column = coefficients::erf_columns - 2; column > 1; --column)
    series = mul_add(series, t, of_row[column]);
  const Pair<R> ratio = fast_two_sum(of_row[0], mul_add(series, t, of_row[1]));
  const Pair<R> product = two_product(a, ratio.hi);
  const R result = with_sign_of(product.hi + mul_add(a, ratio.lo, product.lo), x);
  return select(magnitude(x) > R(0x1p-28), result,
                mul_add(x, R(coefficients::erf_slope_less_1), x));  // NaN stays
}

// SiLU, GELU, ReLU

/// x/(1 + exp(-w)), a = abs(x) < 2^11, where w has the sign of x and exp(-abs(w)) = 2^k z is given.
/// For x < 0 as x 2^k z/(1 + 2^k z). z and the quotient are pairs: y has at most the relative error
/// of z.
template <class R>
HWY_INLINE R times_sigmoid(R x, R a, const ReducedExp<R>& e) {
  const Pair<R> z = significand(e);
  const R unit = power_of_two(select(e.k < R(-200.0), R(to_integer - 200.0), e.k_bits));
  const Pair<R> denominator = fast_two_sum(R(1.0), unit * z.hi);
  const R denominator_lo = mul_add(unit, z.lo, denominator.lo);

  const auto negative = x < R(0.0);
  const R numerator = select(negative, a * z.hi, a);
  const R numerator_lo = select(negative, mul_add(a, z.lo, mul_add(a, z.hi, -numerator)), R(0.0));
  const R y = quotient<R>({numerator, numerator_lo}, {denominator.hi, denominator_lo});
  return with_sign_of(scale(y, select(negative, e.k_bits, R(to_integer))), x);
}

template <class R>
HWY_INLINE R silu(R x) {
  const R a = bounded_magnitude(x, 760.0);  // beyond, silu is x or underflows
  const R y = times_sigmoid(x, a, reduce_exp(-a, R(0.0)));
  return select(magnitude(x) < R(0x1p-60), R(0.5) * x, select(x < R(760.0), y, x));
}

template <class R>
HWY_INLINE R relu(R x) {
  return select(x > R(0.0), x, select(x < R(infinity), R(0.0), x));  // NaN stays
}

/// x/(1 + exp(-w)), w = 2 sqrt(2/pi) (x + 0.044715 x^3). For x < 0 the relative error is the
/// absolute one of w, abs(w) up to 745, so w is a pair.
template <class R>
HWY_INLINE R gelu_tanh(R x) {
  const R a = bounded_magnitude(x, 23.0);  // w(23) = 905: beyond, GELU is x or underflows
  const Pair<R> square = two_product(a, a);
  const R cubic = R(coefficients::gelu_cubic_hi);
  const Pair<R> product = two_product(cubic, square.hi);
  const Pair<R> factor = two_sum(product.hi, R(coefficients::gelu_linear_hi));
  const R factor_lo =
      factor.lo +
      (mul_add(cubic, square.lo, mul_add(R(coefficients::gelu_cubic_lo), square.hi, product.lo)) +
       R(coefficients::gelu_linear_lo));
  const R w = a * factor.hi;
  const R w_lo = mul_add(a, factor_lo, mul_add(a, factor.hi, -w));

  const R y = times_sigmoid(x, a, reduce_exp(-w, -w_lo));
  return select(magnitude(x) < R(0x1p-60), R(0.5) * x, select(x < R(23.0), y, x));
}

/// tail(a) = Phi(-a) exp(a^2/2), 0 <= a <= 39, from a table: a constant, and a small rest.
template <class R>
struct TailTerms {
  R constant, rest;
};

template <class R>
HWY_INLINE TailTerms<R> tail_terms(R a) {
  const auto row = shift_right<49>(bits(a + R(1.0))) - (std::bit_cast<Bits64>(1.0) >> 49);
  static_assert(coefficients::tail_columns == 16);
  const auto start = shift_left<4>(row);
  const double* table = &coefficients::tail_rows[0][0];
  const auto of_row = lookup_row<coefficients::tail_columns>(table, start);
  const R t = a - of_row[0];
  R series = of_row[coefficients::tail_columns - 1];
  for (std::size_t column = coefficients::tail_columns - 2; column > 2; --column)
    series = mul_add(series, t, of_row[column]);
  return {of_row[1], mul_add(series, t, of_row[2])};
}

/// x Phi(x) with Phi(-a) = exp(-a^2/2) tail(a), a >= 0, tail from a table; for x > 0 as x - x
/// Phi(-x).
template <class R>
HWY_INLINE R gelu_erf(R x) {
  const R a = bounded_magnitude(x, 39.0);  // 39 Phi(-39) < 2^-1100
  const R squared = a * a;
  const ReducedExp<R> e = reduce_exp(R(-0.5) * squared, R(-0.5) * mul_add(a, a, -squared));
  const Pair<R> gauss = significand(e);

  const TailTerms<R> terms = tail_terms(a);
  const Pair<R> tail = fast_two_sum(terms.constant, terms.rest);

  // a gauss tail as a pair
  const Pair<R> product = two_product(gauss.hi, tail.hi);
  const R product_lo = product.lo + mul_add(gauss.hi, tail.lo, gauss.lo * tail.hi);
  const Pair<R> p = two_product(a, product.hi);
  const R p_lo = mul_add(a, product_lo, p.lo);

  const R left = scale(p.hi + p_lo, e.k_bits);
  const R unit = power_of_two(select(e.k < R(-200.0), R(to_integer - 200.0), e.k_bits));
  const Pair<R> difference = fast_two_sum(a, -(unit * p.hi));
  const R right = difference.hi + mul_add(-unit, p_lo, difference.lo);
  const R y = with_sign_of(select(x < R(0.0), left, right), x);
  return select(magnitude(x) < R(0x1p-60), R(0.5) * x, select(x < R(39.0), y, x));
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
