#include "core/arith/vector/spec.hpp"

#include <limits>

namespace lamp {
namespace {

double overflow_value(const FloatFormat& f) {
  switch (f.overflow) {
    case Overflow::infinity:
      return std::numeric_limits<double>::infinity();
    case Overflow::largest:
      return xmax(f);
    case Overflow::nan:
      return std::numeric_limits<double>::quiet_NaN();
  }
  contract_violated("vector_rounding: overflow is one of the three kinds");
}

/// What a finite magnitude above xmax becomes, of positive or negative numbers.
double overflow_of(bool negative, const FloatFormat& f, Rounding mode) {
  const bool to_xmax = mode == Rounding::rtz || mode == Rounding::rto ||
                       mode == (negative ? Rounding::rtp : Rounding::rtn);
  return to_xmax ? xmax(f) : overflow_value(f);
}

}  // namespace

// Let x be a binary64 number in the binade of 2^e, P = 2^max(e, emin), and t = |x| + 1.5 2^(53-p)
// P, rounded to nearest: t lies in the binade of 2^(53-p) P, so its last place is 2^(1-p) P, the
// spacing of the format at x, and y = t - 1.5 2^(53-p) P, which is exact, is |x| rounded to nearest
// even there. |x| - y is exact too, and says to which neighbour every other mode goes. A larger |x|
// than 2^(emax+1) is taken as that, so nothing overflows if 2^(emax + 55 - p) is a binary64 number
// (with r random bits: 2^r times it).
//
// An exact result rounded to odd at 53 bits has the roundings of the exact one in every format of
// at most 51 bits (of 51 - r for SR with r random bits), also among binary64's subnormals, if the
// format's spacing is nowhere below 4 2^-1074.
std::optional<VectorRounding> vector_rounding(const FloatFormat& f, Rounding mode,
                                              int random_bits) {
  if (f == binary64 && mode == Rounding::rne) return VectorRounding{};
  const bool regular = f.p >= 2 && f.subnormals && f.signed_zero && f.zero && !f.is_unsigned &&
                       f.infinities == (f.overflow == Overflow::infinity);
  const int draw = mode == Rounding::sr ? random_bits : 0;
  if (!regular || f.p + draw > 51 || f.emax + 55 - f.p + draw > 1023 || f.emin - f.p + 1 < -1072 ||
      f.emin < -1022 || f.emin > f.emax)
    return std::nullopt;
  using Kind = VectorRounding::Kind;
  return VectorRounding{.kind = mode != Rounding::rne ? Kind::any
                                : f == binary32       ? Kind::converted
                                                      : Kind::nearest,
                        .mode = mode,
                        .smallest_normal = pow2(f.emin),
                        .scale = 1.5 * pow2(53 - f.p),
                        .spacing = pow2(1 - f.p),
                        .largest = xmax(f),
                        .beyond = pow2(f.emax + 1),
                        .overflow = overflow_value(f),
                        .overflow_positive = overflow_of(false, f, mode),
                        .overflow_negative = overflow_of(true, f, mode),
                        .draws = pow2(random_bits)};
}

std::optional<VectorSpec> vector_spec(const MacSpec& mac) {
  VectorSpec spec;
  if (mac.operands) {
    if (mac.rounds_rows()) return std::nullopt;
    spec.operands = vector_rounding(*mac.float_operands(), mac.operand_rounding);
    if (!spec.operands) return std::nullopt;
  }
  if (mac.product) {
    spec.product = vector_rounding(*mac.product, mac.rounding, mac.random_bits);
    if (!spec.product) return std::nullopt;
  }
  const auto format = vector_rounding(mac.format, mac.rounding, mac.random_bits);
  if (!format) return std::nullopt;
  spec.first = *format;
  if (mac.via && (*mac.via != mac.format || mac.rounding != Rounding::rne)) {
    const auto via = vector_rounding(*mac.via, Rounding::rne);
    if (!via) return std::nullopt;
    spec.first = *via;
    spec.last = *format;
  }
  return spec;
}

}  // namespace lamp
