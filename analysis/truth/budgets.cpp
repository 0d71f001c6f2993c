#include "analysis/truth/budgets.hpp"

#include <algorithm>

#include "analysis/ranking.hpp"
#include "analysis/truth/passes.hpp"
#include "core/selection/lamp.hpp"

namespace lamp::truth {
GivenSets pooled_sets(std::span<const double> priority, std::size_t layers, std::size_t heads,
                      std::size_t length, double share) {
  std::vector<double> pooled;
  std::vector<std::size_t> places;
  for (std::size_t row = 0; row < layers * heads * length; ++row)
    for (std::size_t j = 0; j <= row % length; ++j) {
      places.push_back(row * length + j);
      pooled.push_back(priority[places.back()]);
    }
  GivenSets sets = GivenSets::none(layers, heads, length, length);
  const std::vector<std::uint32_t> order = descending(pooled);
  const std::size_t count = count_of_rate(share, pooled.size());
  for (std::size_t k = 0; k < count; ++k) sets.marks[places[order[k]]] = 1;
  return sets;
}

GivenSets row_sets(std::span<const double> priority, std::size_t layers, std::size_t heads,
                   std::size_t length, std::size_t size) {
  GivenSets sets = GivenSets::none(layers, heads, length, length);
  for (std::size_t row = 0; row < layers * heads * length; ++row) {
    const std::size_t n = row % length + 1;
    const std::vector<std::uint8_t> chosen =
        top(priority.subspan(row * length, n), std::min(size, n));
    std::copy(chosen.begin(), chosen.end(),
              sets.marks.begin() + static_cast<std::ptrdiff_t>(row * length));
  }
  return sets;
}

std::optional<BudgetKl> kl_of_budgets(const Question& question, const ReferenceDistribution& target,
                                      std::span<const double> priority, const Budgets& budgets,
                                      std::size_t threads, const std::function<bool()>& stop) {
  const ModelConfig& config = question.model.config;
  const std::size_t heads = heads_of(config, question.site), length = question.tokens.size();
  std::vector<GivenSets> sets;
  for (const double share : budgets.shares)
    sets.push_back(pooled_sets(priority, config.n_layer, heads, length, share));
  for (const std::size_t size : budgets.row_sizes)
    sets.push_back(row_sets(priority, config.n_layer, heads, length, size));
  std::vector<PrecisionPlan> plans;
  for (const GivenSets& recomputed : sets) plans.push_back(with_sets(question, recomputed));
  const std::vector<double> kl = kl_of_passes(question, target, plans, threads, stop);
  if (kl.size() != plans.size()) return std::nullopt;
  const auto middle = kl.begin() + static_cast<std::ptrdiff_t>(budgets.shares.size());
  return BudgetKl{.shares = {kl.begin(), middle}, .row_sizes = {middle, kl.end()}};
}

}  // namespace lamp::truth
