// The target of RMSNorm without its gain, z = y / r, r = sqrt(mean(y^2) + eps). With R = sum y^2 +
// n eps: J_ij = (delta_ij - y_i y_j / R) / r, so that K_ij is b_j for i != j, b_j = |y_j| w_j / R,
// and b_j + a_j for i = j, a_j = w_j / |y_j| - 2 b_j: softmax's form.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/selection/rms_norm.cpp"
#include <hwy/foreach_target.h>  // compiles the rest of this file once for each target

#include <algorithm>

#include "core/base/contract.hpp"
#include "core/fp/vector-inl.hpp"
#include "core/selection/target.hpp"

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

/// A row where y_j = 0: its error is absolute, and no error of z_j = 0 is small.
HWY_INLINE std::int64_t surplus_of_zero(double w) {
  return w > 0.0 ? clamped_floor(clamped_to) : RowCosts::nothing;
}

RowCosts costs_of_rms(const SelectionSpec& spec, const SelectionRow& row,
                      SelectionScratch& scratch) {
  const std::size_t n = row.y.size();
  const std::span<const double> y = row.y, given = given_weights(spec.weights, row);
  const ErrorWeights weights = spec.weights;
  double squares = 0.0, magnitudes = 0.0;
  for (const double x : y) squares = mul_add(x, x, squares), magnitudes += std::fabs(x);
  const double sum = squares + static_cast<double>(n) * row.eps;
  bool good = true;
  std::uint64_t* keys = scratch.keys.data();
  RowCosts costs;
  if (spec.norm == Norm::normwise1) {
    costs.diagonal = 0, costs.surplus = Surplus::zero;
    for (std::size_t j = 0; j < n; ++j) {
      const double w = weight_at(weights, given, j), a = std::fabs(y[j]);
      const double c = w * ((1.0 - y[j] * y[j] / sum) + a * (magnitudes - a) / sum) / magnitudes;
      good = good && !std::isnan(c);
      keys[j] = clamped_key(c);
      costs.sum += keys[j];
    }
    costs.refused = !good;
    return costs;
  }
  std::int64_t* diagonal = scratch.diagonal.data();
  for (std::size_t j = 0; j < n; ++j) {
    const double w = weight_at(weights, given, j), magnitude = std::fabs(y[j]);
    const double b = magnitude * w / sum, a = w / magnitude - 2.0 * b;
    const bool zero = magnitude == 0.0;
    good = good && !std::isnan(b) && (zero || !std::isnan(a));
    keys[j] = clamped_key(b);
    diagonal[j] = zero ? surplus_of_zero(w) : clamped_floor(a);
    costs.sum += keys[j];
    costs.diagonal = std::max(costs.diagonal, diagonal[j]);
  }
  costs.refused = !good, costs.counts = y;
  return costs;
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {

HWY_EXPORT(costs_of_rms);

RowCosts rms_norm_costs(const SelectionSpec& spec, const SelectionRow& row,
                        SelectionScratch& scratch) {
  const std::size_t n = row.size();
  expects(row.y.size() == n && (spec.weights == ErrorWeights::absolute ||
                                given_weights(spec.weights, row).size() == n),
          "rms_norm_costs: one y and w for every component");
  scratch.keys.resize(n), scratch.diagonal.resize(n);
  return HWY_DYNAMIC_DISPATCH(costs_of_rms)(spec, row, scratch);
}

}  // namespace lamp
#endif  // HWY_ONCE
