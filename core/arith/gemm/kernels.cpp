// The vector kernels of gemm. Columns lie across the lanes and k runs strictly in order inside each
// lane, so the vector width never shows in a bit. Measured reasons for the shapes are in README.md.
#include "core/arith/gemm/kernels.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

// Only targets with a fused multiply-add: Highway's MulAdd rounds twice elsewhere.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/arith/gemm/kernels.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
//
#include <hwy/highway.h>

#include "core/arith/vector/odd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace lamp::gemm_detail::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
using vector_detail::HWY_NAMESPACE::add_to_odd;
#if HWY_TARGET == HWY_AVX3
using vector_detail::HWY_NAMESPACE::fma_to_odd;
using vector_detail::HWY_NAMESPACE::mul_to_odd;
#endif
#endif

constexpr float quiet_nan = std::numeric_limits<float>::quiet_NaN();

void extend(MagnitudeRange& range, float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x) & 0x7FFFFFFFU;
  range.largest = std::max(range.largest, bits);
  range.smallest_less_one = std::min(range.smallest_less_one, bits - 1);
}

bool narrow_element(double x, float& y, MagnitudeRange& range) {
  y = std::isnan(x) ? quiet_nan : static_cast<float>(x);
  extend(range, y);
  return std::isnan(x) || static_cast<double>(y) == x;
}

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3

/// The range of what a loop sees, a vector at a time.
template <class D>
class Magnitudes {
 public:
  HWY_INLINE Magnitudes()
      : largest_(hn::Zero(DU())), smallest_less_one_(hn::Set(DU(), ~std::uint32_t{0})) {}
  HWY_INLINE void see(hn::Vec<D> x) {
    const auto bits = hn::BitCast(DU(), hn::Abs(x));
    largest_ = hn::Max(largest_, bits);
    smallest_less_one_ = hn::Min(smallest_less_one_, hn::Sub(bits, hn::Set(DU(), 1)));
  }
  HWY_INLINE void extend(MagnitudeRange& range) const {
    range.largest = std::max(range.largest, hn::GetLane(hn::MaxOfLanes(DU(), largest_)));
    range.smallest_less_one =
        std::min(range.smallest_less_one, hn::GetLane(hn::MinOfLanes(DU(), smallest_less_one_)));
  }

 private:
  using DU = hn::RebindToUnsigned<D>;
  hn::Vec<DU> largest_, smallest_less_one_;
};

bool narrow(const double* x, std::size_t n, float* y, MagnitudeRange& range) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> d32;
  const std::size_t lanes = hn::Lanes(d);
  Magnitudes<decltype(d32)> seen;
  auto exact = hn::Eq(hn::Zero(d), hn::Zero(d));
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto wide = hn::LoadU(d, x + i);
    const auto rounded = hn::DemoteTo(d32, wide);
    exact = hn::And(exact, hn::Or(hn::Eq(hn::PromoteTo(d, rounded), wide), hn::IsNaN(wide)));
    const auto value = hn::IfThenElse(hn::Eq(rounded, rounded), rounded, hn::Set(d32, quiet_nan));
    hn::StoreU(value, d32, y + i);
    seen.see(value);
  }
  seen.extend(range);
  bool all_exact = hn::AllTrue(d, exact);
  for (; i < n; ++i) all_exact = narrow_element(x[i], y[i], range) && all_exact;
  return all_exact;
}

void widen(const float* x, std::size_t n, double* y) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> d32;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(hn::PromoteTo(d, hn::LoadU(d32, x + i)), d, y + i);
  for (; i < n; ++i) y[i] = static_cast<double>(x[i]);
}

/// RNE to the format that `target` describes. Without `sign_of_zero`, `full` and `saturating`
/// return +0 for every zero.
///
/// With t = x + 1.5 2^k P, P the larger of 2^emin and the power of two in x, the last bit of t has
/// the weight that the last bit of the result must have, so the addition does the rounding; 1.5
/// leaves room for either sign of x.
template <class D, Round round, bool sign_of_zero = true>
class Rounder {
 public:
  using V = hn::Vec<D>;
  using T = hn::TFromD<D>;
  using DU = hn::RebindToUnsigned<D>;
  static_assert((round != Round::integer && !is_directed(round)) || sizeof(T) == 4);

  explicit HWY_INLINE Rounder(const Target<T>& target) : target_(target) {}

