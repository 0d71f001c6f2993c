#include "core/fp/rounding.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "core/fp/unpacked.hpp"

namespace lamp {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

/// A discarded fraction f of the last place, 0 <= f < 1.
struct Discarded {
  bool half;                // f >= 1/2
  bool rest;                // f is neither 0 nor 1/2
  std::uint64_t leading{};  // floor(2^r f), for SR only
  [[nodiscard]] bool inexact() const { return half || rest; }
};

/// SR's comparison: R + floor(2^r f) >= 2^r.
constexpr bool draws_away(std::uint64_t leading, Draw draw) {
  return (draw.word >> (32 - draw.bits)) + leading >= std::uint64_t{1} << draw.bits;
}

constexpr bool top_bit(Draw draw) { return draw.word >> 31 != 0; }

/// Whether the truncated integer significand m goes up by one.
constexpr bool rounds_up(Rounding mode, bool negative, std::uint64_t m, Discarded f, Draw draw) {
  switch (mode) {
    case Rounding::rne:
      return f.half && (f.rest || (m & 1) != 0);
    case Rounding::rna:
      return f.half;
    case Rounding::rtz:
      return false;
    case Rounding::rtp:
      return !negative && f.inexact();
    case Rounding::rtn:
      return negative && f.inexact();
    case Rounding::rto:
      return f.inexact() && (m & 1) == 0;
    case Rounding::sr:
      return draws_away(f.leading, draw);
    case Rounding::sre:
      return f.inexact() && top_bit(draw);
  }
  contract_violated("round: mode is one of the eight");
}

/// 2^e, -1074 <= e <= 1023, without a loop.
double power_of_two(int e) {
  return e >= -1022 ? std::bit_cast<double>(static_cast<std::uint64_t>(e + 1023) << 52)
                    : std::bit_cast<double>(std::uint64_t{1} << (e + 1074));
}

double with_sign(double magnitude, bool negative) { return negative ? -magnitude : magnitude; }

/// An exact zero.
double zero(bool negative, const FloatFormat& format) {
  if (!format.zero) return nan_value;
  return negative && format.signed_zero && !format.is_unsigned ? -0.0 : 0.0;
}

double overflow_value(bool negative, const FloatFormat& format) {
  switch (format.overflow) {
    case Overflow::infinity:
      return with_sign(infinity, negative);
    case Overflow::largest:
      return with_sign(xmax(format), negative);
    case Overflow::nan:
      return nan_value;
  }
  contract_violated("round: overflow is one of the three kinds");
}

/// A nonzero exact magnitude whose rounding is zero.
double underflow(bool negative, const FloatFormat& format) {
  return format.zero ? zero(negative, format) : with_sign(xmin(format), negative);
}

/// A finite exact magnitude whose rounding is above xmax.
double overflow(bool negative, const FloatFormat& format, Rounding mode) {
  const bool to_xmax = mode == Rounding::rtz || mode == Rounding::rto ||
                       mode == (negative ? Rounding::rtp : Rounding::rtn);
  return to_xmax ? with_sign(xmax(format), negative) : overflow_value(negative, format);
}

/// An infinite exact result.
double infinite(bool negative, const FloatFormat& format) {
  if (negative && format.is_unsigned) return nan_value;
  return format.infinities ? with_sign(infinity, negative) : overflow_value(negative, format);
}

/// The exact sum of nonzero terms is zero: +0, in RTN -0.
double zero_sum(const FloatFormat& format, Rounding mode) {
  return zero(mode == Rounding::rtn, format);
}

/// The sum of two zeros.
double sum_of_zeros(bool a_negative, bool b_negative, const FloatFormat& format, Rounding mode) {
  return a_negative == b_negative ? zero(a_negative, format) : zero_sum(format, mode);
}

/// The leading bit at place 125: room for a carry above, and 20 places below a product of two
/// binary64 numbers.
void normalise(Unpacked& x) {
  const int shift = 126 - bit_length(x.significand);
  x.significand <<= shift;
  x.exponent -= shift;
}

/// The exact x + y of exact, nonzero x and y, rounded once.
double rounded_sum(Unpacked x, Unpacked y, const FloatFormat& format, Rounding mode, Draw draw) {
  normalise(x);
  normalise(y);
  if (x.exponent < y.exponent || (x.exponent == y.exponent && x.significand < y.significand))
    std::swap(x, y);
  const int distance =
      x.exponent -
      y.exponent;  // bits are lost from distance 21 on; then the sum keeps at least 124
  const uint128 aligned = distance < 128 ? y.significand >> distance : 0;
  x.sticky = distance >= 128 || aligned << distance != y.significand;
  if (x.negative == y.negative) {
    x.significand += aligned;
  } else {
    x.significand -= aligned;
    x.significand -= x.sticky ? 1 : 0;  // x - (aligned + d) = (x - aligned - 1) + (1 - d)
  }
  return x.significand == 0 ? zero_sum(format, mode) : round_unpacked(x, format, mode, draw);
}

Unpacked product(double a, double b) {
  const Unpacked x = unpack(a), y = unpack(b);
  return {.significand = uint128{static_cast<std::uint64_t>(x.significand)} *
                         static_cast<std::uint64_t>(y.significand),
          .exponent = x.exponent + y.exponent,
          .negative = x.negative != y.negative};
}

// Fast paths: the same bits by integer operations on binary64 patterns.

/// |x| is in a binade of the format with neighbours in it on both sides: neither subnormal nor near
/// overflow, as xmax >= 2^emax.
bool well_inside(std::uint64_t bits, const FloatFormat& format) {
  const int exponent = static_cast<int>(bits >> 52 & 0x7ff) - 1023;
  return exponent >= format.emin && exponent < format.emax && exponent >= -1022 && format.p > 1 &&
         !(format.is_unsigned && bits >> 63 != 0);
}

/// A number well inside rounded to p bits: a carry out of the fraction is the next binade.
double round_pattern(std::uint64_t bits, int p, Rounding mode, Draw draw) {
  if (p == 53) return std::bit_cast<double>(bits);
  const std::uint64_t last = std::uint64_t{1} << (53 - p), below = last - 1;
  const bool negative = bits >> 63 != 0;
  switch (mode) {
    case Rounding::rne:
      bits += (below >> 1) + ((bits & last) != 0 ? 1 : 0);
      break;
    case Rounding::rna:
      bits += last >> 1;
      break;
    case Rounding::rtp:
      bits += negative ? 0 : below;
      break;
    case Rounding::rtn:
      bits += negative ? below : 0;
      break;
    case Rounding::rto:
      bits |= (bits & below) != 0 ? last : 0;
      break;
    case Rounding::sr: {
      const int discarded = 53 - p;  // bits of f
      const std::uint64_t f = bits & below;
      const std::uint64_t leading =
          draw.bits >= discarded ? f << (draw.bits - discarded) : f >> (discarded - draw.bits);
      bits += draws_away(leading, draw) ? last : 0;
      break;
    }
    case Rounding::sre:
      bits += (bits & below) != 0 && top_bit(draw) ? last : 0;
      break;
    case Rounding::rtz:
      break;
  }
  return std::bit_cast<double>(bits & ~below);
}

/// A value rounded to odd at 53 bits then rounds to a format of at most 51 like the exact one
/// (Boldo & Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms using
/// rounding to odd", IEEE TC 57 (2008)). So does one bit more of precision for each random bit of
/// SR: floor(2^r f) needs bits above the last one only.
constexpr bool rounds_from_odd(const FloatFormat& format, Rounding mode, Draw draw) {
  return format.p + (mode == Rounding::sr ? draw.bits : 0) <= 51;
}

/// `nearest` is an exact result rounded to nearest, `error` has the sign of exact - nearest: the
/// exact result rounded to odd at 53 bits.
double to_odd(double nearest, double error) {
  if (error == 0.0) return nearest;
  const auto bits = std::bit_cast<std::uint64_t>(nearest);
  return std::bit_cast<double>((bits - (std::signbit(error) != std::signbit(nearest) ? 1 : 0)) | 1);
}

/// a + b rounded to odd, with TwoSum's error. 0 is exact; NaN where a step overflows or an operand
/// is not finite.
double add_to_odd(double a, double b) {
  const double sum = a + b, b_part = sum - a;
  const double error = (a - (sum - b_part)) + (b - b_part);
  return std::isfinite(error) ? to_odd(sum, error) : nan_value;
}

/// The remainders of a quotient and of a root are binary64 numbers, which one fma gives, where
/// neither they nor the result are near underflow or overflow (Markstein, "Computation of
/// elementary functions on the IBM RISC System/6000 processor", 1990).
bool far_from_the_edges(double x) { return std::abs(x) > 0x1p-900 && std::abs(x) < 0x1p900; }

/// a b is a binary64 number because a and b have at most 24 bits each (and it does not underflow).
bool product_is_exact(double a, double b, double ab) {
  const std::uint64_t low = (std::bit_cast<std::uint64_t>(a) | std::bit_cast<std::uint64_t>(b))
                            << 35;
  return low == 0 && std::abs(ab) >= 0x1p-1000 && std::abs(ab) < infinity;
}

void check(const FloatFormat& format, Draw draw) {
  expects(fits_binary64(format), "round: fits_binary64(format)");
  expects(draw.bits >= 1 && draw.bits <= 32, "round: 1 <= random bits <= 32");
}

void check(Rounding mode) {
  expects(!is_stochastic(mode), "round: a stochastic mode comes with a draw");
}

/// floor(2^r f) of a value whose last place is `shift` bits above its lowest one, shift >= 1. Pre:
/// bits below are known where they count.
std::uint64_t leading_bits(const Unpacked& x, int shift, int r) {
  const uint128 f = shift >= 128 ? x.significand : x.significand & ((uint128{1} << shift) - 1);
  if (shift <= r) return static_cast<std::uint64_t>(f << (r - shift));
  return shift - r >= 128 ? 0 : static_cast<std::uint64_t>(f >> (shift - r));
}

}  // namespace

