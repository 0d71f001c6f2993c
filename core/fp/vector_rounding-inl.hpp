// Rounding of vectors of binary64 to one format, in every mode; vector_rounding.cpp has the proof.
// Included once for each Highway target (the guard toggles); exists for AVX2 and AVX-512.
#include <hwy/highway.h>

#include <limits>

#include "core/base/contract.hpp"
#include "core/fp/vector_rounding.hpp"

#if defined(LAMP_FP_VECTOR_ROUNDING_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef LAMP_FP_VECTOR_ROUNDING_INL_HPP
#undef LAMP_FP_VECTOR_ROUNDING_INL_HPP
#else
#define LAMP_FP_VECTOR_ROUNDING_INL_HPP
#endif

// A macro, because the preprocessor must know it.
#undef LAMP_HAS_VECTOR_ROUNDING
#define LAMP_HAS_VECTOR_ROUNDING (HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3)

HWY_BEFORE_NAMESPACE();
namespace lamp::vector_detail::HWY_NAMESPACE {

#if LAMP_HAS_VECTOR_ROUNDING

namespace hn = hwy::HWY_NAMESPACE;

using D64 = hn::ScalableTag<double>;
using V64 = hn::Vec<D64>;
using M64 = hn::Mask<D64>;

HWY_INLINE V64 all(double x) { return hn::Set(D64(), x); }
HWY_INLINE M64 everywhere() { return hn::Eq(all(0.0), all(0.0)); }

/// Rounds lanes that are exact or rounded to odd.
class VectorRounder {
 public:
  explicit HWY_INLINE VectorRounder(const VectorRounding& to) : to_(to) {}

  /// random: a whole number from 0 to 2^r - 1 for each lane, which stochastic modes look at.
  HWY_INLINE V64 operator()(V64 x, M64& sure, V64 random) const {
    using Kind = VectorRounding::Kind;
    switch (to_.kind) {
      case Kind::none:
        return x;
      case Kind::converted: {
        const hn::Rebind<float, D64> d32;
        return hn::PromoteTo(D64(), hn::DemoteTo(d32, x));
      }
      case Kind::nearest: {
        const Near near(to_, x);
        return hn::CopySignToAbs(
            hn::IfThenElse(hn::Gt(near.y, all(to_.largest)), all(to_.overflow), near.y), x);
      }
      case Kind::any:
        return any(x, sure, random);
    }
    contract_violated("VectorRounder: a known kind");
  }

 private:
  /// |x| rounded to nearest, and what it takes to go to another neighbour. NaN stays NaN.
  struct Near {
    V64 magnitude, power, t, y;
    HWY_INLINE Near(const VectorRounding& to, V64 x)
        : magnitude(hn::Min(all(to.beyond), hn::Abs(x))),  // the second, where one is NaN
          power(hn::Max(hn::And(magnitude, all(std::numeric_limits<double>::infinity())),
                        all(to.smallest_normal))),
          t(hn::MulAdd(power, all(to.scale), magnitude)),
          y(hn::NegMulAdd(power, all(to.scale), t)) {}
  };

#if HWY_TARGET == HWY_AVX3
  /// |x| by SR; NaN stays NaN.
  HWY_INLINE V64 drawn(V64 x, V64 random) const {
    constexpr int cut = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
    const V64 magnitude = hn::Min(all(to_.beyond), hn::Abs(x)),
              power = hn::Max(hn::And(magnitude, all(std::numeric_limits<double>::infinity())),
                              all(to_.smallest_normal)),
              scale = all(to_.scale), unit = hn::Mul(power, all(to_.draw_unit));
    const V64 sum{_mm512_fmadd_round_pd(random.raw, unit.raw, magnitude.raw, cut)};
    const V64 t{_mm512_fmadd_round_pd(power.raw, scale.raw, sum.raw, cut)};
    return hn::NegMulAdd(power, scale, t);
  }
#endif

  HWY_INLINE V64 any(V64 x, M64& sure, V64 random) const {
#if HWY_TARGET == HWY_AVX3
    if (to_.mode == Rounding::sr) return signed_by(x, drawn(x, random), sure);
#endif
    const D64 d;
    const hn::RebindToUnsigned<D64> du;
    const Near near(to_, x);
    const V64 zero = hn::Zero(d), spacing = hn::Mul(near.power, all(to_.spacing));
    const V64 left = hn::Sub(near.magnitude, near.y);
    const V64 down = hn::Sub(near.y, hn::IfThenElseZero(hn::Lt(left, zero), spacing));
    const V64 up = hn::Add(near.y, hn::IfThenElseZero(hn::Gt(left, zero), spacing));
    const M64 negative = hn::Lt(x, zero);
    V64 y = near.y;
    switch (to_.mode) {
      case Rounding::rne:
        break;
      case Rounding::rna:
        y = hn::Add(y, hn::IfThenElseZero(hn::Eq(hn::Add(left, left), spacing), spacing));
        break;
      case Rounding::rtz:
        y = down;
        break;
      case Rounding::rtp:
        y = hn::IfThenElse(negative, down, up);
        break;
      case Rounding::rtn:
        y = hn::IfThenElse(negative, up, down);
        break;
      case Rounding::rto: {  // the last place of t is that of y
        const M64 odd = hn::RebindMask(d, hn::TestBit(hn::BitCast(du, near.t), hn::Set(du, 1)));
        y = hn::IfThenElse(odd, y, hn::IfThenElse(hn::Lt(left, zero), down, up));
        break;
      }
      case Rounding::sr: {  // away iff 2^r f >= 2^r - R, f = (|x| - down) / spacing
        const V64 f = hn::Mul(hn::Sub(near.magnitude, down), all(to_.draws));
        const M64 away = hn::Ge(f, hn::Mul(hn::Sub(all(to_.draws), random), spacing));
        y = hn::IfThenElse(away, hn::Add(down, spacing), down);
        break;
      }
      case Rounding::sre:
        y = hn::IfThenElse(hn::Ge(random, all(0.5 * to_.draws)), up, down);
        break;
    }
    return signed_by(x, y, sure);
  }

  /// y, or what it overflows to, with the sign of x.
  HWY_INLINE V64 signed_by(V64 x, V64 y, M64& sure) const {
    sure = hn::And(sure, hn::Lt(hn::Abs(x), all(std::numeric_limits<double>::infinity())));
    const V64 overflow = hn::IfThenElse(hn::Lt(x, hn::Zero(D64())), all(to_.overflow_negative),
                                        all(to_.overflow_positive));
    return hn::CopySignToAbs(hn::IfThenElse(hn::Gt(y, all(to_.largest)), overflow, y), x);
  }

  const VectorRounding& to_;
};

#endif  // LAMP_HAS_VECTOR_ROUNDING

}  // namespace lamp::vector_detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
