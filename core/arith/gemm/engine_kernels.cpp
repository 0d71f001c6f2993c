// The vector kernels of matrix engines: columns lie across the lanes, a pass is two loops over its
// products.
//
// The first finds the largest exponent E, in lanes of 16 bits: a_exponent + b_exponent needs no
// product. The second multiplies, scales by 2^(F - E), truncates to an integer and adds. |product|
// < 2^(E + 2), so a term is below 2^(F + 2), and two accumulators share the terms: engine.cpp
// sees that each stays below 2^31. Their sum in binary64 is exact, and what is left of it after the
// cut is a binary32 number.
//
// Why binary32 lanes are enough, for E >= least_largest = F - 125: a product has 22 bits at most,
// so it is exact unless it is subnormal; then it is at most 2^-126 after rounding, less than the
// unit 2^(E - F) >= 2^-125, and cut to 0 as it should be. Scaling by a power of two is exact, or
// gives less than 1, which is cut to 0 too. With E <= 127 both powers of two are normal numbers.
// The pass's sum is an integer times 2^(E - F) >= 2^-125: normal or zero, exact in binary32 after
// the cut, or infinite where it reaches 2^128, as it should be. A pass of zeros only has E =
// least_largest and the sum 0. Other passes, and sums that became infinite, are reported. An
// engine's clamp raises E, which makes all of this easier; whether a pass is reported is decided
// before.
#include "core/arith/gemm/engine_kernels.hpp"

#include <algorithm>
#include <bit>
#include <limits>

// The targets of kernels.cpp.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/arith/gemm/engine_kernels.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
//
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace lamp::gemm_detail::HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using DI = hn::RebindToSigned<D>;
using D16 = hn::ScalableTag<std::int16_t>;
using Half = hn::Half<D>;
using Wide = hn::Rebind<double, Half>;
using V = hn::Vec<D>;
using VI = hn::Vec<DI>;

/// Toward zero; Highway's own conversion also mends what does not fit, and here all fits.
#if HWY_TARGET == HWY_AVX3
HWY_INLINE VI truncated(V x) { return VI{_mm512_cvttps_epi32(x.raw)}; }
HWY_INLINE V rounded_to_binary16(V x) {
  return V{_mm512_cvtph_ps(_mm512_cvtps_ph(x.raw, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC))};
}
#else
HWY_INLINE VI truncated(V x) { return VI{_mm256_cvttps_epi32(x.raw)}; }
HWY_INLINE V rounded_to_binary16(V x) {
  return V{_mm256_cvtph_ps(_mm256_cvtps_ph(x.raw, _MM_FROUND_TO_NEAREST_INT))};
}
#endif

/// 2^e, -126 <= e <= 127.
HWY_INLINE V power_of_two(VI e) {
  return hn::BitCast(D(), hn::ShiftLeft<23>(hn::Add(e, hn::Set(DI(), 127))));
}

/// The exact sum of two integers, cut to the bits that the output has. To binary16: to odd at 24
/// bits, so that the next rounding is the only one.
template <EngineOutput output, class Integers>
HWY_INLINE hn::Vec<Half> cut_sum(Integers x, Integers y) {
  const Wide wide;
  const hn::RebindToUnsigned<Wide> bits;
  constexpr int dropped = output == EngineOutput::fraction13_rtz ? 52 - 13 : 52 - 23;
  const auto low = hn::Set(bits, (std::uint64_t{1} << dropped) - 1);
  const auto sum = hn::BitCast(bits, hn::Add(hn::PromoteTo(wide, x), hn::PromoteTo(wide, y)));
  auto kept = hn::AndNot(low, sum);
  if constexpr (output ==
                EngineOutput::binary16_rne)  // a low bit that is set carries into the last bit kept
    kept = hn::Or(kept, hn::AndNot(low, hn::Add(hn::And(sum, low), low)));
  return hn::DemoteTo(Half(), hn::BitCast(wide, kept));
}

#if HWY_TARGET == HWY_AVX3
/// An integer cut to binary32.
HWY_INLINE V cut_integer(VI x) {
  return V{_mm512_cvt_roundepi32_ps(x.raw, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)};
}
#endif

/// `small`: the sum of the two is below 2^31.
template <EngineOutput output, bool small>
HWY_INLINE V pass_result(VI x, VI y, V unscale) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (small && output == EngineOutput::binary32_rtz)
    return hn::Mul(cut_integer(hn::Add(x, y)), unscale);
#endif
  const hn::Half<DI> half;
  const V cut = hn::Combine(D(), cut_sum<output>(hn::UpperHalf(half, x), hn::UpperHalf(half, y)),
                            cut_sum<output>(hn::LowerHalf(half, x), hn::LowerHalf(half, y)));
  const V value = hn::Mul(cut, unscale);  // exact, or an overflow
  if constexpr (output == EngineOutput::binary16_rne) return rounded_to_binary16(value);
  return value;
}

