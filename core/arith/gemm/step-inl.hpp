// One step of a sum in the lanes of a vector, and what a sum keeps from one step to the next.
// Included once for each Highway target (the guard toggles), for targets with a fused multiply-add.
#include <hwy/highway.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "core/arith/gemm/kernels.hpp"
#include "core/arith/vector/odd-inl.hpp"

#if defined(LAMP_ARITH_GEMM_STEP_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef LAMP_ARITH_GEMM_STEP_INL_HPP
#undef LAMP_ARITH_GEMM_STEP_INL_HPP
#else
#define LAMP_ARITH_GEMM_STEP_INL_HPP
#endif

HWY_BEFORE_NAMESPACE();
namespace lamp::gemm_detail::HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3

namespace hn = hwy::HWY_NAMESPACE;
using namespace vector_detail::HWY_NAMESPACE;  // NOLINT: sums and products to odd

/// RNE to the format that `target` describes. Without `sign_of_zero`, `full`, `saturating` and
/// `bounded` may return +0 for every zero.
///
/// P is the larger of 2^emin and the power of two in x. With t = x + 1.5 2^k P the last bit of t
/// has the weight that the last bit of the result must have, so the addition does the rounding; 1.5
/// leaves room for either sign of x. `in_mode`, where the processor rounds in another way:
/// that weight is w = 2^(1-p) P. x / w is exact, an instruction that names its mode takes it to the
/// nearest whole number, and that times w is exact. Where x is infinite or NaN, so are w, by its
/// bits 1 / w, and the result, which does not fit.
template <class D, Round round, bool sign_of_zero = true, bool in_mode = false>
class Rounder {
 public:
  using V = hn::Vec<D>;
  using T = hn::TFromD<D>;
  using DU = hn::RebindToUnsigned<D>;
  static_assert((round != Round::integer && !is_directed(round)) || sizeof(T) == 4);
  static_assert(round != Round::normal || !in_mode);

  explicit HWY_INLINE Rounder(const Target<T>& target) : target_(target) {}

  HWY_INLINE V operator()(V x) const {
    const D d;
    if constexpr (round == Round::none) return x;
    if constexpr (round == Round::normal) return through(x, hn::And(x, hn::Set(d, -infinity)));
    if constexpr (round == Round::integer) return integer(x);
    if constexpr (is_directed(round)) return directed(x);
    if constexpr (round == Round::bounded) return with_sign(to_weight(x), x);
    if constexpr (round == Round::full) {
      const V y = to_weight(x);
      const auto fits = hn::Le(
          hn::Abs(y), hn::Set(d, target_.largest));  // not where y is NaN: x was, or was infinite
      return with_sign(hn::IfThenElse(fits, y, hn::Mul(x, hn::Set(d, target_.overflow))), x);
    }
    if constexpr (round == Round::saturating) {
      const V clamped =
          hn::Min(hn::Set(d, target_.largest), hn::Abs(x));  // the second, where one is NaN
      return hn::CopySignToAbs(to_weight(clamped), x);
    }
  }

 private:
  using Bits = hn::TFromD<DU>;
  static constexpr T infinity = std::numeric_limits<T>::infinity();  // as bits: the exponent

  /// To a multiple of w.
  HWY_INLINE V to_weight(V x) const {
    const D d;
    const V power = hn::Max(hn::And(x, hn::Set(d, infinity)), hn::Set(d, target_.smallest_normal));
    if constexpr (!in_mode) return through(x, power);
    const DU du;
    constexpr Bits bits_of_one = std::bit_cast<Bits>(T{1});
    const V w = hn::Mul(power, hn::Set(d, target_.last_bit));
    const V inverse = hn::BitCast(d, hn::Sub(hn::Set(du, 2 * bits_of_one), hn::BitCast(du, w)));
    return hn::Mul(hn::Round(hn::Mul(x, inverse)), w);
  }
  HWY_INLINE V through(V x, V power) const {
    const V scale = hn::Set(D(), target_.scale);
    return hn::NegMulAdd(power, scale, hn::MulAdd(power, scale, x));
  }
  static HWY_INLINE V with_sign(V y, V x) {
    if constexpr (sign_of_zero && !in_mode) return hn::OrAnd(y, x, hn::Set(D(), T{-0.0F}));
    return y;
  }
  /// u + (half - 1 + the last bit kept), then cut: ties to even, the carry runs into the exponent
  /// and at last to infinity.
  HWY_INLINE V integer(V x) const {
    const D d;
    const DU du;
    const auto u = hn::BitCast(du, x);
    const auto cut = hn::Set(du, static_cast<std::uint32_t>(~(2 * target_.half - 1)));
#if HWY_TARGET == HWY_AVX3
    const auto odd = hn::TestBit(u, hn::Set(du, 2 * target_.half));
    const auto add = hn::IfThenElse(odd, hn::Set(du, target_.half), hn::Set(du, target_.half - 1));
#else
    const auto odd =
        hn::And(hn::ShiftRightSame(u, std::countr_zero(target_.half) + 1), hn::Set(du, 1));
    const auto add = hn::Add(odd, hn::Set(du, target_.half - 1));
#endif
    return hn::BitCast(d, hn::And(hn::Add(u, add), cut));
  }

