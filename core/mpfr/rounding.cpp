#include "core/mpfr/rounding.hpp"

#include <algorithm>

namespace lamp::mpfr {
namespace {

bool is_negative(const Number& x) { return mpfr_signbit(x.get()) != 0; }
bool is_zero(const Number& x) { return mpfr_zero_p(x.get()) != 0; }

void set_zero(Number& out, bool negative, const FloatFormat& format) {
  if (format.zero) {
    mpfr_set_zero(out.get(), negative && format.signed_zero && !format.is_unsigned ? -1 : 1);
  } else {
    mpfr_set_nan(out.get());
  }
}

/// out = +-xmax = (2^p - 1 - lost) 2^(emax - p + 1).
void set_largest(Number& out, bool negative, const FloatFormat& format) {
  mpfr_set_ui_2exp(out.get(), 1, format.p, MPFR_RNDN);
  mpfr_sub_ui(out.get(), out.get(), 1 + static_cast<unsigned long>(format.top_codes_lost),
              MPFR_RNDN);
  mpfr_mul_2si(out.get(), out.get(), long{format.emax} - format.p + 1, MPFR_RNDN);
  if (negative) mpfr_neg(out.get(), out.get(), MPFR_RNDN);
}

void set_overflow_value(Number& out, bool negative, const FloatFormat& format) {
  switch (format.overflow) {
    case Overflow::infinity:
      return mpfr_set_inf(out.get(), negative ? -1 : 1);
    case Overflow::largest:
      return set_largest(out, negative, format);
    case Overflow::nan:
      return mpfr_set_nan(out.get());
  }
  contract_violated("mpfr: overflow is one of the three kinds");
}

/// The modes that MPFR has: RNE, RTZ, RTP, RTN.
bool is_native(Rounding mode) {
  return mode == Rounding::rne || mode == Rounding::rtz || mode == Rounding::rtp ||
         mode == Rounding::rtn;
}

mpfr_rnd_t native(Rounding mode) {
  if (mode == Rounding::rtz) return MPFR_RNDZ;
  if (mode == Rounding::rtp) return MPFR_RNDU;
  return mode == Rounding::rtn ? MPFR_RNDD : MPFR_RNDN;
}

/// out = x rounded by MPFR itself, with subnormals, the exponent unbounded above.
void round_natively(Number& out, const Number& x, const FloatFormat& format, Rounding mode) {
  const mpfr_rnd_t rnd = native(mode);
  int ternary = mpfr_set(out.get(), x.get(), rnd);
  const ExponentRange subnormal_range(mpfr_exp_t{format.emin} - format.p + 2,
                                      ExponentRange::widest);
  ternary = mpfr_check_range(out.get(), ternary, rnd);
  mpfr_subnormalize(out.get(), ternary, rnd);
}

/// An integer that may have any number of bits.
bool is_odd(const Number& integer) {
  Number half(mpfr_get_prec(integer.get()));
  mpfr_div_2ui(half.get(), integer.get(), 1, MPFR_RNDN);
  return mpfr_integer_p(half.get()) == 0;
}

/// Whether R + floor(2^r fraction) reaches 2^r, 0 <= fraction < 1.
bool reaches_one(const Number& fraction, Draw draw) {
  Number bits(mpfr_get_prec(fraction.get()));
  mpfr_mul_2ui(bits.get(), fraction.get(), static_cast<unsigned long>(draw.bits), MPFR_RNDN);
  const std::uint64_t most = std::uint64_t{1} << draw.bits;
  return mpfr_get_ui(bits.get(), MPFR_RNDZ) + draw.word / (std::uint64_t{1} << (32 - draw.bits)) >=
         most;
}

/// Whether integer + fraction, of which integer is the floor, is rounded away from zero to integer
/// + 1.
bool goes_away(const Number& integer, const Number& fraction, bool negative, Rounding mode,
               Draw draw) {
  const int against_half = mpfr_cmp_d(fraction.get(), 0.5);
  switch (mode) {
    case Rounding::rne:
      return against_half > 0 || (against_half == 0 && is_odd(integer));
    case Rounding::rna:
      return against_half >= 0;
    case Rounding::rtz:
      return false;
    case Rounding::rtp:
      return !negative && !is_zero(fraction);
    case Rounding::rtn:
      return negative && !is_zero(fraction);
    case Rounding::rto:
      return !is_zero(fraction) && !is_odd(integer);
    case Rounding::sr:
      return reaches_one(fraction, draw);
    case Rounding::sre:
      return !is_zero(fraction) && draw.word >= 0x80000000U;
  }
  contract_violated("mpfr: the rounding mode is one of the eight");
}

/// out = x rounded to a multiple of 2^spacing: |x| / 2^spacing to an integer.
void round_by_hand(Number& out, const Number& x, long spacing, Rounding mode, Draw draw) {
  const mpfr_prec_t precision = mpfr_get_prec(x.get());
  Number scaled(precision), integer(precision), fraction(precision);
  mpfr_abs(scaled.get(), x.get(), MPFR_RNDN);
  mpfr_mul_2si(scaled.get(), scaled.get(), -spacing, MPFR_RNDN);
  mpfr_floor(integer.get(), scaled.get());
  mpfr_sub(fraction.get(), scaled.get(), integer.get(),
           MPFR_RNDN);  // exact: a suffix of scaled's bits
  if (goes_away(integer, fraction, is_negative(x), mode, draw))
    mpfr_add_ui(integer.get(), integer.get(), 1, MPFR_RNDN);
  mpfr_mul_2si(integer.get(), integer.get(), spacing, MPFR_RNDN);
  mpfr_setsign(out.get(), integer.get(), mpfr_signbit(x.get()), MPFR_RNDN);
}

}  // namespace

void round_to_odd(Number& x, int ternary) {
  if (ternary == 0 || mpfr_min_prec(x.get()) == mpfr_get_prec(x.get())) return;
  if (is_negative(x)) {
    mpfr_nextbelow(x.get());
  } else {
    mpfr_nextabove(x.get());
  }
}

void to_format(Number& out, const Number& x, const FloatFormat& format, Rounding mode, Draw draw) {
  expects(format.p >= 1 && format.emin <= format.emax && draw.bits >= 1 && draw.bits <= 32,
          "mpfr::to_format: a format and a draw");
  const bool negative = is_negative(x);
  mpfr_set_prec(out.get(), format.p);
  if (mpfr_nan_p(x.get()) != 0) return mpfr_set_nan(out.get());
  if (is_zero(x)) return set_zero(out, negative, format);
  if (negative && format.is_unsigned) return mpfr_set_nan(out.get());
  if (mpfr_inf_p(x.get()) != 0) {
    if (format.infinities) return mpfr_set_inf(out.get(), negative ? -1 : 1);
    return set_overflow_value(out, negative, format);
  }

  const long exponent = mpfr_get_exp(x.get()) - 1, lowest = long{format.emin} - format.p + 1;
  if (!format.subnormals && exponent < format.emin) {
    round_by_hand(out, x, format.emin, mode,
                  draw);  // 0 or xmin: an even and an odd multiple of xmin
  } else if (is_native(mode)) {
    round_natively(out, x, format, mode);
  } else {
    round_by_hand(out, x, std::max(exponent - format.p + 1, lowest), mode, draw);
  }
  if (is_zero(out) && format.zero) return set_zero(out, negative, format);
  if (is_zero(out)) {
    mpfr_set_si_2exp(out.get(), negative ? -1 : 1, format.emin, MPFR_RNDN);
    return;
  }
  Number largest(format.p);
  set_largest(largest, negative, format);
  if (mpfr_cmpabs(out.get(), largest.get()) <= 0) return;
  const bool stays_finite = mode == Rounding::rtz || mode == Rounding::rto ||
                            (mode == Rounding::rtp && negative) ||
                            (mode == Rounding::rtn && !negative);
  if (!stays_finite) return set_overflow_value(out, negative, format);
  mpfr_set(out.get(), largest.get(), MPFR_RNDN);
}

double to_format(const Number& x, const FloatFormat& format, Rounding mode, Draw draw) {
  expects(fits_binary64(format), "mpfr::to_format: fits_binary64(format)");
  Number out(format.p);
  to_format(out, x, format, mode, draw);
  return mpfr_get_d(out.get(), MPFR_RNDN);
}

}  // namespace lamp::mpfr