/// Two vectors of columns: as many as one vector has exponents.
struct Columns {
  V first, second;
};

/// The exponent of c, at least `least`; zeros have none.
HWY_INLINE VI exponent_of(V c, VI least) {
  const DI di;
  const VI magnitude = hn::BitCast(di, hn::Abs(c));
  const VI exponent = hn::Max(hn::Sub(hn::ShiftRight<23>(magnitude), hn::Set(di, 127)), least);
  return hn::IfThenElse(hn::Eq(magnitude, hn::Zero(di)), hn::Set(di, 2 * no_exponent), exponent);
}

/// What a row has seen: the largest sum, and the least E, as unsigned numbers above no_exponent /
/// 2, so that passes of zeros are large.
class Extremes {
 public:
  HWY_INLINE Extremes() : sum_(hn::Zero(D())), exponent_(hn::Set(DU(), ~std::uint32_t{0})) {}
  HWY_INLINE void see_sum(V c) { sum_ = hn::Max(sum_, hn::Abs(c)); }
  HWY_INLINE void see_exponent(VI largest) {
    exponent_ =
        hn::Min(exponent_, hn::BitCast(DU(), hn::Sub(largest, hn::Set(DI(), no_exponent + 512))));
  }
  [[nodiscard]] HWY_INLINE bool fit(std::int32_t least_largest) const {
    const auto least = hn::Set(DU(), static_cast<std::uint32_t>(least_largest - no_exponent - 512));
    return hn::AllTrue(D(), hn::Le(sum_, hn::Set(D(), std::numeric_limits<float>::max()))) &&
           hn::AllTrue(DU(), hn::Eq(hn::Min(exponent_, least), least));
  }

 private:
  using DU = hn::RebindToUnsigned<D>;
  V sum_;
  hn::Vec<DU> exponent_;
};

template <EngineOutput output, bool small>
class Pass {
 public:
  explicit HWY_INLINE Pass(const EngineConstants& constants)
      : products_(constants.products),
        fraction_bits_(hn::Set(DI(), constants.fraction_bits)),
        least_(hn::Set(DI(), constants.least_exponent)),
        least_largest_(constants.fraction_bits - 125),
        clamp_(std::max(least_largest_, constants.least_largest)) {}
  [[nodiscard]] std::int32_t least_largest() const { return least_largest_; }

  /// a, b and their exponents at the pass's first product, b at its first column.
  HWY_INLINE Columns operator()(const float* HWY_RESTRICT a,
                                const std::int32_t* HWY_RESTRICT a_exponents,
                                const float* HWY_RESTRICT b,
                                const std::int16_t* HWY_RESTRICT b_exponents, Columns c,
                                Extremes& seen) const {
    const D d;
    const DI di;
    const D16 d16;
    const std::size_t lanes = hn::Lanes(d);
    auto largest = hn::Set(d16, std::int16_t{2 * no_exponent});
    for (std::size_t i = 0; i < products_; ++i) {
      const auto ea = hn::BitCast(d16, hn::Set(di, a_exponents[i]));
      largest = hn::Max(largest, hn::Add(ea, hn::LoadU(d16, b_exponents + i * panel_cols)));
    }
    const hn::Half<D16> half16;
    VI first =
        hn::Max(hn::PromoteTo(di, hn::LowerHalf(half16, largest)), exponent_of(c.first, least_));
    VI second =
        hn::Max(hn::PromoteTo(di, hn::UpperHalf(half16, largest)), exponent_of(c.second, least_));
    seen.see_exponent(first), seen.see_exponent(second);
    first = hn::Max(first, hn::Set(di, clamp_)), second = hn::Max(second, hn::Set(di, clamp_));
    const V scale_first = power_of_two(hn::Sub(fraction_bits_, first)),
            scale_second = power_of_two(hn::Sub(fraction_bits_, second));
    VI x_first = truncated(hn::Mul(c.first, scale_first)), y_first = hn::Zero(di);
    VI x_second = truncated(hn::Mul(c.second, scale_second)), y_second = hn::Zero(di);
    for (std::size_t i = 0; i < products_; i += 2) {
      const auto add = [&](std::size_t k, VI& sum_first, VI& sum_second) HWY_ATTR {
        const V ak = hn::Set(d, a[k]);
        const float* HWY_RESTRICT bk = b + k * panel_cols;
        sum_first =
            hn::Add(sum_first, truncated(hn::Mul(hn::Mul(ak, hn::LoadU(d, bk)), scale_first)));
        sum_second = hn::Add(
            sum_second, truncated(hn::Mul(hn::Mul(ak, hn::LoadU(d, bk + lanes)), scale_second)));
      };
      add(i, x_first, x_second);
      add(i + 1, y_first, y_second);
    }
    return {
        pass_result<output, small>(x_first, y_first, power_of_two(hn::Sub(first, fraction_bits_))),
        pass_result<output, small>(x_second, y_second,
                                   power_of_two(hn::Sub(second, fraction_bits_)))};
  }

