// Rules that know the pass (`fisher`, `truth:..`): what a run finds out about all scores of a
// sequence before it starts with the cells.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "analysis/truth/priorities.hpp"

namespace lamp::experiments {

/// What priorities depend on, beside the tokens, the model and the reference: plans of one key
/// share them.
struct PriorityKey {
  const truth::Predictor* predictor;
  std::vector<Arithmetic> scores{};  // (layer, head), then the one that recomputes; none where only
                                     // the reference is looked at
  std::uint32_t seed = 0;            // where these draw
  friend bool operator==(const PriorityKey&, const PriorityKey&) = default;
};

/// Nothing where the plan's rules need no priorities.
std::optional<PriorityKey> priority_key(const PrecisionPlan& plan, const ModelConfig& model,
                                        std::uint32_t seed);

/// The priorities of one sequence.
class PassPriorities {
 public:
  /// Finds what the question's `low` plan selects by, unless it is there already; false where
  /// `stop` said so.
  bool find(const truth::Question& question, const std::function<bool()>& stop);
  /// The plan, with what it selects by. Pre: find() of it came first. Refers to this.
  [[nodiscard]] PrecisionPlan plan(const PrecisionPlan& plan, const ModelConfig& model,
                                   std::uint32_t seed) const;

 private:
  std::vector<std::pair<PriorityKey, std::unique_ptr<const GivenPriorities>>> found_;
};

}  // namespace lamp::experiments
