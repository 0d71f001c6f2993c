// Exact sums in a few binary64 numbers. Let all products be multiples of 2^low and below 2^high,
// and n <= 2^c of them be added. With sigma = 1.5 2^(high + c + 1) a product p in binary64 splits
// into q = (sigma + p) - sigma, a multiple of 2^(high + c - 51), and p - q, both exact (Rump, Ogita
// and Oishi, "Accurate floating-point summation part I", SIAM J. Sci. Comput. 31 (2008)). Sums of
// up to n numbers q are below 2^(high + c + 1) and multiples of 2^(high + c - 51): binary64
// numbers, so added exactly in any order. What is left is at most 2^(high + c - 52): a level lower,
// 52 - c bits are gone. The last level is where the rest and its sums are binary64 numbers as they
// are: where high + c <= low + 53. The levels' sums are added exactly and rounded once, by scalar
// code.
#include "core/arith/gemm/exact.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "core/arith/gemm/kernels.hpp"
#include "core/arith/gemm/tile_operands.hpp"
#include "core/arith/orders/ordered_dot.hpp"
#include "core/arith/stochastic.hpp"

// Only targets with a fused multiply-add, as in kernels.cpp.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/arith/gemm/exact.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
//
#include <hwy/highway.h>

#ifndef LAMP_ARITH_EXACT_LEVELS
#define LAMP_ARITH_EXACT_LEVELS
namespace lamp::gemm_detail {

constexpr std::size_t most_levels = 5;

/// The sums of one row's products with a panel, by levels.
struct LevelSums {
  std::array<std::array<double, panel_cols>, most_levels> level;
};

/// sigma of every level but the last.
struct Levels {
  std::size_t count = 0;
  std::array<double, most_levels> sigma{};
};

}  // namespace lamp::gemm_detail
#endif

HWY_BEFORE_NAMESPACE();
namespace lamp::gemm_detail::HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3

namespace hn = hwy::HWY_NAMESPACE;

template <std::size_t count>
void add_levels(const Levels& levels, const float* a, const float* b, std::size_t terms,
                LevelSums& sums) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> d32;
  using V = hn::Vec<decltype(d)>;
  constexpr std::size_t lanes = hn::MaxLanes(hn::ScalableTag<double>()), together = 4;
  for (std::size_t j0 = 0; j0 < panel_cols; j0 += together * lanes) {
    V sum[count][together];
    for (std::size_t l = 0; l < count; ++l)
      for (std::size_t v = 0; v < together; ++v) sum[l][v] = hn::Zero(d);
    for (std::size_t k = 0; k < terms; ++k) {
      const V ak = hn::Set(d, static_cast<double>(a[k]));
#pragma GCC unroll 4
      for (std::size_t v = 0; v < together; ++v) {
        const V bk = hn::PromoteTo(d, hn::LoadU(d32, b + k * panel_cols + j0 + v * lanes));
        V rest = hn::Mul(ak, bk);
#pragma GCC unroll 4
        for (std::size_t l = 0; l + 1 < count; ++l) {
          const V sigma = hn::Set(d, levels.sigma[l]);
          const V q = hn::Sub(hn::Add(sigma, rest), sigma);
          sum[l][v] = hn::Add(sum[l][v], q);
          rest = hn::Sub(rest, q);
        }
        sum[count - 1][v] = hn::Add(sum[count - 1][v], rest);
      }
    }
    for (std::size_t l = 0; l < count; ++l)
      for (std::size_t v = 0; v < together; ++v)
        hn::StoreU(sum[l][v], d, sums.level[l].data() + j0 + v * lanes);
  }
}

void exact_sums(const Levels& levels, const float* a, const float* b, std::size_t terms,
                LevelSums& sums) {
  switch (levels.count) {
    case 1:
      return add_levels<1>(levels, a, b, terms, sums);
    case 2:
      return add_levels<2>(levels, a, b, terms, sums);
    case 3:
      return add_levels<3>(levels, a, b, terms, sums);
    case 4:
      return add_levels<4>(levels, a, b, terms, sums);
    case 5:
      return add_levels<5>(levels, a, b, terms, sums);
    default:
      contract_violated("gemm_of_exact_sums: a number of levels");
  }
}

#else

void exact_sums(const Levels&, const float*, const float*, std::size_t, LevelSums&) {
  contract_violated("gemm_of_exact_sums: AVX2 or AVX-512");
}

