#include "experiments/config/costs.hpp"

#include "experiments/config/equal_cells.hpp"

namespace lamp::experiments {
namespace {

double bits(const FloatFormat& format) { return static_cast<double>(format.p); }

double operand_bits(const MacSpec& mac) {
  constexpr double as_is = 24.0;
  return mac.operands ? static_cast<double>(significand_bits(*mac.operands)) : as_is;
}

}  // namespace

MacCost default_cost(const Arithmetic& arithmetic) {
  const MacSpec& mac = arithmetic.steps();
  const double p = operand_bits(mac);
  return {.product = p * p, .accumulation = bits(mac.format)};
}

std::vector<std::string> arithmetics_of_pass(const Config& config) {
  std::vector<std::string> names{config.plan_default};
  for (const PlanEntry& entry : config.plan) names.push_back(entry.arithmetic);
  for (const LayerEntry& entry : config.plan_layers) names.push_back(entry.arithmetic);
  for (const SelectionConfig& s : config.selections) names.push_back(s.recompute);
  return names;
}

PlanCosts::PlanCosts(const Config& cell) {
  const auto cost_of = [&](const std::string& name) {
    for (const CostEntry& entry : cell.costs)
      if (entry.arithmetic == name) return MacCost{.product = entry.cost};
    return default_cost(cell.arithmetic(name)->arithmetic());
  };
  default_ = cost_of(cell.plan_default);
  for (const PlanEntry& entry : plan_by_site(cell))
    by_path_.insert_or_assign(entry.path, cost_of(entry.arithmetic));
  for (const SelectionConfig& s : cell.selections)
    recomputations_[s.site] = {.cost = cost_of(s.recompute), .is_all = takes_all(cell, s)};
}

MacCost PlanCosts::at(Site site, Layer layer, Head head) const {
  const MacCost* found = most_specific(by_path_, site, layer, head);
  return found == nullptr ? default_ : *found;
}

const PlanCosts::Recomputation* PlanCosts::recomputation(Site site) const {
  const auto found = recomputations_.find(site);
  return found == recomputations_.end() ? nullptr : &found->second;
}

}  // namespace lamp::experiments