  HWY_INLINE V operator()(V x) const {
    const D d;
    if constexpr (round == Round::none) return x;
    if constexpr (round == Round::normal) return through(x, hn::And(x, hn::Set(d, -infinity)));
    if constexpr (round == Round::integer) return integer(x);
    if constexpr (is_directed(round)) return directed(x);
    if constexpr (round == Round::full) {
      const V y = through(x, power(x));
      const auto fits = hn::Le(
          hn::Abs(y), hn::Set(d, target_.largest));  // not where y is NaN: x was, or was infinite
      return with_sign(hn::IfThenElse(fits, y, hn::Mul(x, hn::Set(d, target_.overflow))), x);
    }
    if constexpr (round == Round::saturating) {
      const V clamped =
          hn::Min(hn::Set(d, target_.largest), hn::Abs(x));  // the second, where one is NaN
      return hn::CopySignToAbs(through(clamped, power(clamped)), x);
    }
  }

 private:
  static constexpr T infinity = std::numeric_limits<T>::infinity();  // as bits: the exponent

  HWY_INLINE V power(V x) const {
    return hn::Max(hn::And(x, hn::Set(D(), infinity)), hn::Set(D(), target_.smallest_normal));
  }
  HWY_INLINE V through(V x, V power) const {
    const V scale = hn::Set(D(), target_.scale);
    return hn::NegMulAdd(power, scale, hn::MulAdd(power, scale, x));
  }
  static HWY_INLINE V with_sign(V y, V x) {
    if constexpr (sign_of_zero) return hn::OrAnd(y, x, hn::Set(D(), T{-0.0F}));
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

#if HWY_TARGET == HWY_AVX3
/// c + a b and a + b in one direction.
template <Sum sum>
HWY_INLINE hn::Vec512<float> directed_fma(hn::Vec512<float> a, hn::Vec512<float> b,
                                          hn::Vec512<float> c) {
  constexpr int direction = sum == Sum::toward_zero ? _MM_FROUND_TO_ZERO
                            : sum == Sum::up        ? _MM_FROUND_TO_POS_INF
                                                    : _MM_FROUND_TO_NEG_INF;
  return hn::Vec512<float>{
      _mm512_fmadd_round_ps(a.raw, b.raw, c.raw, direction | _MM_FROUND_NO_EXC)};
}
#endif
constexpr bool has_direction(Sum sum) { return sum >= Sum::toward_zero; }

/// c <- c + a b.
template <class D, Product product, Sum sum, Round round>
class Step {
 public:
  using V = hn::Vec<D>;

  explicit HWY_INLINE Step(const StepConstants<hn::TFromD<D>>& constants)
      : product_(constants.product), format_(constants.format), via_(constants.via) {}

  HWY_INLINE V operator()(V a, V b, V c) const { return format_(accumulate(a, b, c)); }

 private:
  HWY_INLINE V accumulate(V a, V b, V c) const {
    if constexpr (product == Product::fused && sum == Sum::nearest) return hn::MulAdd(a, b, c);
#if HWY_TARGET == HWY_AVX3
    if constexpr (product == Product::fused && has_direction(sum))
      return directed_fma<sum>(a, b, c);
    if constexpr (product == Product::fused && sum == Sum::odd) return fma_to_odd(a, b, c);
    if constexpr (product == Product::fused && sum == Sum::odd_via)
      return via_(fma_to_odd(a, b, c));
#endif
    if constexpr (product != Product::fused) {
      const V ab = multiply(a, b);
      if constexpr (sum == Sum::nearest) return hn::Add(ab, c);
      if constexpr (sum == Sum::odd) return add_to_odd(ab, c);
      if constexpr (sum == Sum::odd_via) return via_(add_to_odd(ab, c));
    }
  }
  HWY_INLINE V multiply(V a, V b) const {
#if HWY_TARGET == HWY_AVX3
    if constexpr (product == Product::rounded) return product_(mul_to_odd(a, b));
#endif
    if constexpr (product == Product::rounded_exact) return product_(hn::Mul(a, b));
    return hn::Mul(a, b);
  }

  /// A sum of two numbers of one format never underflows to a zero, so no sum that started from +0
  /// is -0, and the sign of a zero product is lost in the sum anyway: `nearest` after a rounded
  /// product is used for product == format only.
  static constexpr bool sign_of_zero =
      !(sum == Sum::nearest && (product == Product::rounded || product == Product::rounded_exact));
  Rounder<D, round, sign_of_zero> product_, format_;
  Rounder<D, round> via_;
};

/// Rows r0 .. r0 + rows - 1 of a tile, `vectors` vectors of columns from column j0, accumulators in
/// registers.
template <class D, Product product, Sum sum, Round round, std::size_t rows, std::size_t vectors,
          class T = hn::TFromD<D>>
HWY_INLINE void block(const Tile<T>& tile, std::size_t r0, std::size_t j0) {
  const D d;
  const std::size_t lanes = hn::Lanes(d);
  const Step<D, product, sum, round> step(tile.constants);
  const T* a[rows];
  std::size_t steps[rows];
  hn::Vec<D> c[rows][vectors];
  for (std::size_t r = 0; r < rows; ++r) {
    const std::size_t row =
        std::min(r0 + r, tile.rows - 1);  // a short block computes its last row again
    a[r] = tile.a[row];
    steps[r] = tile.steps[row];
    const T* start = tile.c + row * panel_cols + j0;
    for (std::size_t v = 0; v < vectors; ++v)
      c[r][v] = tile.from_c ? hn::LoadU(d, start + v * lanes) : hn::Zero(d);
  }
  const auto a_at = [stride = tile.a_stride](const T* row, std::size_t k) {
    return row[static_cast<std::ptrdiff_t>(k) * stride];
  };
  const T* HWY_RESTRICT b = tile.b + j0;
  const auto b_row = [b, stride = tile.b_stride](std::size_t k)
                         HWY_ATTR { return b + static_cast<std::ptrdiff_t>(k) * stride; };
  std::size_t k = 0;
  for (; k < steps[0]; ++k) {
    hn::Vec<D> bk[vectors];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v) bk[v] = hn::LoadU(d, b_row(k) + v * lanes);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < rows; ++r) {
      const auto ak = hn::Set(d, a_at(a[r], k));
#pragma GCC unroll 8
      for (std::size_t v = 0; v < vectors; ++v) c[r][v] = step(ak, bk[v], c[r][v]);
    }
  }
  for (; k < steps[rows - 1]; ++k) {  // the rows of a triangle end one after the other
#pragma GCC unroll 8
    for (std::size_t r = 1; r < rows; ++r) {
      if (k >= steps[r]) continue;
      const auto ak = hn::Set(d, a_at(a[r], k));
#pragma GCC unroll 8
      for (std::size_t v = 0; v < vectors; ++v)
        c[r][v] = step(ak, hn::LoadU(d, b_row(k) + v * lanes), c[r][v]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < rows; ++r) {
    T* HWY_RESTRICT out = tile.c + std::min(r0 + r, tile.rows - 1) * panel_cols + j0;
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v) hn::StoreU(c[r][v], d, out + v * lanes);
  }
}

/// 32 registers hold 8 x 2 accumulators, the operands and the constants; 16 hold 4 x 2.
template <class T, Product product, Sum sum, Round round>
void kernel(const Tile<T>& tile) {
  using D = hn::ScalableTag<T>;
  constexpr std::size_t vectors = 2;
  constexpr std::size_t rows = HWY_TARGET == HWY_AVX3 ? 8 : 4;
  const std::size_t width = vectors * hn::Lanes(D());
  for (std::size_t r0 = 0; r0 < tile.rows;) {
    const bool whole = r0 + rows / 2 < tile.rows;
    for (std::size_t j0 = 0; j0 < panel_cols; j0 += width) {
      if (whole)
        block<D, product, sum, round, rows, vectors>(tile, r0, j0);
      else
        block<D, product, sum, round, 2, vectors>(tile, r0, j0);
    }
    r0 += whole ? rows : 2;
  }
}

/// Calls offer<sum, round>() for the pairs of directed modes that the instruction set has in lanes
/// of binary32: after RNE in all, after a sum in the same direction, or to odd, where it has those.
template <class Offer>
void for_each_direction(const Offer& offer) {
  offer.template operator()<Sum::nearest, Round::toward_zero>();
  offer.template operator()<Sum::nearest, Round::up>();
  offer.template operator()<Sum::nearest, Round::down>();
  offer.template operator()<Sum::nearest, Round::to_odd>();
  offer.template operator()<Sum::nearest, Round::away>();
#if HWY_TARGET == HWY_AVX3
  offer.template operator()<Sum::toward_zero, Round::toward_zero>();
  offer.template operator()<Sum::up, Round::up>();
  offer.template operator()<Sum::down, Round::down>();
  offer.template operator()<Sum::odd, Round::to_odd>();
  offer.template operator()<Sum::odd, Round::away>();
  offer.template operator()<Sum::toward_zero, Round::none>();
  offer.template operator()<Sum::up, Round::none>();
  offer.template operator()<Sum::down, Round::none>();
#endif
}

/// The kernel of a shape. AVX2 has no instructions with a rounding of their own, so it has no
/// kernel for a fused sum to odd, unless the product is exact, nor for a product to odd. It has
/// sums to odd in binary64 lanes only, where they are the last resort before the naive loop.
template <class T>
Kernel<T> find(StepShape wanted) {
  Kernel<T> found = nullptr;
  constexpr bool directed = HWY_TARGET == HWY_AVX3;
  const auto offer = [&]<Product product, Sum sum, Round round>() {
    if (wanted == StepShape{product, sum, round}) found = &kernel<T, product, sum, round>;
  };
  const auto offer_sums = [&]<Product product, Round round>() {
    if constexpr (product != Product::fused_exact)
      offer.template operator()<product, Sum::nearest, round>();
    if constexpr (round != Round::none &&
                  (directed || (sizeof(T) == 8 && product != Product::fused))) {
      offer.template operator()<product, Sum::odd, round>();
      if constexpr (sizeof(T) == 8) offer.template operator()<product, Sum::odd_via, round>();
    }
  };
  const auto offer_products = [&]<Round round>() {
    offer_sums.template operator()<Product::fused, round>();
    offer_sums.template operator()<Product::lanes, round>();
    if constexpr (round == Round::none) return;
    if constexpr (directed)
      offer_sums.template operator()<Product::rounded, round>();
    else if constexpr (sizeof(T) == 8)
      offer_sums.template operator()<Product::fused_exact, round>();
    offer_sums.template operator()<Product::rounded_exact, round>();
  };
  offer_products.template operator()<Round::none>();
  offer_products.template operator()<Round::full>();
  offer_products.template operator()<Round::saturating>();
  if constexpr (sizeof(T) == 4) {
    offer_products.template operator()<Round::integer>();
    offer.template operator()<Product::fused, Sum::nearest, Round::normal>();
    offer.template operator()<Product::lanes, Sum::nearest, Round::normal>();
    for_each_direction(
        [&]<Sum sum, Round round>() { offer.template operator()<Product::fused, sum, round>(); });
  }
  return found;
}

/// z = fl(x + y), or fl(x - y).
template <class T, Sum sum, Round round, bool subtract>
void add(const StepConstants<T>& constants, const T* x, const T* y, std::size_t n, T* z) {
  const hn::ScalableTag<T> d;
  const Rounder<decltype(d), round> format(constants.format);
  for (std::size_t i = 0; i < n; i += hn::Lanes(d)) {
    const auto a = hn::LoadU(d, x + i);
    auto b = hn::LoadU(d, y + i);
    if constexpr (subtract) b = hn::Neg(b);
    if constexpr (sum == Sum::nearest)
      hn::StoreU(format(hn::Add(a, b)), d, z + i);
    else if constexpr (sum == Sum::odd)
      hn::StoreU(format(add_to_odd(a, b)), d, z + i);
#if HWY_TARGET == HWY_AVX3
    else
      hn::StoreU(format(directed_fma<sum>(a, hn::Set(d, T{1}), b)), d, z + i);
#endif
  }
}

template <class T>
AdderPair<T> find_adders(Sum sum, Round round) {
  AdderPair<T> found;
  const auto offer = [&]<Sum offered_sum, Round offered_round>() {
    if (sum == offered_sum && round == offered_round)
      found = {&add<T, offered_sum, offered_round, false>,
               &add<T, offered_sum, offered_round, true>};
  };
  const auto offer_sums = [&]<Round offered_round>() {
    offer.template operator()<Sum::nearest, offered_round>();
    if constexpr (offered_round != Round::none)
      offer.template operator()<Sum::odd, offered_round>();
  };
  offer_sums.template operator()<Round::none>();
  offer_sums.template operator()<Round::full>();
  offer_sums.template operator()<Round::saturating>();
  if constexpr (sizeof(T) == 4) {
    offer_sums.template operator()<Round::integer>();
    for_each_direction([&]<Sum offered_sum, Round offered_round>() {
      offer.template operator()<offered_sum, offered_round>();
    });
  }
  return found;
}

template <class T>
void by_magnitude(const T* x, const T* y, std::size_t n, T* larger, T* smaller) {
  const hn::ScalableTag<T> d;
  for (std::size_t i = 0; i < n; i += hn::Lanes(d)) {
    const auto a = hn::LoadU(d, x + i), b = hn::LoadU(d, y + i);
    const auto in_order = hn::Ge(hn::Abs(a), hn::Abs(b));
    hn::StoreU(hn::IfThenElse(in_order, a, b), d, larger + i);
    hn::StoreU(hn::IfThenElse(in_order, b, a), d, smaller + i);
  }
}

/// Weights are read once, and the processor's own prefetching ends with a page. A hint: the address
/// may be any.
HWY_INLINE void prefetch_page_after(const float* x) {
  constexpr std::uintptr_t page = 4096;
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(x) +
                                                   page));  // NOLINT: past the array, perhaps
}

