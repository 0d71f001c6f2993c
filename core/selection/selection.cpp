#include "core/selection/selection.hpp"

#include "core/base/contract.hpp"

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

std::size_t select_row(const SelectionSpec& spec, const Target& target, const SelectionRow& row,
                       const DrawCoordinates& where, std::span<std::uint8_t> selected,
                       SelectionScratch& scratch) {
  expects(selected.size() == row.z.size(), "select_row: one mark for every z");
  const std::size_t count = spec.rule->mark({spec, target, row, where}, selected, scratch);
  if (count > 0) scratch.seen.selected = true;
  return count;
}

}  // namespace lamp