  /// On the bits: truncated after an addition that carries where the magnitude goes up, into the
  /// exponent and at last to infinity. The last bits of infinity and NaN are zeros, and stay.
  HWY_INLINE V directed(V x) const {
    const D d;
    const DU du;
    const auto u = hn::BitCast(du, x);
    const auto rest = hn::Set(du, 2 * target_.half - 1);
    const auto cut = [&](hn::Vec<DU> y) HWY_ATTR { return hn::BitCast(d, hn::AndNot(rest, y)); };
    if constexpr (round == Round::toward_zero) return cut(u);
    if constexpr (round == Round::away) return cut(hn::Add(u, hn::Set(du, target_.half)));
    if constexpr (round == Round::to_odd) {
      const auto inexact = hn::Ne(hn::And(u, rest), hn::Zero(du));
      const auto last = hn::IfThenElseZero(inexact, hn::Set(du, 2 * target_.half));
      return hn::Or(cut(u), hn::BitCast(d, last));
    }
    const auto negative = hn::BitCast(
        du, hn::ShiftRight<31>(hn::BitCast(hn::RebindToSigned<D>(), x)));  // all ones or zeros
    return cut(
        hn::Add(u, round == Round::up ? hn::AndNot(negative, rest) : hn::And(negative, rest)));
  }

  const Target<T>& target_;
};

constexpr bool has_direction(Sum sum) { return sum >= Sum::toward_zero; }

/// Whether sums are right only in the mode of the processor that in_mode_of(sum) sets: AVX2 has no
/// sums that name their rounding, as AVX-512 has.
constexpr bool by_processor_mode(Sum sum) { return HWY_TARGET == HWY_AVX2 && sum != Sum::nearest; }

template <class Function>
HWY_NOINLINE void not_inlined(const Function& function) {
  function();
}

/// function() while the processor rounds (MXCSR) as `sum` says; for sums to odd, which are made of
/// two that are rounded upward, upward. Compilers take arithmetic to round to nearest and may move
/// it, but not out of a function that they do not inline.
template <Sum sum, class Function>
void in_mode_of(const Function& function) {
  constexpr unsigned mode = sum == Sum::toward_zero ? _MM_ROUND_TOWARD_ZERO
                            : sum == Sum::down      ? _MM_ROUND_DOWN
                                                    : _MM_ROUND_UP;
  const unsigned before = _mm_getcsr();
  _mm_setcsr((before & ~unsigned{_MM_ROUND_MASK}) | mode);
  not_inlined(function);
  _mm_setcsr(before);
}

/// a b + c, rounded as `sum` says.
template <Sum sum, class V>
HWY_INLINE V lane_fma(V a, V b, V c) {
  if constexpr (sum == Sum::nearest) return hn::MulAdd(a, b, c);
#if HWY_TARGET == HWY_AVX3
  constexpr int direction = sum == Sum::toward_zero ? _MM_FROUND_TO_ZERO
                            : sum == Sum::up        ? _MM_FROUND_TO_POS_INF
                                                    : _MM_FROUND_TO_NEG_INF;
  if constexpr (has_direction(sum))
    return V{_mm512_fmadd_round_ps(a.raw, b.raw, c.raw, direction | _MM_FROUND_NO_EXC)};
  if constexpr (sum == Sum::odd || sum == Sum::odd_via) return fma_to_odd(a, b, c);
#else  // in_mode_of(sum)
  if constexpr (has_direction(sum)) return hn::MulAdd(a, b, c);
  if constexpr (sum == Sum::odd || sum == Sum::odd_via) return fma_to_odd_in_upward_mode(a, b, c);
#endif
}

/// x + y, rounded as `sum` says.
template <Sum sum, class V>
HWY_INLINE V lane_sum(V x, V y) {
  if constexpr (sum == Sum::nearest) return hn::Add(x, y);
#if HWY_TARGET == HWY_AVX3
  if constexpr (sum == Sum::odd || sum == Sum::odd_via) return add_to_odd(x, y);
#endif
  return lane_fma<sum>(x, hn::Set(hn::DFromV<V>(), hn::TFromV<V>{1}), y);
}

