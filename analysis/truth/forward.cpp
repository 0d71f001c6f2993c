#include "analysis/truth/forward.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "analysis/truth/passes.hpp"

namespace lamp::truth {
namespace {

constexpr std::size_t sets_together = 64;  // of the first ranking, in memory at a time

struct Candidate {
  Row row;
  std::uint32_t key;
};

std::vector<Candidate> candidates_of(std::span<const Row> rows) {
  std::vector<Candidate> all;
  for (const Row& row : rows)
    for (std::size_t j = 0; j <= row.query; ++j)
      all.push_back({row, static_cast<std::uint32_t>(j)});
  return all;
}

/// The KL of each alone recomputed beside what the background has.
std::vector<Effect> effects_of(const Background& background, std::span<const Candidate> candidates,
                               std::size_t threads, const std::function<bool()>& stop) {
  std::vector<Change> changes;
  for (const Candidate& c : candidates) changes.push_back({c.row, std::span(&c.key, 1)});
  return background.effects(changes, threads, stop);
}

/// Indices by ascending KL, equal ones in the list's order; without NaN.
std::vector<std::size_t> ranked(std::span<const Effect> effects) {
  std::vector<std::size_t> order;
  for (std::size_t c = 0; c < effects.size(); ++c)
    if (!std::isnan(effects[c].kl)) order.push_back(c);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t x, std::size_t y) { return effects[x].kl < effects[y].kl; });
  return order;
}

void mark(const Candidate& c, GivenSets& sets) {
  const std::size_t row =
      (c.row.layer.value * sets.heads + c.row.head.value) * sets.rows + c.row.query;
  sets.marks[row * sets.components + c.key] = 1;
}

}  // namespace

std::optional<ForwardSelection> forward_selection(const Question& question,
                                                  const Background& target,
                                                  std::span<const Row> rows, std::size_t steps,
                                                  std::size_t threads,
                                                  const std::function<bool()>& stop) {
  const ModelConfig& config = question.model.config;
  const std::size_t length = question.tokens.size();
  const GivenSets none =
      GivenSets::none(config.n_layer, heads_of(config, question.site), length, length);
  const std::vector<Candidate> all = candidates_of(rows);

  ForwardSelection found;
  std::vector<Candidate> first;  // by the ranking of the first step
  GivenSets chosen = none;
  for (std::vector<Candidate> left = all; found.steps.size() < steps && !left.empty();) {
    const Background background = Background::with_recomputed(question, target, chosen);
    const std::vector<Effect> effects = effects_of(background, left, threads, stop);
    if (effects.size() != left.size()) return std::nullopt;
    const std::vector<std::size_t> order = ranked(effects);
    if (order.empty()) break;
    if (found.steps.empty())
      for (std::size_t k = 0; k < std::min(steps, order.size()); ++k)
        first.push_back(left[order[k]]);
    const std::size_t best = order.front();
    found.steps.push_back({left[best].row, left[best].key, effects[best].kl});
    mark(left[best], chosen);
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(best));
  }

  std::vector<GivenSets> sets(sets_together, none);
  for (std::size_t k = 0; k < first.size();) {
    std::vector<PrecisionPlan> plans;
    for (; k < first.size() && plans.size() < sets.size(); ++k) {
      GivenSets& with = sets[plans.size()];
      with.marks = (plans.empty() ? sets.back() : sets[plans.size() - 1]).marks;
      mark(first[k], with);
      plans.push_back(with_sets(question, with));
    }
    const std::vector<double> kl = kl_of_passes(question, target.target(), plans, threads, stop);
    if (kl.size() != plans.size()) return std::nullopt;
    found.single_kl.insert(found.single_kl.end(), kl.begin(), kl.end());
  }
  return found;
}

std::size_t bytes_of_sets(const ModelConfig& model, Site site, std::size_t length) {
  return (sets_together + 3) * model.n_layer * heads_of(model, site) * length * length;
}

}  // namespace lamp::truth
