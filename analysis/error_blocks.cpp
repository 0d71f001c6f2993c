#include "analysis/error_blocks.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "analysis/error_blocks.cpp"
#include <hwy/foreach_target.h>  // compiles the rest of this file once for each target
#include <hwy/highway.h>

#include <algorithm>
#include <limits>

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

std::size_t regular_blocks(const double* x, const double* r, std::size_t n, double smallest_normal, double units, ErrorSums& sums,
                           std::int64_t* bins) {
  const hn::CappedTag<double, ErrorSums::lanes> d;
  const std::size_t width = hn::Lanes(d);  // 8, or a block in several vectors
  const auto infinity = hn::Set(d, std::numeric_limits<double>::infinity()), zero = hn::Zero(d);
  const auto smallest = hn::Set(d, smallest_normal), scale = hn::Set(d, units);
  std::size_t i = 0;
  for (; i + ErrorSums::lanes <= n; i += ErrorSums::lanes) {
    bool regular = true;
    for (std::size_t v = 0; v < ErrorSums::lanes; v += width) {
      const auto xs = hn::LoadU(d, x + i + v), rs = hn::LoadU(d, r + i + v);
      const auto fine = hn::And(hn::And(hn::Lt(hn::Abs(hn::Sub(xs, rs)), infinity), hn::Gt(hn::Abs(rs), zero)), hn::Ge(hn::Abs(xs), smallest));
      regular = regular && hn::AllTrue(d, fine);
    }
    if (!regular) break;
    for (std::size_t v = 0; v < ErrorSums::lanes; v += width) {
      const auto rs = hn::LoadU(d, r + i + v), difference = hn::Abs(hn::Sub(hn::LoadU(d, x + i + v), rs));
      const auto relative = hn::Div(difference, hn::Abs(rs)), scaled = hn::Mul(relative, scale);
      const auto square = [&](std::array<double, ErrorSums::lanes>& squares, auto e) {
        hn::StoreU(hn::Add(hn::LoadU(d, squares.data() + v), hn::Mul(e, e)), d, squares.data() + v);
      };
      square(sums.squares_abs, difference);
      square(sums.squares_rel, relative);
      square(sums.squares_u, scaled);
      sums.max_abs = std::max(sums.max_abs, hn::GetLane(hn::MaxOfLanes(d, difference)));
      sums.max_rel = std::max(sums.max_rel, hn::GetLane(hn::MaxOfLanes(d, relative)));
      // The bin is the biased exponent, moved and clamped; of no error it is 0.
      const hn::RebindToSigned<decltype(d)> integers;
      constexpr std::int64_t first = 1023 + ErrorBins::lowest, last = static_cast<std::int64_t>(ErrorBins::count) - 2;
      const auto exponent = hn::Sub(hn::ShiftRight<52>(hn::BitCast(integers, scaled)), hn::Set(integers, first));
      const auto bin = hn::Add(hn::Min(hn::Max(exponent, hn::Zero(integers)), hn::Set(integers, last)), hn::Set(integers, std::int64_t{1}));
      hn::StoreU(hn::IfThenZeroElse(hn::RebindMask(integers, hn::Eq(scaled, zero)), bin), integers, bins + i + v);
    }
  }
  sums.max_u = std::max(sums.max_u, sums.max_rel * units);  // units is a power of two
  return i;
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {

HWY_EXPORT(regular_blocks);

std::size_t add_regular_blocks(const double* x, const double* r, std::size_t n, double smallest_normal, double units, ErrorSums& sums,
                               std::int64_t* bins) {
  return HWY_DYNAMIC_DISPATCH(regular_blocks)(x, r, n, smallest_normal, units, sums, bins);
}

}  // namespace lamp
#endif
