// The target of a linear map z = W y, J = W, normwise-1: keys c_j = w_j sum_i |W_ij| / norm1(z).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/selection/linear_map.cpp"
#include <hwy/foreach_target.h>  // compiles the rest of this file once for each target

#include "core/base/contract.hpp"
#include "core/selection/keys-inl.hpp"
#include "core/selection/target.hpp"

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

void keys_of_map(ErrorWeights weights, const SelectionRow& row, std::span<const double> given,
                 std::uint64_t* keys, RowCosts& costs) {
  const std::size_t n = row.y.size();
  std::size_t j = 0;
#if LAMP_HAS_VECTOR
  const D64 d;
  KeySum sum;
  auto good = hn::Eq(hn::Zero(d), hn::Zero(d));
  for (; j + hn::Lanes(d) <= n; j += hn::Lanes(d)) {
    const Vector c = weights_at(weights, given, j) * Vector(hn::LoadU(d, row.columns.data() + j)) /
                     Vector(row.norm1);
    const auto y = hn::LoadU(d, row.y.data() + j);
    const Integers key = clamped_key(c);
    hn::StoreU(hn::BitCast(U64(), key), U64(), keys + j);
    sum.add(key);
    good = hn::And(good, hn::And(hn::Eq(c.v, c.v), hn::Eq(y, y)));
  }
  costs.sum = sum.total(), costs.refused = !hn::AllTrue(d, good);
#endif
  for (; j < n; ++j) {
    const double c = weight_at(weights, given, j) * row.columns[j] / row.norm1;
    costs.refused = costs.refused || std::isnan(c) || std::isnan(row.y[j]);
    keys[j] = clamped_key(c);
    costs.sum += keys[j];
  }
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {

HWY_EXPORT(keys_of_map);

RowCosts linear_map_costs(const SelectionSpec& spec, const SelectionRow& row,
                          SelectionScratch& scratch) {
  const std::size_t n = row.size();
  const std::span<const double> given = given_weights(spec.weights, row);
  expects((spec.weights == ErrorWeights::absolute || given.size() == n) &&
              row.columns.size() == n && row.y.size() == n,
          "linear_map_costs: one y, w and column sum for every component");
  RowCosts costs{.diagonal = 0, .surplus = Surplus::zero};
  scratch.keys.resize(n);
  HWY_DYNAMIC_DISPATCH(keys_of_map)(spec.weights, row, given, scratch.keys.data(), costs);
  return costs;
}

}  // namespace lamp
#endif  // HWY_ONCE