double round_unpacked(const Unpacked& x, const FloatFormat& format, Rounding mode, Draw draw) {
  if (x.negative && format.is_unsigned) return nan_value;
  const int leading = x.exponent + bit_length(x.significand) - 1;
  // Exponent of the last place: p bits from the leading one, not below xmins; without subnormals 0
  // and xmin are neighbours.
  int last = std::max(leading, format.emin) - format.p + 1;
  if (!format.subnormals && leading < format.emin) last = format.emin;
  const int shift = last - x.exponent;

  std::uint64_t m = 0;
  Discarded f{.half = false, .rest = x.sticky};
  if (shift <= 0) {
    m = static_cast<std::uint64_t>(x.significand << -shift);  // exact: fewer than p bits
  } else if (shift > 128) {
    f.rest = true;
  } else {
    m = shift == 128 ? 0 : static_cast<std::uint64_t>(x.significand >> shift);
    const uint128 half = uint128{1} << (shift - 1);
    f.half = (x.significand & half) != 0;
    f.rest = f.rest || (x.significand & (half - 1)) != 0;
  }
  if (mode == Rounding::sr && shift > 0) f.leading = leading_bits(x, shift, draw.bits);
  if (rounds_up(mode, x.negative, m, f, draw)) ++m;
  if (bit_length(m) > format.p) m >>= 1, ++last;  // a carry: m is 2^p

  if (m == 0) return underflow(x.negative, format);
  const int exponent = last + bit_length(m) - 1;
  if (exponent >= format.emax) {
    const std::uint64_t m_max =
        (std::uint64_t{1} << format.p) - 1 - static_cast<std::uint64_t>(format.top_codes_lost);
    if (exponent > format.emax || m << (format.p - bit_length(m)) > m_max)
      return overflow(x.negative, format, mode);
  }
  return with_sign(static_cast<double>(m) * power_of_two(last), x.negative);
}

