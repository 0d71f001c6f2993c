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
          .spec = {.rule = rule_named(rule), .tau = std::nullopt, .rate = std::nullopt},
          .recompute = selection.recompute};  // in units of which costs are
}

/// Whether any value of the cell may be another for another seed.
bool draws(const Config& cell) {
  const auto of_layer = [&](const LayerEntry& entry) { return is_drawn(cell, entry.arithmetic); };
  return std::any_of(cell.plan_layers.begin(), cell.plan_layers.end(), of_layer) ||
         is_drawn(cell, cell.plan_default) || is_drawn(cell, cell.reference) ||
         std::any_of(cell.plan.begin(), cell.plan.end(),
                     [&](const PlanEntry& entry) { return is_drawn(cell, entry.arithmetic); }) ||
         std::any_of(cell.selections.begin(), cell.selections.end(), [&](const SelectionConfig& s) {
           return !s.spec.rule->traits.deterministic || is_drawn(cell, s.recompute);
         });
}

void plan_whole_site(Config& cell, Site site, const std::string& arithmetic) {
  std::erase_if(cell.plan, [&](const PlanEntry& entry) { return entry.path.site == site; });
  cell.plan.push_back({.path = {.site = site}, .arithmetic = arithmetic});
  for (const LayerEntry& entry : cell.plan_layers)
    cell.plan.push_back({.path = {.site = site, .layer = entry.layer}, .arithmetic = arithmetic});
}

bool has_budgets(const Config& cell, Site site) {
  return std::any_of(cell.budgets.begin(), cell.budgets.end(),
                     [&](const BudgetEntry& entry) { return entry.path.site == site; });
}

/// What follows holds for the rows of a softmax over scores, the same in all layers, of which no
/// bound is looked at.
bool is_plain(const Config& cell, const SelectionConfig& selection) {
  return selection.site == Site::scores && !selection.fallback.tolerance &&
         !has_budgets(cell, selection.site);
}

}  // namespace

bool is_drawn(const Config& config, std::string_view arithmetic) {
  const ArithmeticConfig* named = config.arithmetic(arithmetic);
  return named != nullptr && is_stochastic(named->arithmetic());
}

bool takes_all(const Config& cell, const SelectionConfig& selection) {
  const RuleTraits& traits = selection.spec.rule->traits;
  const bool takes_rate = (traits.budget_of_lamp && !traits.full_row) || traits.own_cost;
  return is(selection, "all") ||
         (selection.spec.rate == 1.0 && takes_rate && !has_budgets(cell, selection.site));
}

Config without_idle_keys(const Config& cell) {
  Config out = cell;
  for (SelectionConfig& selection : out.selections) {
    const std::string recompute = selection.recompute;
    const bool whole = takes_all(cell, selection);
    if (selection.fallback.tolerance || (!whole && !is(selection, "none"))) continue;
    std::erase_if(out.budgets,
                  [&](const BudgetEntry& entry) { return entry.path.site == selection.site; });
    selection = only_rule(selection, whole ? "all" : "none");
    if (!whole) continue;
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
    if (is(selection, "none") && !selection.fallback.tolerance) continue;
    const SelectionSpec& spec = selection.spec;
    const bool nothing = (spec.tau && *spec.tau >= 2.0) || spec.rate == 0.0;
    if (!spec.rule->traits.budget_of_lamp || !is_componentwise_absolute(spec) || !nothing ||
        !is_plain(cell, selection))
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
    if (!is_componentwise_absolute(selection.spec) || selection.spec.solver != Solver::greedy ||
        !is_plain(cell, selection))
      return std::nullopt;
    selection.spec.rule = rule_named("lamp");
    changed = true;
  }
  if (!changed) return std::nullopt;
  return out;
}

}  // namespace lamp::experiments
