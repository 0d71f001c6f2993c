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
/// Neighbours in a table: n numbers for each lane.
template <class R, std::size_t n>
struct TableRow;
template <std::size_t n>
struct TableRow<double, n> {
  const double* column;
  HWY_INLINE double operator[](std::size_t i) const { return column[i]; }
};
template <std::size_t n>
HWY_INLINE TableRow<double, n> lookup_row(const double* table, Bits64 start) {
  return {table + start};
}

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
template <std::size_t n>
struct TableRow<Vector, n> {
  HWY_INLINE TableRow() {}  // g++ compiles an implicit one for the plain machine
  hn::Vec<D64> column[n];
  HWY_INLINE Vector operator[](std::size_t i) const { return column[i]; }
};

#if HWY_TARGET == HWY_AVX3
/// Columns 2 b and 2 b + 1, b from `first` to 3, of eight rows of eight numbers.
template <int first>
HWY_INLINE void transpose(const hn::Vec<D64> (&row)[8], hn::Vec<D64>* columns) {
  const auto blocks_of = [&](bool upper) HWY_ATTR {
    hn::Vec<D64> pair[4];  // of two rows the even or the odd numbers
    for (int i = 0; i < 4; ++i)
      pair[i] = upper ? hn::InterleaveUpper(D64(), row[2 * i], row[2 * i + 1])
                      : hn::InterleaveLower(row[2 * i], row[2 * i + 1]);
    if constexpr (first == 0) {
      const __m512d low = _mm512_shuffle_f64x2(pair[0].raw, pair[1].raw, 0x44),
                    high = _mm512_shuffle_f64x2(pair[2].raw, pair[3].raw, 0x44);
      columns[upper ? 1 : 0].raw = _mm512_shuffle_f64x2(low, high, 0x88);
      columns[upper ? 3 : 2].raw = _mm512_shuffle_f64x2(low, high, 0xDD);
    }
    const __m512d low = _mm512_shuffle_f64x2(pair[0].raw, pair[1].raw, 0xEE),
                  high = _mm512_shuffle_f64x2(pair[2].raw, pair[3].raw, 0xEE);
    columns[upper ? 5 - 2 * first : 4 - 2 * first].raw = _mm512_shuffle_f64x2(low, high, 0x88);
    columns[upper ? 7 - 2 * first : 6 - 2 * first].raw = _mm512_shuffle_f64x2(low, high, 0xDD);
  };
  blocks_of(false);
  blocks_of(true);
}
#endif

/// Rows are loaded whole and transposed: n gathers take several times as long. n = 12, 16.
template <std::size_t n>
HWY_INLINE TableRow<Vector, n> lookup_row(const double* table, VectorBits start) {
  static_assert(n == 12 || n == 16);
  TableRow<Vector, n> found;
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  const D64 d;
  constexpr std::size_t lanes = hn::MaxLanes(D64());
  alignas(64) Bits64 first[lanes];
  hn::Store(start.v, U64(), first);
  hn::Vec<D64> row[lanes];
  const auto load = [&](std::size_t column) HWY_ATTR {
    for (std::size_t lane = 0; lane < lanes; ++lane)
      row[lane] = hn::LoadU(d, table + first[lane] + column);
  };
#endif
#if HWY_TARGET == HWY_AVX3
  load(0);
  transpose<0>(row, found.column);
  load(n - 8);
  if constexpr (n == 16)
    transpose<0>(row, found.column + 8);
  else
    transpose<2>(row, found.column + 8);  // columns 8 to 11 of those from 4 on
#elif HWY_TARGET == HWY_AVX2
  for (std::size_t column = 0; column < n; column += 4) {
    load(column);
    const auto even01 = hn::InterleaveLower(row[0], row[1]),
               even23 = hn::InterleaveLower(row[2], row[3]);
    const auto odd01 = hn::InterleaveUpper(d, row[0], row[1]),
               odd23 = hn::InterleaveUpper(d, row[2], row[3]);
    found.column[column] = hn::ConcatLowerLower(d, even23, even01);
    found.column[column + 1] = hn::ConcatLowerLower(d, odd23, odd01);
    found.column[column + 2] = hn::ConcatUpperUpper(d, even23, even01);
    found.column[column + 3] = hn::ConcatUpperUpper(d, odd23, odd01);
  }
#else
  for (std::size_t i = 0; i < n; ++i)
    found.column[i] =
        hn::GatherIndex(D64(), table + i, hn::BitCast(hn::RebindToSigned<D64>(), start.v));
#endif
  return found;
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
