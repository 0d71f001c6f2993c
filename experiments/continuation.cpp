#include "experiments/continuation.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "analysis/metrics.hpp"

namespace lamp::experiments {
namespace {

/// Token ids are binary64 numbers here, so that NaN can say that there is none.
record::Quantity tokens_quantity(const ContinuationConfig& spec, const std::string& name,
                                 const std::string& whose) {
  return {.path = "/continuations/" + name,
          .dims = {"position"},
          .shape = {spec.tokens},
          .units = "1",
          .long_name =
              "token ids of " + whose + " greedy continuation; NaN from where a logit was NaN"};
}

record::Values padded(const ContinuationConfig& spec, std::span<const TokenId> tokens) {
  std::vector<double> values(spec.tokens, std::numeric_limits<double>::quiet_NaN());
  std::copy(tokens.begin(), tokens.end(), values.begin());
  return values;
}

}  // namespace

std::vector<TokenId> continuation(const ContinuationConfig& spec, const Model& model,
                                  std::span<const TokenId> sequence, const PrecisionPlan& plan,
                                  const PassOptions& options, Workspace& workspace) {
  return greedy_continuation(model, sequence.first(spec.prefix), spec.tokens, plan, options,
                             workspace);
}

std::vector<record::Quantity> continuation_quantities(const ContinuationConfig& spec) {
  return {
      {.path = "/metrics/divergence_position",
       .dims = {},
       .shape = {},
       .units = "1",
       .long_name = "first generated position, from 0, whose token differs from the reference's; " +
                    std::to_string(spec.tokens) + ", their number, where none does"},
      tokens_quantity(spec, "run", "the run's")};
}

std::vector<record::Values> continuation_values(const ContinuationConfig& spec,
                                                std::span<const TokenId> run,
                                                std::span<const TokenId> reference) {
  return {
      std::vector<double>{static_cast<double>(divergence_position(run, reference, spec.tokens))},
      padded(spec, run)};
}

record::Quantity reference_continuation_quantity(const ContinuationConfig& spec) {
  return tokens_quantity(spec, "reference", "the reference's");
}

record::Values reference_continuation_values(const ContinuationConfig& spec,
                                             std::span<const TokenId> reference) {
  return padded(spec, reference);
}

}  // namespace lamp::experiments
