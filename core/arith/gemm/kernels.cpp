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

#include "core/arith/gemm/step-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace lamp::gemm_detail::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

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

/// Rows r0 .. r0 + rows - 1 of a tile, `vectors` vectors of columns from column j0, what sums keep
/// in registers.
template <class Sums, std::size_t rows, std::size_t vectors, class T = typename Sums::Fl::T>
HWY_INLINE void block(const Tile<T>& tile, std::size_t r0, std::size_t j0) {
  const typename Sums::Fl::D d;
  const std::size_t lanes = hn::Lanes(d);
  const Sums sums(tile.constants);
  const T* a[rows];
  std::size_t steps[rows];
  typename Sums::Kept c[rows][vectors];
  for (std::size_t r = 0; r < rows; ++r) {
    const std::size_t row =
        std::min(r0 + r, tile.rows - 1);  // a short block computes its last row again
    a[r] = tile.a[row];
    steps[r] = tile.steps[row];
    const T* start = tile.c + row * panel_cols + j0;
    for (std::size_t v = 0; v < vectors; ++v)
      c[r][v] = Sums::from(tile.from_c ? hn::LoadU(d, start + v * lanes) : hn::Zero(d));
  }
  const auto a_at = [stride = tile.a_stride](const T* row, std::size_t k) {
    return row[static_cast<std::ptrdiff_t>(k) * stride];
  };
  const T* HWY_RESTRICT b = tile.b + j0;
  const auto b_row = [b, stride = tile.b_stride](std::size_t k)
                         HWY_ATTR { return b + static_cast<std::ptrdiff_t>(k) * stride; };
  std::size_t k = 0;
  for (; k < steps[0]; ++k) {
    typename Sums::V bk[vectors];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v) bk[v] = hn::LoadU(d, b_row(k) + v * lanes);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < rows; ++r) {
      const auto ak = hn::Set(d, a_at(a[r], k));
#pragma GCC unroll 8
      for (std::size_t v = 0; v < vectors; ++v) sums.next(ak, bk[v], c[r][v]);
    }
  }
  for (; k < steps[rows - 1]; ++k) {  // the rows of a triangle end one after the other
#pragma GCC unroll 8
    for (std::size_t r = 1; r < rows; ++r) {
      if (k >= steps[r]) continue;
      const auto ak = hn::Set(d, a_at(a[r], k));
#pragma GCC unroll 8
      for (std::size_t v = 0; v < vectors; ++v)
        sums.next(ak, hn::LoadU(d, b_row(k) + v * lanes), c[r][v]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < rows; ++r) {
    T* HWY_RESTRICT out = tile.c + std::min(r0 + r, tile.rows - 1) * panel_cols + j0;
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v) hn::StoreU(sums.result(c[r][v]), d, out + v * lanes);
  }
}

/// One row from +0 in several panels, `vectors` vectors of columns from column j0 of each.
template <class Sums, std::size_t vectors, class T = typename Sums::Fl::T>
HWY_INLINE void across_panels(const Tile<T>& tile, std::size_t j0) {
  const typename Sums::Fl::D d;
  const std::size_t lanes = hn::Lanes(d);
  const Sums sums(tile.constants);
  typename Sums::Kept c[panels_of_row][vectors];
#pragma GCC unroll 8
  for (auto& of_panel : c)
#pragma GCC unroll 8
    for (auto& sum : of_panel) sum = Sums::from(hn::Zero(d));
  const T* HWY_RESTRICT b = tile.b + j0;
  for (std::size_t k = 0; k < tile.steps[0]; ++k, b += tile.b_stride) {
    const auto ak = hn::Set(d, tile.a[0][static_cast<std::ptrdiff_t>(k) * tile.a_stride]);
#pragma GCC unroll 8
    for (std::size_t p = 0; p < panels_of_row; ++p)
#pragma GCC unroll 8
      for (std::size_t v = 0; v < vectors; ++v)
        sums.next(ak, hn::LoadU(d, b + p * tile.panel_stride + v * lanes), c[p][v]);
  }
#pragma GCC unroll 8
  for (std::size_t p = 0; p < panels_of_row; ++p)
#pragma GCC unroll 8
    for (std::size_t v = 0; v < vectors; ++v)
      hn::StoreU(sums.result(c[p][v]), d, tile.c + p * panel_cols + j0 + v * lanes);
}

template <class Sums, class T = typename Sums::Fl::T>
HWY_INLINE void by_blocks(const Tile<T>& tile) {
  constexpr std::size_t vectors = 2;
  constexpr std::size_t rows = HWY_TARGET == HWY_AVX3 ? 8 : 4;
  const std::size_t width = vectors * hn::Lanes(typename Sums::Fl::D());
  if (tile.panels == panels_of_row) {
    for (std::size_t j0 = 0; j0 < panel_cols; j0 += width) across_panels<Sums, vectors>(tile, j0);
    return;
  }
  for (std::size_t r0 = 0; r0 < tile.rows;) {
    const bool whole = r0 + rows / 2 < tile.rows;
    for (std::size_t j0 = 0; j0 < panel_cols; j0 += width) {
      if (whole)
        block<Sums, rows, vectors>(tile, r0, j0);
      else
        block<Sums, 2, vectors>(tile, r0, j0);
    }
    r0 += whole ? rows : 2;
  }
}
/// 32 registers hold 8 x 2 accumulators, the operands and the constants; 16 hold 4 x 2. Compensated
/// sums keep twice as many numbers: half of them in memory costs less than half as many sums, whose
/// operations wait for each other.
template <class Sums, class T = typename Sums::Fl::T>
void kernel(const Tile<T>& tile) {
  if constexpr (Sums::Fl::in_mode)
    in_mode_of<Sums::Fl::rounds_sum>([&]() HWY_ATTR { by_blocks<Sums>(tile); });
  else
    by_blocks<Sums>(tile);
}

