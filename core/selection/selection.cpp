#include "core/selection/selection.hpp"

#include "core/base/contract.hpp"
#include "core/selection/target.hpp"

namespace lamp {

std::string check(const SelectionSpec& spec) {
  if (spec.tau.has_value() == spec.rate.has_value())
    return "tau and rate: exactly one of them must be set";
  if (spec.tau && !(*spec.tau >= 0.0)) return "tau: legal are numbers >= 0";
  if (spec.rate && !(*spec.rate >= 0.0 && *spec.rate <= 1.0))
    return "rate: legal are numbers from 0 to 1";
  if (spec.mask == Mask::as_zero && spec.weights != ErrorWeights::absolute)
    return "mask: \"as-zero\" is legal with weights \"absolute\" only; use \"exclude\"";
  if (spec.rule->traits.own_cost && spec.norm != Norm::componentwise)
    return "norm: rule \"" + std::string(spec.rule->name) + "\" has its own; leave it out";
  if (spec.rule->traits.own_cost && spec.solver != Solver::greedy)
    return "solver: the sets of rule \"" + std::string(spec.rule->name) +
           "\" are smallest ones already; leave it out";
  return {};
}

std::string check(const SelectionSpec& spec, const Target& target) {
  if (std::string problem = check(spec); !problem.empty()) return problem;
  if (target.refusal == nullptr) return {};
  const RuleTraits& traits = spec.rule->traits;
  if (traits.reads_keys || (traits.reads_values && target.kappas == nullptr))
    return "rule: \"" + std::string(spec.rule->name) +
           "\" looks at the keys or values of a softmax; legal are rules that do not, such as "
           "\"lamp\"";
  if (spec.mask != Mask::exclude)
    return "mask: \"as-zero\" is of the softmax of causal rows; legal is \"exclude\"";
  if (spec.tau && !(*spec.tau < clamped_to)) return "tau: legal here are numbers below 2^22";
  return target.refusal(spec);
}

std::string refusal_of_norm(const SelectionSpec&) { return {}; }

std::string refusal_of_layer_norm(const SelectionSpec& spec) {
  if (spec.norm == Norm::componentwise && spec.solver == Solver::exact)
    return "solver: \"exact\" of layernorm is there for norm \"normwise1\"; legal are \"greedy\", "
           "or that norm";
  return {};
}

std::string refusal_of_activation(const SelectionSpec& spec) {
  if (spec.norm != Norm::componentwise)
    return "norm: components of an activation have one cost, kappa; leave it out";
  if (spec.solver != Solver::greedy)
    return "solver: the sets of an activation are smallest ones already; leave it out";
  return {};
}

std::string refusal_of_linear_map(const SelectionSpec& spec) {
  if (spec.norm != Norm::normwise1) return "norm: legal for a linear map is \"normwise1\"";
  return {};
}

std::size_t select_row(const SelectionSpec& spec, const Target& target, const SelectionRow& row,
                       const DrawCoordinates& where, std::span<std::uint8_t> selected,
                       SelectionScratch& scratch) {
  expects(selected.size() == row.size(), "select_row: one mark for every component");
  const std::size_t count = spec.rule->mark({spec, target, row, where}, selected, scratch);
  if (count > 0) scratch.seen.selected = true;
  return count;
}

}  // namespace lamp