/// c <- c + a b.
template <class Lanes, Product product, Sum sum, Round round>
class Step {
 public:
  using D = Lanes;
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;

  static constexpr Sum rounds_sum = sum;
  static constexpr bool in_mode = by_processor_mode(sum);
  static_assert(!in_mode || product != Product::lanes, "no mode has two roundings");

  explicit HWY_INLINE Step(const StepConstants<T>& constants)
      : product_(constants.product), format_(constants.format), via_(constants.via) {}

  HWY_INLINE V operator()(V a, V b, V c) const { return format_(accumulate(a, b, c)); }
  /// Lone additions. Pre: one pair (sum, round) serves them too.
  HWY_INLINE V add(V x, V y) const { return format_(lane_sum<sum>(x, y)); }
  HWY_INLINE V sub(V x, V y) const { return add(x, hn::Neg(y)); }

 private:
  HWY_INLINE V accumulate(V a, V b, V c) const {
    V y;
    if constexpr (product == Product::fused)
      y = lane_fma<sum>(a, b, c);
    else
      y = lane_sum<sum>(multiply(a, b), c);
    if constexpr (sum == Sum::odd_via) y = via_(y);
    return y;
  }
  HWY_INLINE V multiply(V a, V b) const {
#if HWY_TARGET == HWY_AVX3
    if constexpr (product == Product::rounded) return product_(mul_to_odd(a, b));
#else
    if constexpr (product == Product::rounded) return product_(mul_to_odd_in_upward_mode(a, b));
#endif
    if constexpr (product == Product::rounded_exact) return product_(hn::Mul(a, b));
    return hn::Mul(a, b);
  }

  /// A sum of two numbers of one format never underflows to a zero, so no sum that started from +0
  /// is -0, and the sign of a zero product is lost in the sum anyway: `nearest` after a rounded
  /// product is used for product == format only.
  static constexpr bool sign_of_zero = !(sum == Sum::nearest && is_rounded(product));
  Rounder<D, round, sign_of_zero, in_mode> product_, format_;
  Rounder<D, round, true, in_mode> via_;
};

// What a sum does with its terms, one after the other. `Kept` is what it keeps from one to the
// next.

/// Order sequential.
template <class Step>
class Chain {
 public:
  using Fl = Step;
  using V = typename Fl::V;
  using Kept = V;

  explicit HWY_INLINE Chain(const StepConstants<typename Fl::T>& constants) : fl_(constants) {}
  static HWY_INLINE Kept from(V c) { return c; }
  HWY_INLINE void next(V a, V b, Kept& sum) const { sum = fl_(a, b, sum); }
  HWY_INLINE V result(const Kept& sum) const { return sum; }

 private:
  Fl fl_;
};

/// Products that are rounded alone. Orders kahan and neumaier: orders/compensated.hpp has the
/// definitions.
template <class Step, Summation summation>
class OfProducts {
 public:
  using Fl = Step;
  using V = typename Fl::V;
  struct Kept {
    V total, e;
  };

  explicit HWY_INLINE OfProducts(const StepConstants<typename Fl::T>& constants) : fl_(constants) {}
  static HWY_INLINE Kept from(V c) { return {c, zero()}; }
  HWY_INLINE void next(V a, V b, Kept& sum) const {
    const V p = fl_(a, b, zero());
    if constexpr (summation == Summation::alone) sum.total = fl_.add(sum.total, p);
    if constexpr (summation == Summation::kahan) add_kahan(p, sum);
    if constexpr (summation == Summation::neumaier) add_neumaier(p, sum);
  }
  HWY_INLINE V result(const Kept& sum) const {
    return summation == Summation::neumaier ? fl_.add(sum.total, sum.e) : sum.total;
  }

 private:
  static HWY_INLINE V zero() { return hn::Zero(typename Fl::D()); }
  HWY_INLINE void add_kahan(V p, Kept& sum) const {
    const V y = fl_.sub(p, sum.e);
    const V t = fl_.add(sum.total, y);
    sum.e = fl_.sub(fl_.sub(t, sum.total), y);
    sum.total = t;
  }
  HWY_INLINE void add_neumaier(V p, Kept& sum) const {
    const V t = fl_.add(sum.total, p);
    const auto in_order = hn::Ge(hn::Abs(sum.total), hn::Abs(p));
    const V larger = hn::IfThenElse(in_order, sum.total, p);
    const V smaller = hn::IfThenElse(in_order, p, sum.total);
    sum.e = fl_.add(sum.e, fl_.add(fl_.sub(larger, t), smaller));
    sum.total = t;
  }

  Fl fl_;
};

#endif

}  // namespace lamp::gemm_detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