/// Calls offer<sum, round>() for the pairs of directed modes in lanes of binary32: after RNE, after
/// a sum in the same direction, or to odd.
template <class Offer>
void for_each_direction(const Offer& offer) {
  offer.template operator()<Sum::nearest, Round::toward_zero>();
  offer.template operator()<Sum::nearest, Round::up>();
  offer.template operator()<Sum::nearest, Round::down>();
  offer.template operator()<Sum::nearest, Round::to_odd>();
  offer.template operator()<Sum::nearest, Round::away>();
  offer.template operator()<Sum::toward_zero, Round::toward_zero>();
  offer.template operator()<Sum::up, Round::up>();
  offer.template operator()<Sum::down, Round::down>();
  offer.template operator()<Sum::odd, Round::to_odd>();
  offer.template operator()<Sum::odd, Round::away>();
  offer.template operator()<Sum::toward_zero, Round::none>();
  offer.template operator()<Sum::up, Round::none>();
  offer.template operator()<Sum::down, Round::none>();
}

/// The kernel of a shape. In AVX2 a mode of the processor rounds products and sums to odd: it has
/// none where a product is rounded so and a sum is not, or the other way round.
template <class T>
Kernel<T> find(StepShape wanted) {
  using D = hn::ScalableTag<T>;
  Kernel<T> found = nullptr;
  constexpr bool own_roundings = HWY_TARGET == HWY_AVX3;  // instructions that name theirs
  const auto offer = [&]<Product product, Sum sum, Round round>() {
    if (wanted == StepShape{product, sum, round})
      found = &kernel<Chain<Step<D, product, sum, round>>>;
  };
  const auto offer_summations = [&]<Product product, Round round, Sum sum = Sum::nearest>() {
    const auto offer_summation = [&]<Summation summation>() {
      if (wanted == StepShape{product, sum, round, summation})
        found = &kernel<OfProducts<Step<D, product, sum, round>, summation>>;
    };
    offer_summation.template operator()<Summation::alone>();
    offer_summation.template operator()<Summation::kahan>();
    offer_summation.template operator()<Summation::neumaier>();
  };
  const auto offer_sums = [&]<Product product, Round round>() {
    if constexpr (own_roundings || product != Product::rounded)
      offer.template operator()<product, Sum::nearest, round>();
    if constexpr (round != Round::none && (own_roundings || product != Product::lanes)) {
      offer.template operator()<product, Sum::odd, round>();
      if constexpr (sizeof(T) == 8) offer.template operator()<product, Sum::odd_via, round>();
    }
  };
  const auto offer_products = [&]<Round round>() {
    offer_sums.template operator()<Product::fused, round>();
    offer_sums.template operator()<Product::lanes, round>();
    if constexpr (round == Round::none) return;
    offer_sums.template operator()<Product::rounded, round>();
    offer_sums.template operator()<Product::rounded_exact, round>();
  };
  offer_products.template operator()<Round::none>();
  offer_products.template operator()<Round::full>();
  offer_products.template operator()<Round::saturating>();
  offer_summations.template operator()<Product::fused, Round::none>();
  offer_summations.template operator()<Product::lanes, Round::none>();
  if constexpr (sizeof(T) == 4) {
    offer_products.template operator()<Round::integer>();
    offer.template operator()<Product::fused, Sum::nearest, Round::normal>();
    offer.template operator()<Product::lanes, Sum::nearest, Round::normal>();
    offer.template operator()<Product::rounded_exact, Sum::nearest, Round::normal>();
    offer_products.template operator()<Round::bounded>();
    offer_summations.template operator()<Product::fused, Round::integer>();
    offer_summations.template operator()<Product::lanes, Round::integer>();
    offer_summations.template operator()<Product::fused, Round::integer, Sum::odd>();
    for_each_direction(
        [&]<Sum sum, Round round>() { offer.template operator()<Product::fused, sum, round>(); });
  }
  return found;
}

template <class T, Sum sum, Round round, bool subtract>
void add_vectors(const StepConstants<T>& constants, const T* x, const T* y, std::size_t n, T* z) {
  using D = hn::ScalableTag<T>;
  const D d;
  const Rounder<D, round, true, by_processor_mode(sum)> format(constants.format);
  for (std::size_t i = 0; i < n; i += hn::Lanes(d)) {
    auto b = hn::LoadU(d, y + i);
    if constexpr (subtract) b = hn::Neg(b);
    hn::StoreU(format(lane_sum<sum>(hn::LoadU(d, x + i), b)), d, z + i);
  }
}
/// z = fl(x + y), or fl(x - y).
template <class T, Sum sum, Round round, bool subtract>
void add(const StepConstants<T>& constants, const T* x, const T* y, std::size_t n, T* z) {
  const auto add_all = [&]() HWY_ATTR {
    add_vectors<T, sum, round, subtract>(constants, x, y, n, z);
  };
  if constexpr (by_processor_mode(sum))
    in_mode_of<sum>(add_all);
  else
    add_all();
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
