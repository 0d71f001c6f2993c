// Sums and products rounded to odd in the lanes of a vector (Boldo and Melquiond, "Emulation of a
// FMA and correctly rounded sums: proved algorithms using rounding to odd", IEEE TC 57 (2008)): a
// rounding to two bits less is then the only one. Included once for each Highway target (the guard
// toggles), for targets with a fused multiply-add.
#include <hwy/highway.h>

#include <cstddef>

#if defined(LAMP_ARITH_VECTOR_ODD_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef LAMP_ARITH_VECTOR_ODD_INL_HPP
#undef LAMP_ARITH_VECTOR_ODD_INL_HPP
#else
#define LAMP_ARITH_VECTOR_ODD_INL_HPP
#endif

HWY_BEFORE_NAMESPACE();
namespace lamp::vector_detail::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
/// The number between nearest and the exact result, or nearest itself: `error` has the sign of
/// exact - nearest. Cut toward zero on that side, and the last bit is set. Where the error is NaN
/// nothing happens.
template <class V>
HWY_INLINE V odd_beside(V nearest, V error) {
  const hn::DFromV<V> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const auto inexact =
      hn::And(hn::BitCast(du, hn::VecFromMask(d, hn::Ne(error, hn::Zero(d)))), hn::Set(du, 1));
  const auto inward =
      hn::ShiftRight<8 * sizeof(hn::TFromV<V>) - 1>(hn::BitCast(du, hn::Xor(nearest, error)));
  return hn::BitCast(d,
                     hn::Or(hn::Sub(hn::BitCast(du, nearest), hn::And(inward, inexact)), inexact));
}
#endif

// From the two directed roundings: they are equal, or neighbours of which one has an odd last bit.
// Where both are even they are the same number, or +0 and -0 of an exact zero sum: the upward one
// has RNE's sign.

#if HWY_TARGET == HWY_AVX3
constexpr int downward = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
constexpr int upward = _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC;

template <class D, class V = hn::Vec<D>>
HWY_INLINE V odd_one(D d, V down, V up) {
  const hn::RebindToUnsigned<D> du;
  return hn::IfThenElse(hn::RebindMask(d, hn::TestBit(hn::BitCast(du, down), hn::Set(du, 1))), down,
                        up);
}
HWY_INLINE hn::Vec512<float> fma_to_odd(hn::Vec512<float> a, hn::Vec512<float> b,
                                        hn::Vec512<float> c) {
  return odd_one(hn::ScalableTag<float>(),
                 hn::Vec512<float>{_mm512_fmadd_round_ps(a.raw, b.raw, c.raw, downward)},
                 hn::Vec512<float>{_mm512_fmadd_round_ps(a.raw, b.raw, c.raw, upward)});
}
HWY_INLINE hn::Vec512<double> fma_to_odd(hn::Vec512<double> a, hn::Vec512<double> b,
                                         hn::Vec512<double> c) {
  return odd_one(hn::ScalableTag<double>(),
                 hn::Vec512<double>{_mm512_fmadd_round_pd(a.raw, b.raw, c.raw, downward)},
                 hn::Vec512<double>{_mm512_fmadd_round_pd(a.raw, b.raw, c.raw, upward)});
}
HWY_INLINE hn::Vec512<float> mul_to_odd(hn::Vec512<float> a, hn::Vec512<float> b) {
  return odd_one(hn::ScalableTag<float>(),
                 hn::Vec512<float>{_mm512_mul_round_ps(a.raw, b.raw, downward)},
                 hn::Vec512<float>{_mm512_mul_round_ps(a.raw, b.raw, upward)});
}
HWY_INLINE hn::Vec512<double> mul_to_odd(hn::Vec512<double> a, hn::Vec512<double> b) {
  return odd_one(hn::ScalableTag<double>(),
                 hn::Vec512<double>{_mm512_mul_round_pd(a.raw, b.raw, downward)},
                 hn::Vec512<double>{_mm512_mul_round_pd(a.raw, b.raw, upward)});
}
HWY_INLINE hn::Vec512<float> add_to_odd(hn::Vec512<float> a, hn::Vec512<float> b) {
  return odd_one(hn::ScalableTag<float>(),
                 hn::Vec512<float>{_mm512_add_round_ps(a.raw, b.raw, downward)},
                 hn::Vec512<float>{_mm512_add_round_ps(a.raw, b.raw, upward)});
}
HWY_INLINE hn::Vec512<double> add_to_odd(hn::Vec512<double> a, hn::Vec512<double> b) {
  return odd_one(hn::ScalableTag<double>(),
                 hn::Vec512<double>{_mm512_add_round_pd(a.raw, b.raw, downward)},
                 hn::Vec512<double>{_mm512_add_round_pd(a.raw, b.raw, upward)});
}

#elif HWY_TARGET == HWY_AVX2
/// By the rounded sum and its exact error (Knuth's TwoSum). In sums of infinities or NaN the error
/// is NaN.
template <class V>
HWY_INLINE V add_to_odd(V a, V b) {
  const V s = hn::Add(a, b);
  const V b_share = hn::Sub(s, a);
  return odd_beside(s, hn::Add(hn::Sub(a, hn::Sub(s, b_share)), hn::Sub(b, b_share)));
}

// While the processor rounds upward (MXCSR), -(-x) is x rounded downward.

template <class V>
HWY_INLINE V odd_one(V down, V up) {
  const hn::DFromV<V> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  constexpr int to_sign = 8 * sizeof(hn::TFromV<V>) - 1;
  const V last_bit_as_sign = hn::BitCast(d, hn::ShiftLeft<to_sign>(hn::BitCast(du, down)));
  return hn::IfNegativeThenElse(last_bit_as_sign, down, up);
}
template <class V>
HWY_INLINE V fma_to_odd_in_upward_mode(V a, V b, V c) {
  return odd_one(hn::Neg(hn::NegMulSub(a, b, c)), hn::MulAdd(a, b, c));
}
template <class V>
HWY_INLINE V mul_to_odd_in_upward_mode(V a, V b) {
  return odd_one(hn::Neg(hn::Mul(hn::Neg(a), b)), hn::Mul(a, b));
}
#endif

}  // namespace lamp::vector_detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
