#include "core/selection/split.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/selection/split.cpp"
#include <hwy/foreach_target.h>  // compiles the rest of this file once for each target
#include <hwy/highway.h>

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET <= HWY_AVX3  // the better a target, the smaller its number; below, compressing costs
                            // more than the scalar loop

/// The lanes of v in the mask, in order, at the front. As pairs of 32-bit lanes, which
/// Highway 1.0.3 does by one instruction: for 64-bit lanes it looks its shuffles up in a table that
/// g++ copies to the stack every time.
template <class D, class V, class M>
HWY_INLINE V compress(D d, V v, M mask) {
  const hn::Repartition<std::uint32_t, D> halves;
  return hn::BitCast(d,
                     hn::Compress(hn::BitCast(halves, v),
                                  hn::MaskFromVec(hn::BitCast(halves, hn::VecFromMask(d, mask)))));
}

/// Splits all whole vectors; returns where it stopped.
template <bool pairs, bool keeps_low>
std::size_t split_vectors(std::span<const std::uint64_t> keys, const std::int64_t* diagonal,
                          std::uint64_t pivot, Pairs low, Pairs high, KeySplit& s) {
  const hn::ScalableTag<std::uint64_t> d;
  const hn::RebindToSigned<decltype(d)> integers;
  const std::size_t lanes = hn::Lanes(d);
  const auto at = hn::Set(d, pivot), low_half = hn::Set(d, std::uint64_t{0xffffffff});
  const auto lowest = hn::Set(integers, s.diagonal_below);
  auto sums_low = hn::Zero(d), sums_high = hn::Zero(d);
  auto largest_below = lowest, largest_equal = lowest;
  std::size_t i = 0;
  for (; i + lanes <= keys.size(); i += lanes) {
    const auto v = hn::LoadU(d, keys.data() + i);
    const auto below = hn::Lt(v, at), above = hn::Gt(v, at);
    if constexpr (pairs) {
      const auto a = hn::LoadU(integers, diagonal + i);
      if constexpr (keeps_low)
        hn::StoreU(compress(integers, a, hn::RebindMask(integers, below)), integers,
                   low.diagonal + s.below);
      if (keeps_low || !hn::AllFalse(d, above))
        hn::StoreU(compress(integers, a, hn::RebindMask(integers, above)), integers,
                   high.diagonal + s.above);
      largest_below =
          hn::Max(largest_below, hn::IfThenElse(hn::RebindMask(integers, below), a, lowest));
      largest_equal = hn::Max(largest_equal,
                              hn::IfThenElse(hn::RebindMask(integers, hn::Eq(v, at)), a, lowest));
    }
    if constexpr (keeps_low)  // s.below <= i: where low is keys, what it overwrites is read already
      hn::StoreU(compress(d, v, below), d, low.keys + s.below);
    if (keeps_low || !hn::AllFalse(d, above)) {  // without low, few are above
      hn::StoreU(compress(d, v, above), d, high.keys + s.above);
      s.above += hn::CountTrue(d, above);
    }
    const auto counted = hn::IfThenElseZero(below, v);
    sums_low = hn::Add(sums_low, hn::And(counted, low_half));
    sums_high = hn::Add(sums_high, hn::ShiftRight<32>(counted));
    s.below += hn::CountTrue(d, below);
  }
  std::uint64_t lows[split_slack],
      highs[split_slack];  // not SumOfLanes, which g++ adds up in signed integers
  hn::StoreU(sums_low, d, lows), hn::StoreU(sums_high, d, highs);
  for (std::size_t lane = 0; lane < lanes; ++lane)
    s.sum_below += (static_cast<uint128>(highs[lane]) << 32) + lows[lane];
  if constexpr (pairs) {
    s.diagonal_below = hn::GetLane(hn::MaxOfLanes(integers, largest_below));
    s.diagonal_equal = hn::GetLane(hn::MaxOfLanes(integers, largest_equal));
  }
  return i;
}

#else

