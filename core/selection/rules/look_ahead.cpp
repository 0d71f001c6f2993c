// Sets that are chosen before the low row is there, with LAMP's budget for the same row: by what
// another row or a part of each inner product says, or by the mean of each block of keys.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/contract.hpp"
#include "core/selection/rules/blocks.hpp"
#include "core/selection/rules/largest_logit.hpp"

namespace lamp {

/// The largest of row.ranking; where that lacks the last component, which the row before has not,
/// this one first. LAMP's own set where there is no ranking. NaN says nothing against a component:
/// it comes first.
std::size_t mark_by_ranking(const RuleInput& input, std::span<std::uint8_t> selected,
                            SelectionScratch& scratch) {
  const std::size_t count = mark_by_lamp(input, selected, scratch), n = selected.size();
  const std::span<const double> ranking = input.row.ranking;
  if (ranking.empty()) return count;
  expects(ranking.size() == n || ranking.size() + 1 == n,
          "mark_by_ranking: a rank for every component, or for all but the last");
  constexpr double first = std::numeric_limits<double>::infinity();
  scratch.reals.assign(n, first);
  std::transform(ranking.begin(), ranking.end(), scratch.reals.begin(),
                 [](double x) { return std::isnan(x) ? first : x; });
  select_largest(count, scratch.reals, selected, scratch);
  return count;
}

/// Whole blocks by the score of their mean key: sum over c of q_c m_c, m_c = (sum over the block of
/// k_jc) / (number of its keys), binary64, sums fused, c and j ascending from +0.
std::size_t mark_by_key_mean(const RuleInput& input, std::span<std::uint8_t> selected,
                             SelectionScratch& scratch) {
  const std::size_t count = mark_by_lamp(input, selected, scratch), n = selected.size();
  const std::span<const double> q = input.row.q;
  const MatrixView<const double> k = input.row.k;
  expects(k.rows == n && k.cols == q.size(),
          "mark_by_key_mean: one key for every component, as wide as the query");
  scratch.reals.resize(blocks_of(n) + q.size());
  const std::span<double> scores = std::span(scratch.reals).first(blocks_of(n)),
                          mean = std::span(scratch.reals).last(q.size());
  for (std::size_t b = 0; b < scores.size(); ++b) {
    const std::size_t first = b * block_keys, keys = std::min(block_keys, n - first);
    std::fill(mean.begin(), mean.end(), 0.0);
    for (std::size_t j = first; j < first + keys; ++j)
      for (std::size_t c = 0; c < q.size(); ++c) mean[c] += k(j, c);
    scores[b] = 0.0;
    for (std::size_t c = 0; c < q.size(); ++c)
      scores[b] = std::fma(q[c], mean[c] / static_cast<double>(keys), scores[b]);
  }
  mark_blocks(count, scores, selected, scratch);
  return count;
}

}  // namespace lamp