#endif

}  // namespace lamp::gemm_detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp::gemm_detail {
namespace {

/// Nothing where it takes too many, or an operand is not finite.
std::optional<Levels> levels_of(MagnitudeRange a, MagnitudeRange b, std::size_t terms) {
  constexpr std::uint32_t infinity = 0x7F800000U;
  if (a.largest >= infinity || b.largest >= infinity) return std::nullopt;
  if (a.largest == 0 || b.largest == 0) return Levels{.count = 1};
  const int low = exponent32(a.smallest_less_one + 1) + exponent32(b.smallest_less_one + 1) - 46;
  const int c = static_cast<int>(std::bit_width(terms));
  int high = exponent32(a.largest) + exponent32(b.largest) + 2;
  if (c > 40) return std::nullopt;
  Levels levels;
  for (; high + c > low + 53; high += c - 52) {
    if (levels.count + 1 == most_levels) return std::nullopt;
    levels.sigma[levels.count++] = 1.5 * pow2(high + c + 1);
  }
  ++levels.count;
  return levels;
}

/// fl of the exact sum of the levels.
template <class Fl, class Level>
double rounded_sum(const Fl& fl, const Levels& levels, const Level& level) {
  if (levels.count == 1) return fl.round(level(0));
  if (levels.count == 2) return fl.add(level(0), level(1));
  ExactSum sum;
  for (std::size_t l = 0; l < levels.count; ++l) sum.add(level(l));
  return fl.round(sum);
}

}  // namespace

void gemm_of_exact_sums(const Arithmetic& arithmetic, MatrixView<const double> a,
                        const PackedMatrix& b, MatrixView<double> out, Shape shape,
                        const Marks* marks, Backend backend) {
  const KernelSet set = kernel_set(backend);
  thread_local Workspace<float> work;
  OperandReader reader(set, arithmetic.mac, work.values);
  const std::size_t stride = padded<float>(a.cols);
  const bool fits = read_rows(reader, a, shape, stride, work);
  expects(fits, "gemm_of_exact_sums: operands that are binary32 numbers");
  const auto run = [&]([[maybe_unused]] const Levels& levels, [[maybe_unused]] const float* row,
                       [[maybe_unused]] const float* panel, [[maybe_unused]] std::size_t terms,
                       [[maybe_unused]] LevelSums& sums) {
#if HWY_TARGETS & HWY_AVX3
    if (backend == Backend::avx512) return N_AVX3::exact_sums(levels, row, panel, terms, sums);
#endif
#if HWY_TARGETS & HWY_AVX2
    if (backend == Backend::avx2) return N_AVX2::exact_sums(levels, row, panel, terms, sums);
#endif
    contract_violated("gemm_of_exact_sums: AVX2 or AVX-512");
  };
  Arithmetic rounded = arithmetic;
  rounded.mac.operands.reset();
  std::vector<double> left(a.cols), right(a.cols);
  const auto naive = [&](const auto& fl, const float* row, const float* column, std::size_t terms) {
    for (std::size_t k = 0; k < terms; ++k) {
      left[k] = static_cast<double>(row[k]);
      right[k] = static_cast<double>(column[k * panel_cols]);
    }
    return ordered_dot(fl, rounded, std::span(left).first(terms), std::span(right).first(terms));
  };
  // The sign of an exact zero looks at the terms.
  const bool zero_is_positive = rounded.mac.rounding != Rounding::rtn || rounded.mac.via;
  const auto outputs = [&](const auto& output) {
    LevelSums sums;
    for (std::size_t q = 0; q < b.panels(); ++q) {
      const std::size_t j0 = q * panel_cols;
      if (shape.columns(a.rows - 1, out.cols) <= j0) break;
      if (marks != nullptr) work.marked.find(*marks, 0, a.rows, q);
      const std::size_t count = marks != nullptr ? work.marked.rows.size() : a.rows;
      if (count == 0) continue;
      const Panel<float> panel = read_panel(set, reader, b, q, work);
      expects(panel.b != nullptr, "gemm_of_exact_sums: operands that are binary32 numbers");
      for (std::size_t p = 0; p < count; ++p) {
        const std::size_t i = marks != nullptr ? std::size_t{work.marked.rows[p]} : p;
        const std::size_t end = std::min(j0 + panel_cols, shape.columns(i, out.cols));
        const std::size_t terms = shape.terms(i, a.cols);
        const float* row = work.a.data() + i * stride;
        if (end <= j0) continue;
        const auto levels = levels_of(work.ranges[i / tile_rows], panel.range, terms);
        if (levels) run(*levels, row, panel.b, terms, sums);
        for (std::size_t j = j0; j < end; ++j) {
          const auto& fl = output(i, j);
          const auto level = [&](std::size_t l) { return sums.level[l][j - j0]; };
          bool known = levels.has_value();
          if (known && !zero_is_positive) {
            known = false;
            for (std::size_t l = 0; l < levels->count; ++l) known = known || level(l) != 0.0;
          }
          out(i, j) =
              known ? rounded_sum(fl, *levels, level) : naive(fl, row, panel.b + j - j0, terms);
        }
      }
    }
  };
  if (is_stochastic(rounded))
    outputs(stochastic_outputs(rounded));
  else
    outputs([fl = GeneralArithmetic(rounded.mac)](std::size_t, std::size_t) -> const auto& {
      return fl;
    });
}

}  // namespace lamp::gemm_detail
#endif
