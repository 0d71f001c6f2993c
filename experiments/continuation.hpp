// Greedy continuations: how every cell, and the reference once a sequence, goes on from the first
// tokens, and what of it is recorded.
#pragma once

#include <span>
#include <vector>

#include "core/model/greedy.hpp"
#include "core/record/contents.hpp"
#include "experiments/config.hpp"

namespace lamp::experiments {

/// The tokens that `plan` generates after the sequence's first `spec.prefix` tokens. Each plan
/// reads what it generated itself.
std::vector<TokenId> continuation(const ContinuationConfig& spec, const Model& model,
                                  std::span<const TokenId> sequence, const PrecisionPlan& plan,
                                  const PassOptions& options, Workspace& workspace);

/// The quantities of a cell, and their values from its continuation and the reference's.
std::vector<record::Quantity> continuation_quantities(const ContinuationConfig& spec);
std::vector<record::Values> continuation_values(const ContinuationConfig& spec,
                                                std::span<const TokenId> run,
                                                std::span<const TokenId> reference);

/// The same of the reference.
record::Quantity reference_continuation_quantity(const ContinuationConfig& spec);
record::Values reference_continuation_values(const ContinuationConfig& spec,
                                             std::span<const TokenId> reference);

}  // namespace lamp::experiments
