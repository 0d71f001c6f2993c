#include "analysis/error_blocks.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "analysis/error_blocks.cpp"
#include <hwy/foreach_target.h>  // compiles the rest of this file once for each target
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <limits>

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

std::size_t regular_blocks(const double* x, const double* r, std::size_t n, double smallest_normal, double units, ErrorSums& sums,
                           std::int64_t* bins) {
  const hn::CappedTag<double, ErrorSums::lanes> d;
  using Vector = hn::Vec<decltype(d)>;
  constexpr std::size_t width = hn::MaxLanes(hn::CappedTag<double, ErrorSums::lanes>()), parts = ErrorSums::lanes / width;
  using Block = std::array<Vector, parts>;  // a block of 8 in as many vectors as it takes
  const hn::RebindToSigned<decltype(d)> integers;
  constexpr std::int64_t first = 1023 + ErrorBins::lowest, last = static_cast<std::int64_t>(ErrorBins::count) - 2;
  const auto infinity = hn::Set(d, std::numeric_limits<double>::infinity()), zero = hn::Zero(d);
  const auto smallest = hn::Set(d, smallest_normal), scale = hn::Set(d, units);
  Block squares_abs, squares_rel, squares_u;
  for (std::size_t v = 0; v < parts; ++v) {
    squares_abs[v] = hn::LoadU(d, sums.squares_abs.data() + v * width);
    squares_rel[v] = hn::LoadU(d, sums.squares_rel.data() + v * width);
    squares_u[v] = hn::LoadU(d, sums.squares_u.data() + v * width);
  }
  auto max_abs = hn::Set(d, sums.max_abs), max_rel = hn::Set(d, sums.max_rel);
  std::size_t i = 0;
  for (; i + ErrorSums::lanes <= n; i += ErrorSums::lanes) {
    Block size, difference;
    bool regular = true;
    for (std::size_t v = 0; v < parts; ++v) {
      const auto xs = hn::LoadU(d, x + i + v * width), rs = hn::LoadU(d, r + i + v * width);
      size[v] = hn::Abs(rs), difference[v] = hn::Abs(hn::Sub(xs, rs));
      const auto fine = hn::And(hn::And(hn::Lt(difference[v], infinity), hn::Gt(size[v], zero)), hn::Ge(hn::Abs(xs), smallest));
      regular = hn::AllTrue(d, fine) && regular;
    }
    if (!regular) break;
    for (std::size_t v = 0; v < parts; ++v) {
      const auto relative = hn::Div(difference[v], size[v]), scaled = hn::Mul(relative, scale);
      squares_abs[v] = hn::Add(squares_abs[v], hn::Mul(difference[v], difference[v]));
      squares_rel[v] = hn::Add(squares_rel[v], hn::Mul(relative, relative));
      squares_u[v] = hn::Add(squares_u[v], hn::Mul(scaled, scaled));
      max_abs = hn::Max(max_abs, difference[v]);
      max_rel = hn::Max(max_rel, relative);
      // The bin is the biased exponent, moved and clamped; of no error it is 0.
      const auto exponent = hn::Sub(hn::ShiftRight<52>(hn::BitCast(integers, scaled)), hn::Set(integers, first));
      const auto bin = hn::Add(hn::Min(hn::Max(exponent, hn::Zero(integers)), hn::Set(integers, last)), hn::Set(integers, std::int64_t{1}));
      hn::StoreU(hn::IfThenZeroElse(hn::RebindMask(integers, hn::Eq(scaled, zero)), bin), integers, bins + i + v * width);
    }
  }
  for (std::size_t v = 0; v < parts; ++v) {
    hn::StoreU(squares_abs[v], d, sums.squares_abs.data() + v * width);
    hn::StoreU(squares_rel[v], d, sums.squares_rel.data() + v * width);
    hn::StoreU(squares_u[v], d, sums.squares_u.data() + v * width);
  }
  sums.max_abs = hn::GetLane(hn::MaxOfLanes(d, max_abs));
  sums.max_rel = hn::GetLane(hn::MaxOfLanes(d, max_rel));
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