template <Round round>
void round_values_by(const Target<float>& target, const float* x, std::size_t n, float* y,
                     MagnitudeRange& range) {
  const hn::ScalableTag<float> d;
  const Rounder<decltype(d), round> fl(target);
  const std::size_t lanes = hn::Lanes(d);
  Magnitudes<decltype(d)> seen;
  const auto round_vector = [&](const float* from, float* to) HWY_ATTR {
    const auto value = fl(hn::LoadU(d, from));
    hn::StoreU(value, d, to);
    seen.see(value);
  };
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    prefetch_page_after(x + i);
    round_vector(x + i, y + i);
  }
  if (i < n) {
    std::array<float, 16> rest{};  // zeros round to zeros, which no range counts
    std::copy(x + i, x + n, rest.begin());
    round_vector(rest.data(), rest.data());
    std::copy_n(rest.begin(), n - i, y + i);
  }
  seen.extend(range);
}

void round_values(const Target<float>& target, Round round, const float* x, std::size_t n, float* y,
                  MagnitudeRange& range) {
  if (round == Round::integer) round_values_by<Round::integer>(target, x, n, y, range);
  if (round == Round::full) round_values_by<Round::full>(target, x, n, y, range);
  if (round == Round::saturating) round_values_by<Round::saturating>(target, x, n, y, range);
  if (round == Round::none) round_values_by<Round::none>(target, x, n, y, range);
}

