#include "core/selection/buckets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/selection/buckets.cpp"
#include <hwy/foreach_target.h>  // compiles the rest of this file once for each target
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// The buckets of x >= 0. The integer below 2^52 becomes a binary64 number by way of the bits of
/// 2^52 + x.
template <class D, class V>
HWY_INLINE V bucket(D integers, V x, const Buckets& buckets) {
  const hn::RebindToFloat<D> d;
  const hn::RebindToUnsigned<D> words;
  const auto two_to_52 = hn::Set(d, 0x1p52);
  const auto cut = hn::ShiftRightSame(hn::BitCast(words, x), buckets.shift);
  const auto number =
      hn::Sub(hn::BitCast(d, hn::Or(cut, hn::BitCast(words, two_to_52))), two_to_52);
  const auto position =
      hn::BitCast(integers, hn::ShiftRightSame(hn::BitCast(words, number), buckets.dropped));
  return hn::Max(hn::Add(position, hn::Set(integers, std::int64_t{buckets.offset})),
                 hn::Zero(integers));
}

template <class D>
std::size_t codes_from(D integers, std::size_t j, const std::uint64_t* keys,
                       const std::int64_t* diagonal, std::size_t n, std::int64_t budget,
                       std::int64_t top, const Buckets& by_diagonal, const Buckets& by_key,
                       std::uint64_t* codes) {
  const hn::RebindToUnsigned<D> words;
  const std::size_t lanes = hn::Lanes(integers);
  const auto highest = hn::Set(integers, top), limit = hn::Set(integers, budget);
  const auto last = hn::Set(integers, std::int64_t{by_diagonal.count - 1}),
             nowhere = hn::Set(integers, std::int64_t{by_diagonal.count} << 16);
  for (; j + lanes <= n; j += lanes) {
    const auto b = hn::BitCast(integers, hn::LoadU(words, keys + j));
    const auto a = hn::Max(hn::LoadU(integers, diagonal + j), hn::Zero(integers));
    const auto impossible = hn::Gt(hn::Add(a, b), limit);
    const auto i = hn::Sub(
        last, bucket(integers, hn::IfThenZeroElse(impossible, hn::Sub(highest, a)), by_diagonal));
    const auto k = bucket(integers, hn::IfThenZeroElse(impossible, b), by_key);
    hn::StoreU(
        hn::BitCast(words, hn::IfThenElse(impossible, nowhere, hn::Or(hn::ShiftLeft<16>(i), k))),
        words, codes + j);
  }
  return j;
}

void codes_of(const std::uint64_t* keys, const std::int64_t* diagonal, std::size_t n,
              std::int64_t budget, std::int64_t top, const Buckets& by_diagonal,
              const Buckets& by_key, std::uint64_t* codes) {
  const std::size_t rest = codes_from(hn::ScalableTag<std::int64_t>(), 0, keys, diagonal, n, budget,
                                      top, by_diagonal, by_key, codes);
  codes_from(hn::CappedTag<std::int64_t, 1>(), rest, keys, diagonal, n, budget, top, by_diagonal,
             by_key, codes);
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {

HWY_EXPORT(codes_of);

void bucket_codes(const std::uint64_t* keys, const std::int64_t* diagonal, std::size_t n,
                  std::int64_t budget, std::int64_t top, const Buckets& by_diagonal,
                  const Buckets& by_key, std::uint64_t* codes) {
  HWY_DYNAMIC_DISPATCH(codes_of)(keys, diagonal, n, budget, top, by_diagonal, by_key, codes);
}

}  // namespace lamp
#endif  // HWY_ONCE