double round(double x, const FloatFormat& format, Rounding mode, Draw draw) {
  check(format, draw);
  const auto bits = std::bit_cast<std::uint64_t>(x);
  if (well_inside(bits, format)) return round_pattern(bits, format.p, mode, draw);
  if (std::isnan(x)) return nan_value;
  if (std::isinf(x)) return infinite(x < 0.0, format);
  if (x == 0.0) return zero(std::signbit(x), format);
  return round_unpacked(unpack(x), format, mode, draw);
}

double add(double a, double b, const FloatFormat& format, Rounding mode, Draw draw) {
  check(format, draw);
  if (rounds_from_odd(format, mode, draw)) {
    const double sum = add_to_odd(a, b);
    if (sum != 0.0 && std::isfinite(sum)) return round(sum, format, mode, draw);
  }
  if (!std::isfinite(a) || !std::isfinite(b))
    return round(a + b, format, mode, draw);  // exact, or NaN
  if (a == 0.0 && b == 0.0) return sum_of_zeros(std::signbit(a), std::signbit(b), format, mode);
  if (a == 0.0 || b == 0.0) return round(a == 0.0 ? b : a, format, mode, draw);
  return rounded_sum(unpack(a), unpack(b), format, mode, draw);
}

double sub(double a, double b, const FloatFormat& format, Rounding mode, Draw draw) {
  return add(a, -b, format, mode, draw);
}

double mul(double a, double b, const FloatFormat& format, Rounding mode, Draw draw) {
  check(format, draw);
  if (!std::isfinite(a) || !std::isfinite(b) || a == 0.0 || b == 0.0)
    return round(a * b, format, mode, draw);  // exact, or NaN
  if (product_is_exact(a, b, a * b)) return round(a * b, format, mode, draw);
  return round_unpacked(product(a, b), format, mode, draw);
}