 private:
  std::size_t products_;
  VI fraction_bits_, least_;
  std::int32_t least_largest_, clamp_;
};

template <EngineProtocol protocol, EngineOutput output, bool small = false>
std::uint32_t kernel(const EngineTile& tile) {
  const D d;
  const std::size_t lanes = hn::Lanes(d), width = 2 * lanes, products = tile.constants.products;
  const std::size_t passes = protocol == EngineProtocol::interleaved ? 2 : 1;
  const Pass<output, small> pass(tile.constants);
  std::fill_n(tile.c, tile.rows * panel_cols, 0.0F);
  Extremes seen[tile_rows];
  for (std::size_t step = 0; step < tile.steps[tile.rows - 1]; ++step) {
    const std::size_t k = step * passes * products;
    for (std::size_t r = 0; r < tile.rows; ++r) {
      if (step >= tile.steps[r]) continue;  // the rows of a triangle end one after the other
      const float* a = tile.a[r] + k;
      const std::int32_t* a_exponents = tile.a_exponents[r] + k;
      for (std::size_t j = 0; j < panel_cols; j += width) {
        float* HWY_RESTRICT out = tile.c + r * panel_cols + j;
        const float* b = tile.b + k * panel_cols + j;
        const std::int16_t* b_exponents = tile.b_exponents + k * panel_cols + j;
        Columns c{hn::LoadU(d, out), hn::LoadU(d, out + lanes)};
        const Columns zero{hn::Zero(d), hn::Zero(d)};
        if constexpr (protocol == EngineProtocol::fused) {
          c = pass(a, a_exponents, b, b_exponents, c, seen[r]);
        } else {
          Columns sum = pass(a, a_exponents, b, b_exponents, zero, seen[r]);
          if constexpr (protocol == EngineProtocol::interleaved) {
            seen[r].see_sum(sum.first), seen[r].see_sum(sum.second);
            sum = pass(a + products, a_exponents + products, b + products * panel_cols,
                       b_exponents + products * panel_cols, sum, seen[r]);
          }
          c = {hn::Add(sum.first, c.first), hn::Add(sum.second, c.second)};
          if constexpr (output == EngineOutput::binary16_rne)  // 24 bits are 2 p + 2: the double
                                                               // rounding is innocuous
            c = {rounded_to_binary16(c.first), rounded_to_binary16(c.second)};
        }
        seen[r].see_sum(c.first), seen[r].see_sum(c.second);
        hn::StoreU(c.first, d, out);
        hn::StoreU(c.second, d, out + lanes);
      }
    }
  }
  std::uint32_t failed = 0;
  for (std::size_t r = 0; r < tile.rows; ++r)
    if (!seen[r].fit(pass.least_largest())) failed |= std::uint32_t{1} << r;
  return failed;
}

EngineKernel find_kernel(EngineProtocol protocol, EngineOutput output, bool small) {
  using enum EngineOutput;
  if (protocol == EngineProtocol::separate)
    return output == binary32_rtz ? &kernel<EngineProtocol::separate, binary32_rtz> : nullptr;
  if (protocol == EngineProtocol::interleaved)
    return output == binary16_rne ? &kernel<EngineProtocol::interleaved, binary16_rne> : nullptr;
  switch (output) {
    case binary32_rtz:
      return small ? &kernel<EngineProtocol::fused, binary32_rtz, true>
                   : &kernel<EngineProtocol::fused, binary32_rtz>;
    case fraction13_rtz:
      return &kernel<EngineProtocol::fused, fraction13_rtz>;
    case binary16_rne:
      return &kernel<EngineProtocol::fused, binary16_rne>;
  }
  contract_violated("find_kernel: a known output");
}

void exponents(const float* x, std::size_t n, int emin, std::int16_t* out) {
  for (std::size_t i = 0; i < n; ++i) {
    const std::int32_t magnitude = std::bit_cast<std::int32_t>(x[i]) & 0x7FFFFFFF;
    const std::int32_t exponent = std::max((magnitude >> 23) - 127, emin);
    out[i] = static_cast<std::int16_t>(magnitude == 0 ? no_exponent : exponent);
  }
}

EngineKernelSet engine_kernels() { return {&find_kernel, &exponents}; }

#else

EngineKernelSet engine_kernels() { return {}; }

#endif

}  // namespace lamp::gemm_detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp::gemm_detail {

EngineKernelSet engine_kernel_set([[maybe_unused]] Backend backend) {
#if HWY_TARGETS & HWY_AVX3
  if (backend == Backend::avx512) return N_AVX3::engine_kernels();
#endif
#if HWY_TARGETS & HWY_AVX2
  if (backend == Backend::avx2) return N_AVX2::engine_kernels();
#endif
  return {};
}

}  // namespace lamp::gemm_detail
#endif