template <bool pairs, bool keeps_low>
std::size_t split_vectors(std::span<const std::uint64_t>, const std::int64_t*, std::uint64_t, Pairs,
                          Pairs, KeySplit&) {
  return 0;
}

#endif

template <bool pairs, bool keeps_low>
KeySplit split_any(std::span<const std::uint64_t> keys, const std::int64_t* diagonal,
                   std::uint64_t pivot, Pairs low, Pairs high) {
  KeySplit s;
  for (std::size_t i = split_vectors<pairs, keeps_low>(keys, diagonal, pivot, low, high, s);
       i < keys.size(); ++i) {  // no branch depends on the data
    const std::uint64_t key = keys[i];
    const bool below = key<pivot, above = key> pivot;
    if constexpr (pairs) {
      const std::int64_t a = diagonal[i];
      s.diagonal_below = std::max(s.diagonal_below, below ? a : s.diagonal_below);
      s.diagonal_equal = std::max(s.diagonal_equal, below || above ? s.diagonal_equal : a);
      if constexpr (keeps_low) low.diagonal[s.below] = a;
      high.diagonal[s.above] = a;
    }
    if constexpr (keeps_low) low.keys[s.below] = key;
    high.keys[s.above] = key;
    s.sum_below += below ? key : 0;
    s.below += below ? 1 : 0;
    s.above += above ? 1 : 0;
  }
  return s;
}

std::size_t mark_above_each(std::span<const std::uint64_t> keys, std::uint64_t pivot,
                            std::span<std::uint8_t> marks) {
  std::size_t count = 0, i = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::ScalableTag<std::uint64_t> d;
  const hn::Rebind<std::uint8_t, decltype(d)> bytes;
  const auto at = hn::Set(d, pivot), one = hn::Set(d, std::uint64_t{1});
  for (; i + hn::Lanes(d) <= keys.size(); i += hn::Lanes(d)) {
    const auto above = hn::Gt(hn::LoadU(d, keys.data() + i), at);
    hn::StoreU(hn::TruncateTo(bytes, hn::IfThenElseZero(above, one)), bytes, marks.data() + i);
    count += hn::CountTrue(d, above);
  }
#endif
  for (; i < keys.size(); ++i) {
    marks[i] = keys[i] > pivot ? 1 : 0;
    count += marks[i];
  }
  return count;
}

KeySplit split_without(std::span<const std::uint64_t> keys, std::uint64_t pivot, std::uint64_t* low,
                       std::uint64_t* high) {
  return low == nullptr
             ? split_any<false, false>(keys, nullptr, pivot, {}, {high, nullptr})
             : split_any<false, true>(keys, nullptr, pivot, {low, nullptr}, {high, nullptr});
}

KeySplit split_with(std::span<const std::uint64_t> keys, const std::int64_t* diagonal,
                    std::uint64_t pivot, Pairs low, Pairs high) {
  return low.keys == nullptr ? split_any<true, false>(keys, diagonal, pivot, low, high)
                             : split_any<true, true>(keys, diagonal, pivot, low, high);
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {

HWY_EXPORT(split_without);
HWY_EXPORT(split_with);
HWY_EXPORT(mark_above_each);

KeySplit split_keys(std::span<const std::uint64_t> keys, std::uint64_t pivot, std::uint64_t* low,
                    std::uint64_t* high) {
  return HWY_DYNAMIC_DISPATCH(split_without)(keys, pivot, low, high);
}

KeySplit split_pairs(std::span<const std::uint64_t> keys, const std::int64_t* diagonal,
                     std::uint64_t pivot, Pairs low, Pairs high) {
  return HWY_DYNAMIC_DISPATCH(split_with)(keys, diagonal, pivot, low, high);
}

std::size_t mark_above(std::span<const std::uint64_t> keys, std::uint64_t pivot,
                       std::span<std::uint8_t> marks) {
  return HWY_DYNAMIC_DISPATCH(mark_above_each)(keys, pivot, marks);
}

}  // namespace lamp
#endif  // HWY_ONCE