double div(double a, double b, const FloatFormat& format, Rounding mode, Draw draw) {
  check(format, draw);
  if (!std::isfinite(a) || !std::isfinite(b) || a == 0.0 || b == 0.0)
    return round(a / b, format, mode, draw);  // exact, or NaN
  if (rounds_from_odd(format, mode, draw) && far_from_the_edges(a) && far_from_the_edges(a / b)) {
    const double quotient = a / b, remainder = std::fma(-quotient, b, a);
    return round(to_odd(quotient, b < 0.0 ? -remainder : remainder), format, mode, draw);
  }
  Unpacked x = unpack(a), y = unpack(b);
  // Both significands to 53 bits: the quotient of x 2^57 and y has 57 or 58, and 64 more come from
  // the remainder.
  const int x_shift = 53 - bit_length(x.significand), y_shift = 53 - bit_length(y.significand);
  const uint128 numerator = x.significand << (x_shift + 57), denominator = y.significand << y_shift;
  // NOLINTNEXTLINE(clang-analyzer-core.DivideZero): y is not zero
  const uint128 rest = numerator % denominator << 64;
  return round_unpacked({.significand = numerator / denominator << 64 | rest / denominator,
                         .exponent = x.exponent - x_shift - 57 - 64 - (y.exponent - y_shift),
                         .negative = x.negative != y.negative,
                         .sticky = rest % denominator != 0},
                        format, mode, draw);
}

double fma(double a, double b, double c, const FloatFormat& format, Rounding mode, Draw draw) {
  check(format, draw);
  if (product_is_exact(a, b, a * b)) return add(a * b, c, format, mode, draw);
  if (!std::isfinite(a) || !std::isfinite(b) || !std::isfinite(c)) {
    // A finite product may overflow here without harm: c is then infinite or NaN and decides alone.
    const bool infinite_product = !std::isfinite(a) || !std::isfinite(b);
    return round(infinite_product ? a * b + c : c, format, mode, draw);
  }
  if (a == 0.0 || b == 0.0) return add(a * b, c, format, mode, draw);
  if (c == 0.0) return round_unpacked(product(a, b), format, mode, draw);
  return rounded_sum(product(a, b), unpack(c), format, mode, draw);
}

double sqrt(double a, const FloatFormat& format, Rounding mode, Draw draw) {
  check(format, draw);
  if (!(a > 0.0) || std::isinf(a)) return round(std::sqrt(a), format, mode, draw);  // exact, or NaN
  if (rounds_from_odd(format, mode, draw) && far_from_the_edges(a)) {
    const double root = std::sqrt(a);
    return round(to_odd(root, std::fma(-root, root, a)), format, mode, draw);
  }
  const Unpacked x = unpack(a);
  // A radicand of 125 or 126 bits with an even exponent and 64 zeros below it: a root of 95 bits,
  // digit by digit from the top.
  int shift = 126 - bit_length(x.significand);
  if ((x.exponent - shift) % 2 != 0) --shift;
  uint128 radicand = x.significand << shift << 2, rest = 0, root = 0;
  for (int digit = 0; digit < 95; ++digit) {
    rest = rest << 2 | radicand >> 126;
    radicand <<= 2;
    const uint128 step = root << 2 | 1;  // (2 root + 1)^2 - (2 root)^2
    const bool fits = rest >= step;
    if (fits) rest -= step;
    root = root << 1 | (fits ? 1 : 0);
  }
  return round_unpacked(
      {.significand = root, .exponent = (x.exponent - shift - 64) / 2, .sticky = rest != 0}, format,
      mode, draw);
}

double round(double x, const FloatFormat& format, Rounding mode) {
  return check(mode), round(x, format, mode, Draw{});
}
double add(double a, double b, const FloatFormat& format, Rounding mode) {
  return check(mode), add(a, b, format, mode, Draw{});
}
double sub(double a, double b, const FloatFormat& format, Rounding mode) {
  return check(mode), add(a, -b, format, mode, Draw{});
}
double mul(double a, double b, const FloatFormat& format, Rounding mode) {
  return check(mode), mul(a, b, format, mode, Draw{});
}
double div(double a, double b, const FloatFormat& format, Rounding mode) {
  return check(mode), div(a, b, format, mode, Draw{});
}
double sqrt(double a, const FloatFormat& format, Rounding mode) {
  return check(mode), sqrt(a, format, mode, Draw{});
}
double fma(double a, double b, double c, const FloatFormat& format, Rounding mode) {
  return check(mode), fma(a, b, c, format, mode, Draw{});
}

bool representable(double x, const FloatFormat& format) {
  if (std::isnan(x)) return format.nan;
  if (std::isinf(x)) return format.infinities && !(x < 0.0 && format.is_unsigned);
  if (x == 0.0)
    return format.zero && (!std::signbit(x) || (format.signed_zero && !format.is_unsigned));
  return round(x, format, Rounding::rtz) == x;
}

}  // namespace lamp
