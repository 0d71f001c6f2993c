#include "core/fp/vector_rounding.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/fp/vector_rounding.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
//
#include <hwy/highway.h>

#include "core/fp/vector_rounding-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

#if LAMP_HAS_VECTOR_ROUNDING

/// Rounds the first numbers by vectors; says how many.
std::size_t round_vectors(std::span<const double> x, std::span<double> y, const FloatFormat& format,
                          const VectorRounding& to) {
  namespace detail = vector_detail::HWY_NAMESPACE;
  namespace hn = hwy::HWY_NAMESPACE;
  const detail::D64 d;
  constexpr std::size_t lanes = hn::MaxLanes(detail::D64());
  const detail::VectorRounder round_vector(to);
  std::size_t i = 0;
  for (; i + lanes <= x.size(); i += lanes) {
    const detail::V64 from = hn::LoadU(d, x.data() + i);
    detail::M64 sure = detail::everywhere();
    const detail::V64 rounded = round_vector(from, sure, hn::Zero(d));
    if (hn::AllTrue(d, sure)) [[likely]] {
      hn::StoreU(rounded, d, y.data() + i);
    } else {
      for (std::size_t k = i; k < i + lanes; ++k) y[k] = round(x[k], format, to.mode);
    }
  }
  return i;
}

#else

std::size_t round_vectors(std::span<const double>, std::span<double>, const FloatFormat&,
                          const VectorRounding&) {
  return 0;
}

#endif

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
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
// SR goes away from zero iff 2^r f >= 2^r - R, f = (|x| - down) / spacing: iff |x| + 2^-r R spacing
// reaches the next multiple of the spacing. Sum and multiple, both cut toward zero, are that
// multiple or `down`, since a sum that was cut to a finer multiple is still on its side.
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
                        .draws = pow2(random_bits),
                        .draw_unit = pow2(1 - f.p - random_bits)};
}

HWY_EXPORT(round_vectors);

void round_values(std::span<const double> x, std::span<double> y, const FloatFormat& format,
                  Rounding mode) {
  expects(x.size() == y.size(), "round_values: equal lengths");
  const auto to = vector_rounding(format, mode);
  std::size_t i =
      to && !is_stochastic(mode) ? HWY_DYNAMIC_DISPATCH(round_vectors)(x, y, format, *to) : 0;
  for (; i < x.size(); ++i) y[i] = round(x[i], format, mode);
}

}  // namespace lamp
#endif
