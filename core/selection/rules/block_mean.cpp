// Whole blocks of keys by the mean magnitude of their low scores, with LAMP's budget for the same
// row.
#include <algorithm>
#include <cmath>

#include "core/base/contract.hpp"
#include "core/selection/rules/blocks.hpp"

namespace lamp {

std::size_t mark_by_block_mean(const RuleInput& input, std::span<std::uint8_t> selected,
                               SelectionScratch& scratch) {
  const std::size_t count = mark_by_lamp(input, selected, scratch), n = selected.size();
  const std::span<const double> y = input.row.y;
  expects(y.size() == n, "mark_by_block_mean: one y for every z");
  std::vector<double>& means = scratch.reals;
  means.assign(blocks_of(n), 0.0);
  for (std::size_t j = 0; j < n; ++j) means[j / block_keys] += std::fabs(y[j]);
  for (std::size_t b = 0; b < means.size(); ++b)
    means[b] /= static_cast<double>(std::min(block_keys, n - b * block_keys));
  mark_blocks(count, means, selected, scratch);
  return count;
}

}  // namespace lamp
