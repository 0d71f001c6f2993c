// Whether numbers are binary32 ones, a few vectors at a time: every kernel that may narrow its
// operands asks.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/arith/all_binary32.cpp"
#include <hwy/foreach_target.h>  // compiles the rest of this file once for each target
//
#include <hwy/highway.h>

#include <cmath>
#include <span>

#include "core/arith/scalar.hpp"

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

bool each_is_binary32(std::span<const double> values) {
  std::size_t i = 0;
#if HWY_HAVE_FLOAT64 && HWY_TARGET != HWY_SCALAR
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> narrow;
  constexpr std::size_t together = 4;  // vectors
  const std::size_t lanes = hn::Lanes(d);
  for (; i + together * lanes <= values.size(); i += together * lanes) {
    auto other = hn::Not(hn::Eq(hn::Zero(d), hn::Zero(d)));  // nowhere
    for (std::size_t k = 0; k < together; ++k) {
      const auto x = hn::LoadU(d, values.data() + i + k * lanes);
      const auto same = hn::Eq(hn::PromoteTo(d, hn::DemoteTo(narrow, x)), x);
      other = hn::Or(other, hn::AndNot(same, hn::Eq(x, x)));  // of NaN any fits
    }
    if (!hn::AllFalse(d, other)) return false;
  }
#endif
  for (; i < values.size(); ++i)
    if (!std::isnan(values[i]) && static_cast<double>(static_cast<float>(values[i])) != values[i])
      return false;
  return true;
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {

HWY_EXPORT(each_is_binary32);

bool all_binary32(std::span<const double> values) {
  return HWY_DYNAMIC_DISPATCH(each_is_binary32)(values);
}

}  // namespace lamp
#endif  // HWY_ONCE
