// Whole pages of keys by Quest's bound of their scores (Tang et al., arXiv 2406.10774), with LAMP's
// budget for the same row.
#include <algorithm>
#include <cmath>

#include "core/base/contract.hpp"
#include "core/selection/rules/blocks.hpp"

namespace lamp {
namespace {

/// The bound of q . k over the box of keys, (m, d) with m >= 1: sum over c of the larger of q_c
/// min_j k_jc and q_c max_j k_jc, binary64, fused, c ascending from +0. `box`: memory, 2 d numbers.
double bound_of_page(std::span<const double> q, MatrixView<const double> keys,
                     std::span<double> box) {
  const std::size_t d = q.size();
  const std::span<double> lowest = box.first(d), highest = box.last(d);
  std::copy(keys.row(0).begin(), keys.row(0).end(), lowest.begin());
  std::copy(lowest.begin(), lowest.end(), highest.begin());
  for (std::size_t j = 1; j < keys.rows; ++j) {
    const double* key = keys.row(j).data();
    for (std::size_t c = 0; c < d; ++c) {
      lowest[c] = key[c] < lowest[c] ? key[c] : lowest[c];
      highest[c] = key[c] > highest[c] ? key[c] : highest[c];
    }
  }
  double bound = 0.0;
  for (std::size_t c = 0; c < d; ++c)
    bound = std::fma(q[c], q[c] < 0.0 ? lowest[c] : highest[c], bound);
  return bound;
}

}  // namespace

std::size_t mark_by_page_bound(const RuleInput& input, std::span<std::uint8_t> selected,
                               SelectionScratch& scratch) {
  const std::size_t count = mark_by_lamp(input, selected, scratch), n = selected.size();
  const MatrixView<const double> k = input.row.k;
  expects(k.rows == n && k.cols == input.row.q.size(),
          "mark_by_page_bound: one key for every z, as wide as the query");
  const std::size_t d = input.row.q.size();
  scratch.reals.resize(blocks_of(n) + 2 * d);
  const std::span<double> bounds = std::span(scratch.reals).first(blocks_of(n)),
                          box = std::span(scratch.reals).last(2 * d);
  for (std::size_t b = 0; b < bounds.size(); ++b) {
    const std::size_t first = b * block_keys;
    bounds[b] =
        bound_of_page(input.row.q, k.row_block(first, std::min(block_keys, n - first)), box);
  }
  mark_blocks(count, bounds, selected, scratch);
  return count;
}

}  // namespace lamp
