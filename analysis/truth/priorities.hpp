// The priorities of all scores of a sequence by a ranking that has to know the truth, or
// derivatives of the whole network: what the rules `fisher` and `truth:..` of a run recompute by.
#pragma once

#include <functional>
#include <optional>

#include "analysis/truth/predictors.hpp"
#include "core/selection/rules/given.hpp"

namespace lamp::truth {

/// The ranking that a rule of this name recomputes by: that of the predictor of the same name, with
/// or without "truth:". Pre: Rule::traits.knows_pass.
const Predictor& predictor_of_rule(const Rule& rule);

/// Every score's priority, of what one-low, one-high and local truth are asked in `question`; NaN
/// becomes -inf, which comes last. Nothing where `stop` said so. The same for any number of
/// threads.
std::optional<GivenPriorities> priorities_of(const Predictor& predictor, const Question& question,
                                             std::size_t threads,
                                             const std::function<bool()>& stop);

}  // namespace lamp::truth
