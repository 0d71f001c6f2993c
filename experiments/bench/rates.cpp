#include "experiments/bench/rates.hpp"

#include "core/base/contract.hpp"

// The targets of core/arith/gemm/kernels.cpp.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "experiments/bench/rates.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
//
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace lamp::experiments::bench::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

template <std::size_t n, class Vec>
HWY_INLINE Vec sum_of(const Vec (&x)[n]) {
  Vec sum = x[0];
  for (std::size_t i = 1; i < n; ++i) sum = hn::Add(sum, x[i]);
  return sum;
}

/// Values near 1 that neither grow nor become subnormal.
template <std::size_t n, class D_>
HWY_INLINE void fill(D_ d, hn::Vec<D_> (&x)[n], std::size_t seed) {
  using T = hn::TFromD<D_>;
  for (std::size_t i = 0; i < n; ++i)
    x[i] = hn::Set(d, T{1} + static_cast<T>(seed % 7 + i) / T{1024});
}

float multiplications(std::size_t n) {
  const D d;
  V x[12];  // the latency of some four cycles on two ports, and half as many again
  fill(d, x, n);
  const V half = hn::Set(d, 0.5F + static_cast<float>(n % 2) * 0x1p-20F), rest = hn::Set(d, 0.5F);
  for (std::size_t i = 0; i < n; ++i)
#pragma GCC unroll 12
    for (V& value : x) value = hn::MulAdd(value, half, rest);
  return hn::GetLane(sum_of(x));
}

/// A mixture that every port has a share in: 6 multiply-adds, 5 additions, 6 exclusive ors, in as
/// many chains as their latencies ask for and 16 registers hold.
float any(std::size_t n) {
  const D d;
  V products[6], sums[5], bits[2];
  fill(d, products, n), fill(d, sums, n), fill(d, bits, n);
  const V half = hn::Set(d, 0.5F + static_cast<float>(n % 2) * 0x1p-20F);
  for (std::size_t i = 0; i < n; ++i) {
#pragma GCC unroll 6
    for (std::size_t k = 0; k < 6; ++k) {
      products[k] = hn::MulAdd(products[k], half, half);
      if (k < 5) sums[k] = hn::Add(sums[k], half);
      bits[k % 2] = hn::Xor(bits[k % 2], products[k]);
    }
  }
  const V all = hn::Add(hn::Add(sum_of(products), sum_of(sums)), sum_of(bits));
  return hn::GetLane(all);
}

template <class T>
float divisions(std::size_t n) {
  const hn::ScalableTag<T> d;
  hn::Vec<decltype(d)> x[8];
  fill(d, x, n);
  const auto one = hn::Set(d, T{1} + static_cast<T>(n % 2) / T{1024});
  for (std::size_t i = 0; i < n; ++i)
#pragma GCC unroll 8
    for (auto& value : x) value = hn::Div(one, value);
  return static_cast<float>(hn::GetLane(sum_of(x)));
}

RateLoops loops() {
  return {.vector_bits = 8.0 * sizeof(float) * static_cast<double>(hn::Lanes(D())),
          .per_any = 17.0,
          .per_multiplication = 12.0,
          .per_division = 8.0,
          .any = &any,
          .multiplications = &multiplications,
          .divisions_32 = &divisions<float>,
          .divisions_64 = &divisions<double>};
}

}  // namespace lamp::experiments::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp::experiments::bench {

RateLoops rate_loops(std::string_view target) {
#if HWY_TARGETS & HWY_AVX3
  if (target == "avx512") return N_AVX3::loops();
#endif
#if HWY_TARGETS & HWY_AVX2
  if (target == "avx2") return N_AVX2::loops();
#endif
  expects(target == "scalar", "rate_loops: a target that was compiled");
  return HWY_STATIC_DISPATCH(loops)();
}

}  // namespace lamp::experiments::bench
#endif
