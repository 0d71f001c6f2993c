// What a ranking of all scores of a pass is worth at a budget: whole passes in which it is spent.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "analysis/truth/end_to_end.hpp"
#include "core/selection/rules/given.hpp"

namespace lamp::truth {

/// Budgets: shares of all scores, pooled over layers, heads and queries; numbers of scores a row.
struct Budgets {
  std::vector<double> shares;
  std::vector<std::size_t> row_sizes;
};

/// priority: (layer, head, query, key), looked at for keys <= query. The first ceil(share N) of the
/// N scores, or the first `size` of each row: descending, ties lower index first, NaN last.
GivenSets pooled_sets(std::span<const double> priority, std::size_t layers, std::size_t heads,
                      std::size_t length, double share);
GivenSets row_sets(std::span<const double> priority, std::size_t layers, std::size_t heads,
                   std::size_t length, std::size_t size);

/// KL(target || run), mean over positions, of a run with these scores recomputed, all others low
/// and everything else in the reference arithmetic, for each budget.
struct BudgetKl {
  std::vector<double> shares, row_sizes;
};
std::optional<BudgetKl> kl_of_budgets(const Question& question, const ReferenceDistribution& target,
                                      std::span<const double> priority, const Budgets& budgets,
                                      std::size_t threads, const std::function<bool()>& stop);

}  // namespace lamp::truth
