#include "core/selection/row_integers.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/selection/row_integers.cpp"
#include <hwy/foreach_target.h>  // compiles the rest of this file once for each target
#include <hwy/highway.h>

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// The components [first, first + lanes of d), added to `row`; as many steps as fit before n.
/// Returns where it stopped.
template <ErrorWeights weights, Norm norm, class D>
std::size_t convert(D d, const double* z, const double* given, std::size_t first, std::size_t n,
                    std::uint64_t* keys, std::int64_t* diagonal, RowIntegers& row) {
  const hn::RebindToSigned<D> integers;
  const hn::RebindToUnsigned<D> words;
  const std::size_t lanes = hn::Lanes(d);
  const auto zero = hn::Zero(d), one = hn::Set(d, 1.0), two = hn::Set(d, 2.0),
             limit = hn::Set(d, refused_from), unit = hn::Set(d, fixed_point);
  const auto low_half = hn::Set(words, std::uint64_t{0xffffffff});
  auto low = hn::Zero(words), high = hn::Zero(words);
  auto largest = hn::Set(integers, row.diagonal);
  auto good_everywhere = hn::Eq(zero, zero);
  std::size_t j = first;
  for (; j + lanes <= n; j += lanes) {
    const auto zs = hn::LoadU(d, z + j);
    auto w = one;
    if constexpr (weights == ErrorWeights::relative) w = hn::Abs(hn::LoadU(d, given + j));
    if constexpr (weights == ErrorWeights::dot) w = hn::LoadU(d, given + j);
    const auto b = norm == Norm::componentwise
                       ? hn::Mul(zs, w)
                       : hn::Mul(hn::Mul(hn::Mul(two, zs), hn::Sub(one, zs)), w);
    auto good = hn::And(hn::And(hn::Ge(zs, zero), hn::Lt(zs, limit)),
                        hn::And(hn::Ge(b, zero), hn::Lt(b, limit)));
    if constexpr (norm == Norm::componentwise) {
      const auto a = hn::Mul(hn::Sub(one, hn::Mul(two, zs)), w);
      good = hn::And(good, hn::Lt(hn::Abs(a), limit));
      const auto fixed =
          hn::ConvertTo(integers, hn::Floor(hn::Mul(hn::IfThenElseZero(good, a), unit)));
      hn::StoreU(fixed, integers, diagonal + j);
      largest = hn::Max(largest, fixed);
    }
    const auto key =
        hn::BitCast(words, hn::ConvertTo(integers, hn::Mul(hn::IfThenElseZero(good, b),
                                                           unit)));  // b >= 0: towards 0 is down
    hn::StoreU(key, words, keys + j);
    low = hn::Add(low, hn::And(key, low_half));
    high = hn::Add(high, hn::ShiftRight<32>(key));
    good_everywhere = hn::And(good_everywhere, good);
  }
  row.refused = row.refused || !hn::AllTrue(d, good_everywhere);
  HWY_ALIGN std::uint64_t lows[HWY_MAX_BYTES / 8], highs[HWY_MAX_BYTES / 8];
  HWY_ALIGN std::int64_t diagonals[HWY_MAX_BYTES / 8];
  hn::StoreU(low, words, lows), hn::StoreU(high, words, highs),
      hn::StoreU(largest, integers, diagonals);
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    row.sum += (static_cast<uint128>(highs[lane]) << 32) + lows[lane];
    row.diagonal = std::max(row.diagonal, diagonals[lane]);
  }
  return j;
}

template <ErrorWeights weights, Norm norm>
RowIntegers convert_row(const double* z, const double* given, std::size_t n, std::uint64_t* keys,
                        std::int64_t* diagonal) {
  RowIntegers row;
  const std::size_t rest =
      convert<weights, norm>(hn::ScalableTag<double>(), z, given, 0, n, keys, diagonal, row);
  convert<weights, norm>(hn::CappedTag<double, 1>(), z, given, rest, n, keys, diagonal, row);
  if (norm == Norm::normwise1) row.diagonal = 0;
  return row;
}

template <ErrorWeights weights>
RowIntegers convert_in(Norm norm, const double* z, const double* given, std::size_t n,
                       std::uint64_t* keys, std::int64_t* diagonal) {
  switch (norm) {
    case Norm::componentwise:
      return convert_row<weights, Norm::componentwise>(z, given, n, keys, diagonal);
    case Norm::normwise1:
      return convert_row<weights, Norm::normwise1>(z, given, n, keys, diagonal);
  }
  contract_violated("to_integers: a known norm");
}

RowIntegers convert_any(ErrorWeights weights, Norm norm, const double* z, const double* given,
                        std::size_t n, std::uint64_t* keys, std::int64_t* diagonal) {
  switch (weights) {
    case ErrorWeights::absolute:
      return convert_in<ErrorWeights::absolute>(norm, z, given, n, keys, diagonal);
    case ErrorWeights::relative:
      return convert_in<ErrorWeights::relative>(norm, z, given, n, keys, diagonal);
    case ErrorWeights::dot:
      return convert_in<ErrorWeights::dot>(norm, z, given, n, keys, diagonal);
  }
  contract_violated("to_integers: known weights");
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {

HWY_EXPORT(convert_any);

RowIntegers row_integers(ErrorWeights weights, Norm norm, const double* z, const double* given,
                         std::size_t n, std::uint64_t* keys, std::int64_t* diagonal) {
  return HWY_DYNAMIC_DISPATCH(convert_any)(weights, norm, z, given, n, keys, diagonal);
}

}  // namespace lamp
#endif  // HWY_ONCE
