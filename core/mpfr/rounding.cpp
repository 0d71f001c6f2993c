#include "core/mpfr/rounding.hpp"

#include <algorithm>
#include <limits>

namespace lamp::mpfr {
namespace {

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

mpfr_rnd_t native(Rounding mode) {
  switch (mode) {
    case Rounding::rtz:
      return MPFR_RNDZ;
    case Rounding::rtp:
      return MPFR_RNDU;
    case Rounding::rtn:
      return MPFR_RNDD;
    default:
      return MPFR_RNDN;
  }
}

double zero(bool negative, const FloatFormat& format) { return negative && format.signed_zero && !format.is_unsigned ? -0.0 : 0.0; }

double overflow_value(bool negative, const FloatFormat& format) {
  double magnitude = nan_value;
  if (format.overflow == Overflow::infinity) magnitude = std::numeric_limits<double>::infinity();
  if (format.overflow == Overflow::largest) magnitude = xmax(format);
  return negative ? -magnitude : magnitude;
}

/// r = x rounded by MPFR itself: RNE, RTZ, RTP, RTN with subnormals, the exponent unbounded above.
void round_natively(Number& r, const Number& x, const FloatFormat& format, Rounding mode) {
  const mpfr_rnd_t rnd = native(mode);
  int ternary = mpfr_set(r.get(), x.get(), rnd);
  const ExponentRange subnormal_range(format.emin - format.p + 2, ExponentRange::widest);
  ternary = mpfr_check_range(r.get(), ternary, rnd);
  mpfr_subnormalize(r.get(), ternary, rnd);
}

/// r = x rounded to a multiple of 2^spacing by RNA or RTO, which MPFR has not got: |x| / 2^spacing to an integer.
void round_by_hand(Number& r, const Number& x, long spacing, Rounding mode) {
  Number scaled(mpfr_get_prec(x.get()));
  mpfr_abs(scaled.get(), x.get(), MPFR_RNDN);
  mpfr_mul_2si(scaled.get(), scaled.get(), -spacing, MPFR_RNDN);
  Number integer(mpfr_get_prec(x.get()));
  if (mode == Rounding::rna) {  // floor(y + 1/2): truncating the sum does not move it across an integer
    mpfr_add_d(integer.get(), scaled.get(), 0.5, MPFR_RNDZ);
    mpfr_floor(integer.get(), integer.get());
  } else {
    mpfr_floor(integer.get(), scaled.get());
    if (mpfr_equal_p(integer.get(), scaled.get()) == 0 && mpfr_get_ui(integer.get(), MPFR_RNDN) % 2 == 0)
      mpfr_add_ui(integer.get(), integer.get(), 1, MPFR_RNDN);
  }
  mpfr_mul_2si(integer.get(), integer.get(), spacing, MPFR_RNDN);
  mpfr_setsign(r.get(), integer.get(), mpfr_signbit(x.get()), MPFR_RNDN);
}

/// 0 < |x| < xmin in a format without subnormals: 0 or xmin.
double flush(const Number& x, const FloatFormat& format, Rounding mode) {
  const bool negative = mpfr_signbit(x.get()) != 0;
  Number half(53);
  mpfr_set_ui_2exp(half.get(), 1, format.emin - 1, MPFR_RNDN);
  const int against_half = mpfr_cmpabs(x.get(), half.get());
  bool up = false;
  switch (mode) {
    case Rounding::rne:
      up = against_half > 0;
      break;
    case Rounding::rna:
      up = against_half >= 0;
      break;
    case Rounding::rtp:
      up = !negative;
      break;
    case Rounding::rtn:
      up = negative;
      break;
    case Rounding::rto:
      up = true;
      break;
    default:
      break;
  }
  if (!up) return zero(negative, format);
  return negative ? -xmin(format) : xmin(format);
}

}  // namespace

void round_to_odd(Number& x, int ternary) {
  if (ternary == 0 || mpfr_min_prec(x.get()) == mpfr_get_prec(x.get())) return;
  if (mpfr_signbit(x.get()) != 0) {
    mpfr_nextbelow(x.get());
  } else {
    mpfr_nextabove(x.get());
  }
}

double to_format(const Number& x, const FloatFormat& format, Rounding mode) {
  expects(fits_binary64(format) && mode < Rounding::sr, "mpfr::to_format: fits_binary64(format) and a deterministic mode");
  const bool negative = mpfr_signbit(x.get()) != 0;
  if (mpfr_nan_p(x.get()) != 0) return nan_value;
  if (mpfr_zero_p(x.get()) != 0) return zero(negative, format);
  if (negative && format.is_unsigned) return nan_value;
  if (mpfr_inf_p(x.get()) != 0) return format.infinities ? mpfr_get_d(x.get(), MPFR_RNDN) : overflow_value(negative, format);

  const long exponent = mpfr_get_exp(x.get()) - 1;
  if (!format.subnormals && exponent < format.emin) return flush(x, format, mode);
  Number r(format.p);
  if (mode == Rounding::rna || mode == Rounding::rto) {
    round_by_hand(r, x, std::max<long>(exponent, format.emin) - format.p + 1, mode);
  } else {
    round_natively(r, x, format, mode);
  }
  if (mpfr_zero_p(r.get()) != 0) return zero(negative, format);
  const double largest = xmax(format);
  Number limit(53);
  mpfr_set_d(limit.get(), largest, MPFR_RNDN);
  if (mpfr_cmpabs(r.get(), limit.get()) <= 0) return mpfr_get_d(r.get(), MPFR_RNDN);
  const bool stays_finite =
      mode == Rounding::rtz || mode == Rounding::rto || (mode == Rounding::rtp && negative) || (mode == Rounding::rtn && !negative);
  if (!stays_finite) return overflow_value(negative, format);
  return negative ? -largest : largest;
}

}  // namespace lamp::mpfr
