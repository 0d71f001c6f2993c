// Keys and surpluses a vector at a time: the integers of target.hpp's clamped_key and
// clamped_floor. Included once for each Highway target.
#include "core/fp/vector-inl.hpp"
#include "core/selection/target.hpp"

#if defined(LAMP_SELECTION_KEYS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef LAMP_SELECTION_KEYS_INL_HPP
#undef LAMP_SELECTION_KEYS_INL_HPP
#else
#define LAMP_SELECTION_KEYS_INL_HPP
#endif

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

using lamp::clamped_floor;
using lamp::clamped_key;

#if LAMP_HAS_VECTOR

using I64 = hn::RebindToSigned<D64>;
using Integers = hn::Vec<I64>;

/// Floor(x 2^40) of x clamped to +-2^22. Of NaN, which refuses the row, it is not specified.
HWY_INLINE Integers clamped_floor(Vector x) {
  const D64 d;
  const auto within = hn::Min(hn::Max(x.v, hn::Set(d, -clamped_to)), hn::Set(d, clamped_to));
  return hn::ConvertTo(I64(), hn::Floor(hn::Mul(within, hn::Set(d, fixed_point))));
}

/// The same of x >= 0, and 0 of x < 0.
HWY_INLINE Integers clamped_key(Vector x) {
  const D64 d;
  const auto within = hn::Min(hn::Max(x.v, hn::Zero(d)), hn::Set(d, clamped_to));
  return hn::ConvertTo(I64(), hn::Mul(within, hn::Set(d, fixed_point)));
}

/// A sum of keys, exact for up to 2^31 of them in each lane.
class KeySum {
 public:
  HWY_INLINE KeySum() : low_(hn::Zero(I64())), high_(hn::Zero(I64())) {}
  HWY_INLINE void add(Integers key) {
    low_ = hn::Add(low_, hn::And(key, hn::Set(I64(), std::int64_t{0xffffffff})));
    high_ = hn::Add(high_, hn::ShiftRight<32>(key));
  }
  [[nodiscard]] HWY_INLINE uint128 total() const {
    HWY_ALIGN std::int64_t lows[HWY_MAX_BYTES / 8], highs[HWY_MAX_BYTES / 8];
    hn::Store(low_, I64(), lows), hn::Store(high_, I64(), highs);
    uint128 total = 0;
    for (std::size_t lane = 0; lane < hn::Lanes(I64()); ++lane)
      total += (static_cast<uint128>(highs[lane]) << 32) + static_cast<uint128>(lows[lane]);
    return total;
  }

 private:
  Integers low_, high_;
};

/// w_j of the components from j on.
HWY_INLINE Vector weights_at(ErrorWeights weights, std::span<const double> given, std::size_t j) {
  if (weights == ErrorWeights::absolute) return 1.0;
  const auto w = hn::LoadU(D64(), given.data() + j);
  return weights == ErrorWeights::dot ? w : hn::Abs(w);
}

#endif  // LAMP_HAS_VECTOR

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
