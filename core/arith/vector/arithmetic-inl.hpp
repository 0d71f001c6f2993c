// Arithmetic of a MacSpec on vectors of binary64: GeneralArithmetic's operations, lane by lane,
// with its bits. An operation says in which lanes it is sure of them; the caller evaluates the
// others by GeneralArithmetic. Included once for each Highway target (the guard toggles); exists
// for AVX2 and AVX-512.
#include <hwy/highway.h>

#include <limits>

#include "core/arith/vector/odd-inl.hpp"
#include "core/arith/vector/spec.hpp"
#include "core/fp/vector_rounding-inl.hpp"

#if defined(LAMP_ARITH_VECTOR_ARITHMETIC_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef LAMP_ARITH_VECTOR_ARITHMETIC_INL_HPP
#undef LAMP_ARITH_VECTOR_ARITHMETIC_INL_HPP
#else
#define LAMP_ARITH_VECTOR_ARITHMETIC_INL_HPP
#endif

HWY_BEFORE_NAMESPACE();
namespace lamp::vector_detail::HWY_NAMESPACE {

#if LAMP_HAS_VECTOR_ROUNDING

/// The random numbers of one step in stochastic modes, a whole number below 2^r for each lane.
struct Random {
  V64 sum, product;
};
HWY_INLINE Random no_draws() { return {all(0.0), all(0.0)}; }

/// The operations of ScalarArithmetic. `sure` loses the lanes whose bits may be others.
class VectorArithmetic {
 public:
  explicit HWY_INLINE VectorArithmetic(const VectorSpec& spec)
      : spec_(spec),
        first_(spec.first),
        last_(spec.last),
        exact_(spec.first.kind == VectorRounding::Kind::none),
        negative_zeros_(spec.first.mode == Rounding::rtn) {}

  HWY_INLINE V64 round(V64 x, M64& sure, const Random& random = no_draws()) const {
    return last_(first_(x, sure, random.sum), sure, random.sum);
  }
  HWY_INLINE V64 add(V64 a, V64 b, M64& sure, const Random& random = no_draws()) const {
    return round(sum(a, b), sure, random);
  }
  HWY_INLINE V64 sub(V64 a, V64 b, M64& sure, const Random& random = no_draws()) const {
    return add(a, hn::Neg(b), sure, random);
  }
  HWY_INLINE V64 mul(V64 a, V64 b, M64& sure, const Random& random = no_draws()) const {
    return round(exact_ ? hn::Mul(a, b) : product(a, b, sure), sure, random);
  }
  HWY_INLINE V64 div(V64 a, V64 b, M64& sure, const Random& random = no_draws()) const {
    return round(exact_ ? hn::Div(a, b) : quotient(a, b, sure), sure, random);
  }
  HWY_INLINE V64 mac(V64 a, V64 b, V64 c, M64& sure, const Random& random = no_draws()) const {
    if (spec_.operands) {
      const VectorRounder operand(*spec_.operands);
      a = operand(a, sure, random.sum), b = operand(b, sure, random.sum);
    }
    return mac_rounded(a, b, c, sure, random);
  }
  HWY_INLINE V64 mac_rounded(V64 a, V64 b, V64 c, M64& sure,
                             const Random& random = no_draws()) const {
    if (!spec_.product)
      return round(exact_ ? hn::MulAdd(a, b, c) : fused(a, b, c, sure), sure, random);
    const VectorRounder to(*spec_.product);
    const bool rounded = spec_.product->kind != VectorRounding::Kind::none;
    return add(c, to(rounded ? product(a, b, sure) : hn::Mul(a, b), sure, random.product), sure,
               random);
  }

