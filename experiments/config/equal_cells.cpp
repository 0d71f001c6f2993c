#include "experiments/config/equal_cells.hpp"

#include <algorithm>

#include "core/arith/stochastic.hpp"

namespace lamp::experiments {
namespace {

bool is(const SelectionConfig& selection, std::string_view rule) {
  return selection.spec.rule->name == rule;
}

bool is_componentwise_absolute(const SelectionSpec& spec) {
  return spec.weights == ErrorWeights::absolute && spec.norm == Norm::componentwise;
}

SelectionConfig only_rule(const SelectionConfig& selection, std::string_view rule) {
  return {.site = selection.site,
          .spec = {.rule = rule_named(rule), .tau = std::nullopt, .rate = std::nullopt}};
}

/// Whether any value of the cell may be another for another seed.
bool draws(const Config& cell) {
  return is_drawn(cell, cell.plan_default) || is_drawn(cell, cell.reference) ||
         std::any_of(cell.plan.begin(), cell.plan.end(),
                     [&](const PlanEntry& entry) { return is_drawn(cell, entry.arithmetic); }) ||
         std::any_of(cell.selections.begin(), cell.selections.end(), [&](const SelectionConfig& s) {
           return !s.spec.rule->traits.deterministic || is_drawn(cell, s.recompute);
         });
}

void plan_whole_site(Config& cell, Site site, const std::string& arithmetic) {
  std::erase_if(cell.plan, [&](const PlanEntry& entry) { return entry.path.site == site; });
  cell.plan.push_back({.path = {.site = site}, .arithmetic = arithmetic});
}

}  // namespace

bool is_drawn(const Config& config, std::string_view arithmetic) {
  const ArithmeticConfig* named = config.arithmetic(arithmetic);
  return named != nullptr && is_stochastic(named->arithmetic());
}

Config without_idle_keys(const Config& cell) {
  Config out = cell;
  for (SelectionConfig& selection : out.selections) {
    const std::string recompute = selection.recompute;
    const RuleTraits& traits = selection.spec.rule->traits;
    const bool takes_rate =
        (traits.budget_of_lamp && !is(selection, "random-full-row")) || traits.own_cost;
    const bool whole = is(selection, "all") || (selection.spec.rate == 1.0 && takes_rate);
    if (is(selection, "none")) selection = only_rule(selection, "none");
    if (!whole) continue;
    selection = only_rule(selection, "all");
    const std::vector<Site>& measured = out.record_errors;  // in units of the site's arithmetic
    if (std::find(measured.begin(), measured.end(), selection.site) == measured.end())
      plan_whole_site(out, selection.site, recompute);
  }
  if (!draws(out)) out.seed = 0;
  return out;
}

std::optional<Config> if_nothing_is_selected(const Config& cell) {
  Config out = cell;
  bool changed = false;
  for (SelectionConfig& selection : out.selections) {
    if (is(selection, "none")) continue;
    const SelectionSpec& spec = selection.spec;
    const bool nothing = (spec.tau && *spec.tau >= 2.0) || spec.rate == 0.0;
    if (!spec.rule->traits.budget_of_lamp || !is_componentwise_absolute(spec) || !nothing)
      return std::nullopt;
    selection = only_rule(selection, "none");
    changed = true;
  }
  if (!changed) return std::nullopt;
  return out;
}

std::optional<Config> if_sets_are_lamps(const Config& cell) {
  Config out = cell;
  bool changed = false;
  for (SelectionConfig& selection : out.selections) {
    if (!is(selection, "largest-logit")) continue;
    if (!is_componentwise_absolute(selection.spec) || selection.spec.solver != Solver::greedy)
      return std::nullopt;
    selection.spec.rule = rule_named("lamp");
    changed = true;
  }
  if (!changed) return std::nullopt;
  return out;
}

}  // namespace lamp::experiments
