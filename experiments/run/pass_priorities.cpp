#include "experiments/run/pass_priorities.hpp"

#include <algorithm>

#include "core/arith/stochastic.hpp"
#include "core/base/contract.hpp"

namespace lamp::experiments {

std::optional<PriorityKey> priority_key(const PrecisionPlan& plan, const ModelConfig& model,
                                        std::uint32_t seed) {
  const SelectionPlan* selection = plan.selection(Site::scores);
  if (selection == nullptr || !selection->spec.rule->traits.knows_pass) return std::nullopt;
  PriorityKey key{&truth::predictor_of_rule(*selection->spec.rule)};
  const truth::Needs& needs = key.predictor->needs;
  if (!needs.one_low && !needs.one_high && !needs.local) return key;
  for (std::size_t l = 0; l < model.n_layer; ++l)
    for (std::size_t h = 0; h < heads_of(model, Site::scores); ++h)
      key.scores.push_back(plan.at(Site::scores, Layer{l}, Head{h}));
  key.scores.push_back(selection->recompute);
  if (std::any_of(key.scores.begin(), key.scores.end(),
                  [](const Arithmetic& a) { return is_stochastic(a); }))
    key.seed = seed;
  return key;
}

bool PassPriorities::find(const truth::Question& question, const std::function<bool()>& stop) {
  const std::optional<PriorityKey> key =
      priority_key(question.low, question.model.config, question.options.seed);
  const auto same = [&](const auto& one) { return one.first == *key; };
  if (!key || std::any_of(found_.begin(), found_.end(), same)) return true;
  std::optional<GivenPriorities> priorities;
  try {
    priorities = truth::priorities_of(*key->predictor, question, question.options.threads, stop);
  } catch (const Stopped&) {
  }
  if (!priorities) return false;
  found_.emplace_back(*key, std::make_unique<const GivenPriorities>(*std::move(priorities)));
  return true;
}

PrecisionPlan PassPriorities::plan(const PrecisionPlan& plan, const ModelConfig& model,
                                   std::uint32_t seed) const {
  const std::optional<PriorityKey> key = priority_key(plan, model, seed);
  if (!key) return plan;
  const auto one = std::find_if(found_.begin(), found_.end(),
                                [&](const auto& known) { return known.first == *key; });
  expects(one != found_.end(), "PassPriorities: find() before plan()");
  PrecisionPlan with = plan;
  SelectionPlan selection = *plan.selection(Site::scores);
  selection.spec.priorities = one->second.get();
  with.select(Site::scores, selection);
  return with;
}

}  // namespace lamp::experiments