 private:
  /// a + b as `first_` needs it.
  HWY_INLINE V64 sum(V64 a, V64 b) const {
    if (exact_) return hn::Add(a, b);
    return with_sign_of_zero(add_to_odd(a, b), a, b);
  }
  /// In RTN an exact zero sum is -0, unless both terms are +0; it has RNE's sign here.
  HWY_INLINE V64 with_sign_of_zero(V64 sum, V64 a, V64 b) const {
    if (!negative_zeros_) return sum;
    const D64 d;
    const hn::RebindToUnsigned<D64> du;
    const M64 positive = hn::RebindMask(d, hn::Eq(hn::BitCast(du, hn::Or(a, b)), hn::Zero(du)));
    const V64 zero = hn::IfThenElse(positive, hn::Zero(d), all(-0.0));
    return hn::IfThenElse(hn::Eq(sum, hn::Zero(d)), zero, sum);
  }
#if HWY_TARGET == HWY_AVX3
  static HWY_INLINE V64 product(V64 a, V64 b, M64&) { return mul_to_odd(a, b); }
  HWY_INLINE V64 fused(V64 a, V64 b, V64 c, M64&) const {
    return with_sign_of_zero(fma_to_odd(a, b, c), hn::Mul(a, b), c);
  }
#else
  // Without directed roundings, by exact errors. Those of infinite or NaN sums are NaN, and then
  // nothing is set; what overflows binary64 is infinite here, as in RNE (`any` is not sure of it).

  /// Where a b or its error may underflow, nobody is sure.
  static HWY_INLINE void far_from_underflow(V64 a, V64 b, V64 ab, M64& sure) {
    const V64 zero = all(0.0);
    const M64 factor_is_zero = hn::Or(hn::Eq(a, zero), hn::Eq(b, zero));
    sure = hn::And(sure, hn::Or(factor_is_zero, hn::Not(hn::Lt(hn::Abs(ab), all(0x1p-900)))));
  }
  static HWY_INLINE V64 product(V64 a, V64 b, M64& sure) {
    const V64 ab = hn::Mul(a, b);
    far_from_underflow(a, b, ab, sure);
    return odd_beside(ab, hn::MulSub(a, b, ab));
  }
  /// c + a b in three parts, none larger than half a unit in the last place of the one before; the
  /// lower two to odd are sticky below the first: no multiple of half its unit is an odd number of
  /// 53 bits.
  HWY_INLINE V64 fused(V64 a, V64 b, V64 c, M64& sure) const {
    const D64 d;
    const V64 ab = hn::Mul(a, b), error = hn::MulSub(a, b, ab);
    far_from_underflow(a, b, ab, sure);
    if (hn::AllTrue(d, hn::Eq(error, hn::Zero(d))))
      return with_sign_of_zero(add_to_odd(ab, c), ab, c);
    const V64 low = hn::Add(c, error), low_part = hn::Sub(low, c);
    const V64 low_error = hn::Add(hn::Sub(c, hn::Sub(low, low_part)), hn::Sub(error, low_part));
    const V64 high = hn::Add(ab, low), high_part = hn::Sub(high, ab);
    const V64 high_error = hn::Add(hn::Sub(ab, hn::Sub(high, high_part)), hn::Sub(low, high_part));
    const V64 y = add_to_odd(high, add_to_odd(high_error, low_error));
    // NaN or infinite, where something overflowed on the way.
    sure = hn::And(sure, hn::Lt(hn::Abs(y), all(std::numeric_limits<double>::infinity())));
    const M64 zero = hn::Eq(y, hn::Zero(d));
    return with_sign_of_zero(hn::IfThenElse(zero, hn::MulAdd(a, b, c), y), ab, c);
  }
#endif
  /// The remainder of a quotient is a binary64 number, which one fma gives, where neither it nor
  /// the quotient is near underflow or overflow (Markstein, "Computation of elementary functions on
  /// the IBM RISC System/6000 processor", 1990). 0 / b is exact.
  static HWY_INLINE V64 quotient(V64 a, V64 b, M64& sure) {
    const V64 q = hn::Div(a, b), remainder = hn::NegMulAdd(q, b, a);
    const V64 low = all(0x1p-900), high = all(0x1p900);
    const auto far = [&](V64 x) HWY_ATTR {
      return hn::And(hn::Gt(hn::Abs(x), low), hn::Lt(hn::Abs(x), high));
    };
    const M64 zero_quotient = hn::And(hn::Eq(a, all(0.0)), far(b));
    sure = hn::And(sure, hn::Or(hn::And(far(a), far(q)), zero_quotient));
    return odd_beside(q, hn::Xor(remainder, hn::And(b, all(-0.0))));  // of the sign of a/b - q
  }

  const VectorSpec& spec_;
  const VectorRounder first_, last_;
  const bool exact_, negative_zeros_;
};

#endif  // LAMP_HAS_VECTOR_ROUNDING

}  // namespace lamp::vector_detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
