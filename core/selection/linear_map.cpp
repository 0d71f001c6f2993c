// The target of a linear map z = W y, J = W, normwise-1: keys c_j = w_j sum_i |W_ij| / norm1(z).
#include "core/base/contract.hpp"
#include "core/selection/target.hpp"

namespace lamp {

RowCosts linear_map_costs(const SelectionSpec& spec, const SelectionRow& row,
                          SelectionScratch& scratch) {
  const std::size_t n = row.size();
  const std::span<const double> given = given_weights(spec.weights, row);
  expects((spec.weights == ErrorWeights::absolute || given.size() == n) &&
              row.columns.size() == n && row.y.size() == n,
          "linear_map_costs: one y, w and column sum for every component");
  RowCosts costs{.diagonal = 0, .surplus = Surplus::zero};
  scratch.keys.resize(n);
  for (std::size_t j = 0; j < n; ++j) {
    const double c = weight_at(spec.weights, given, j) * row.columns[j] / row.norm1;
    costs.refused = costs.refused || std::isnan(c) || std::isnan(row.y[j]);
    scratch.keys[j] = clamped_key(c);
    costs.sum += scratch.keys[j];
  }
  return costs;
}

}  // namespace lamp
