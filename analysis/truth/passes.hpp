// Whole passes under many plans, each against one reference.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "analysis/truth/end_to_end.hpp"
#include "core/selection/rules/given.hpp"

namespace lamp::truth {

/// KL(target || pass), the mean over positions, of a pass under each plan. Nothing where `stop`
/// said so. The same bits for any number of threads.
std::vector<double> kl_of_passes(const Question& question, const ReferenceDistribution& target,
                                 std::span<const PrecisionPlan> plans, std::size_t threads,
                                 const std::function<bool()>& stop);

/// Scores low, everything else in the reference arithmetic.
PrecisionPlan with_low_scores(const Question& question);
/// The same, but for these, which are recomputed. `recomputed` outlives the plan.
PrecisionPlan with_sets(const Question& question, const GivenSets& recomputed);

}  // namespace lamp::truth
