// The target of softmax, J = diag(z) - z z^T: keys b_j = z_j w_j, surplus a_j = (1 - 2 z_j) w_j.
// With absolute weights B is 1 - (sum over S of z), at least 0: that equals the sum of z over what
// is left out, except that computed z do not sum to 1 exactly.
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/base/contract.hpp"
#include "core/selection/row_integers.hpp"
#include "core/selection/target.hpp"

namespace lamp {
namespace {

/// Masked entries count as components with z = 0, w = 1: their rows are never in S and cost a = 1.
bool counts_masked(const SelectionSpec& spec, const SelectionRow& row) {
  return spec.mask == Mask::as_zero && spec.norm == Norm::componentwise &&
         row.row_length > row.z.size();
}

}  // namespace

RowCosts softmax_costs(const SelectionSpec& spec, const SelectionRow& row,
                       SelectionScratch& scratch) {
  const std::size_t n = row.z.size();
  const std::span<const double> given = given_weights(spec.weights, row);
  const bool componentwise = spec.norm == Norm::componentwise,
             absolute = spec.weights == ErrorWeights::absolute;
  expects(absolute || given.size() == n, "softmax_costs: one y or w for every z");
  scratch.keys.resize(n);
  if (componentwise) scratch.diagonal.resize(n);
  const RowIntegers integers = row_integers(spec.weights, spec.norm, row.z.data(), given.data(), n,
                                            scratch.keys.data(), scratch.diagonal.data());
  RowCosts costs{.sum = integers.sum,
                 .diagonal = integers.diagonal,
                 .surplus = !componentwise ? Surplus::zero
                            : absolute     ? Surplus::falls
                                           : Surplus::any,
                 .refused = integers.refused};
  if (counts_masked(spec, row)) {
    costs.outside = one;
  } else if (n == 1) {  // J = 0: softmax of one number is 1
    scratch.keys[0] = 0;
    if (componentwise) scratch.diagonal[0] = 0;
    costs.sum = 0, costs.diagonal = 0;
    return costs;
  }
  if (absolute && componentwise) costs.missing = one - static_cast<int128>(costs.sum);
  return costs;
}

}  // namespace lamp