KernelSet kernels() {
  return {&narrow,
          &widen,
          &round_values,
          &find<float>,
          &find<double>,
          &find_adders<float>,
          &find_adders<double>,
          &by_magnitude<float>,
          &by_magnitude<double>};
}

#else

bool narrow(const double* x, std::size_t n, float* y, MagnitudeRange& range) {
  bool all_exact = true;
  for (std::size_t i = 0; i < n; ++i) all_exact = narrow_element(x[i], y[i], range) && all_exact;
  return all_exact;
}

void widen(const float* x, std::size_t n, double* y) {
  for (std::size_t i = 0; i < n; ++i) y[i] = static_cast<double>(x[i]);
}

KernelSet kernels() { return {.narrow = &narrow, .widen = &widen}; }

#endif

}  // namespace lamp::gemm_detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {

bool available(Backend backend) {
  static const std::int64_t supported =
      HWY_TARGETS &
      hwy::SupportedTargets();  // asks the processor, which takes microseconds in a VM
  switch (backend) {
    case Backend::automatic:
    case Backend::scalar:
      return true;
    case Backend::avx2:
      return (supported & HWY_AVX2) != 0;
    case Backend::avx512:
      return (supported & HWY_AVX3) != 0;
  }
  contract_violated("available: a known backend");
}

Backend resolved(Backend backend) {
  static const Backend fastest = available(Backend::avx512) ? Backend::avx512
                                 : available(Backend::avx2) ? Backend::avx2
                                                            : Backend::scalar;
  return backend == Backend::automatic ? fastest : backend;
}

std::string_view best_target() { return name_in(backend_names, resolved(Backend::automatic)); }

gemm_detail::KernelSet gemm_detail::kernel_set([[maybe_unused]] Backend backend) {
#if HWY_TARGETS & HWY_AVX3
  if (backend == Backend::avx512) return N_AVX3::kernels();
#endif
#if HWY_TARGETS & HWY_AVX2
  if (backend == Backend::avx2) return N_AVX2::kernels();
#endif
  return HWY_STATIC_DISPATCH(kernels)();
}

}  // namespace lamp
#endif
