#include "core/lamp/split.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/lamp/split.cpp"
#include <hwy/foreach_target.h>  // compiles the rest of this file once for each target
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET <= HWY_AVX3  // the better a target, the smaller its number; below, compressing costs more than the scalar loop

/// The lanes of v in the mask, in order, at the front. As pairs of 32-bit lanes, which Highway 1.0.3 does by one instruction: for 64-bit
/// lanes it looks its shuffles up in a table that g++ copies to the stack every time.
template <class D, class V, class M>
HWY_INLINE V compress(D d, V v, M mask) {
  const hn::Repartition<std::uint32_t, D> halves;
  return hn::BitCast(d, hn::Compress(hn::BitCast(halves, v), hn::MaskFromVec(hn::BitCast(halves, hn::VecFromMask(d, mask)))));
}

/// As many whole vectors as there are; returns where it stopped.
std::size_t split_vectors(std::span<const std::uint64_t> keys, std::uint64_t pivot, std::uint64_t* low, std::uint64_t* high, KeySplit& s) {
  const hn::ScalableTag<std::uint64_t> d;
  const std::size_t lanes = hn::Lanes(d);
  const auto at = hn::Set(d, pivot);
  auto sums = hn::Zero(d);
  std::size_t i = 0;
  for (; i + lanes <= keys.size(); i += lanes) {
    const auto v = hn::LoadU(d, keys.data() + i);
    const auto below = hn::Lt(v, at), above = hn::Gt(v, at);
    hn::StoreU(compress(d, v, below), d, low + s.below);  // s.below <= i: where low is keys, what it overwrites is read already
    hn::StoreU(compress(d, v, above), d, high + s.above);
    sums = hn::Add(sums, hn::IfThenElseZero(below, v));
    s.below += hn::CountTrue(d, below);
    s.above += hn::CountTrue(d, above);
  }
  std::uint64_t of_lanes[split_slack];  // not SumOfLanes, which g++ adds up in signed integers
  hn::StoreU(sums, d, of_lanes);
  for (std::size_t lane = 0; lane < lanes; ++lane) s.sum_below += of_lanes[lane];
  return i;
}

#else

std::size_t split_vectors(std::span<const std::uint64_t>, std::uint64_t, std::uint64_t*, std::uint64_t*, KeySplit&) { return 0; }

#endif

KeySplit split_span(std::span<const std::uint64_t> keys, std::uint64_t pivot, std::uint64_t* low, std::uint64_t* high) {
  KeySplit s;
  for (std::size_t i = split_vectors(keys, pivot, low, high, s); i < keys.size(); ++i) {  // no branch depends on the data
    const std::uint64_t key = keys[i];
    low[s.below] = key;
    high[s.above] = key;
    s.sum_below += key < pivot ? key : 0;
    s.below += key < pivot ? 1 : 0;
    s.above += key > pivot ? 1 : 0;
  }
  return s;
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {

HWY_EXPORT(split_span);

KeySplit split_keys(std::span<const std::uint64_t> keys, std::uint64_t pivot, std::uint64_t* low, std::uint64_t* high) {
  return HWY_DYNAMIC_DISPATCH(split_span)(keys, pivot, low, high);
}

}  // namespace lamp
#endif  // HWY_ONCE
