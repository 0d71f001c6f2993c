// Two sets of operations with one spelling, so that a function template is written once: on
// `double`, and on `Vector`, a Highway vector of binary64. Both are IEEE operations lane by lane,
// so both give the same bits. Included once for each Highway target (the guard toggles); Vector
// exists where the target has a fused multiply-add (Highway's MulAdd rounds twice elsewhere) and
// vectors of fixed size.
#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#if defined(LAMP_FP_VECTOR_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef LAMP_FP_VECTOR_INL_HPP
#undef LAMP_FP_VECTOR_INL_HPP
#else
#define LAMP_FP_VECTOR_INL_HPP
#endif

// A macro, because the preprocessor must know it: HWY_NATIVE_FMA is one.
#undef LAMP_HAS_VECTOR
#define LAMP_HAS_VECTOR (HWY_NATIVE_FMA && HWY_HAVE_FLOAT64 && !HWY_HAVE_SCALABLE)

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

using Bits64 = std::uint64_t;

HWY_INLINE double mul_add(double a, double b, double c) { return std::fma(a, b, c); }
HWY_INLINE double square_root(double a) { return std::sqrt(a); }
HWY_INLINE bool both(bool a, bool b) { return a && b; }
HWY_INLINE double select(bool mask, double yes, double no) { return mask ? yes : no; }
HWY_INLINE Bits64 bits(double a) { return std::bit_cast<Bits64>(a); }
HWY_INLINE double from_bits(Bits64 a) { return std::bit_cast<double>(a); }
template <int n>
HWY_INLINE Bits64 shift_left(Bits64 a) {
  return a << n;
}
template <int n>
HWY_INLINE Bits64 shift_right(Bits64 a) {
  return a >> n;
}
HWY_INLINE double lookup(const double* table, Bits64 index) { return table[index]; }

#if LAMP_HAS_VECTOR

namespace hn = hwy::HWY_NAMESPACE;
using D64 = hn::ScalableTag<double>;
using U64 = hn::RebindToUnsigned<D64>;

struct VectorMask {
  hn::Mask<D64> m;
};

struct VectorBits {
  hn::Vec<U64> v;
  HWY_INLINE VectorBits(hn::Vec<U64> lanes) : v(lanes) {}
  HWY_INLINE VectorBits(Bits64 same) : v(hn::Set(U64(), same)) {}
  friend HWY_INLINE VectorBits operator+(VectorBits a, VectorBits b) { return hn::Add(a.v, b.v); }
  friend HWY_INLINE VectorBits operator-(VectorBits a, VectorBits b) { return hn::Sub(a.v, b.v); }
  friend HWY_INLINE VectorBits operator&(VectorBits a, VectorBits b) { return hn::And(a.v, b.v); }
  friend HWY_INLINE VectorBits operator|(VectorBits a, VectorBits b) { return hn::Or(a.v, b.v); }
};

struct Vector {
  hn::Vec<D64> v;
  HWY_INLINE Vector(hn::Vec<D64> lanes) : v(lanes) {}
  HWY_INLINE Vector(double same) : v(hn::Set(D64(), same)) {}
  friend HWY_INLINE Vector operator+(Vector a, Vector b) { return hn::Add(a.v, b.v); }
  friend HWY_INLINE Vector operator-(Vector a, Vector b) { return hn::Sub(a.v, b.v); }
  friend HWY_INLINE Vector operator*(Vector a, Vector b) { return hn::Mul(a.v, b.v); }
  friend HWY_INLINE Vector operator/(Vector a, Vector b) { return hn::Div(a.v, b.v); }
  friend HWY_INLINE Vector operator-(Vector a) { return hn::Neg(a.v); }
  friend HWY_INLINE VectorMask operator<(Vector a, Vector b) { return {hn::Lt(a.v, b.v)}; }
  friend HWY_INLINE VectorMask operator>(Vector a, Vector b) { return {hn::Gt(a.v, b.v)}; }
};

HWY_INLINE Vector mul_add(Vector a, Vector b, Vector c) { return hn::MulAdd(a.v, b.v, c.v); }
HWY_INLINE Vector square_root(Vector a) { return hn::Sqrt(a.v); }
HWY_INLINE VectorMask both(VectorMask a, VectorMask b) { return {hn::And(a.m, b.m)}; }
HWY_INLINE Vector select(VectorMask mask, Vector yes, Vector no) {
  return hn::IfThenElse(mask.m, yes.v, no.v);
}
HWY_INLINE VectorBits bits(Vector a) { return hn::BitCast(U64(), a.v); }
HWY_INLINE Vector from_bits(VectorBits a) { return hn::BitCast(D64(), a.v); }
template <int n>
HWY_INLINE VectorBits shift_left(VectorBits a) {
  return hn::ShiftLeft<n>(a.v);
}
template <int n>
HWY_INLINE VectorBits shift_right(VectorBits a) {
  return hn::ShiftRight<n>(a.v);
}
HWY_INLINE Vector lookup(const double* table, VectorBits index) {
  return hn::GatherIndex(D64(), table, hn::BitCast(hn::RebindToSigned<D64>(), index.v));
}

#endif  // LAMP_HAS_VECTOR

/// Elementwise y = f(x), f callable on a Vector and on a double; x and y may be the same memory.
template <class F>
HWY_INLINE void map(std::span<const double> x, std::span<double> y, F f) {
  std::size_t i = 0;
#if LAMP_HAS_VECTOR
  for (; i + hn::Lanes(D64()) <= x.size(); i += hn::Lanes(D64()))
    hn::StoreU(f(Vector(hn::LoadU(D64(), x.data() + i))).v, D64(), y.data() + i);
#endif
  for (; i < x.size(); ++i) y[i] = f(x[i]);
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
