// What a network's table refuses of [lamp.SITE]: f of the site is another, or there is nothing for
// a rule to read.
#include <algorithm>
#include <utility>

#include "core/model/compositions.hpp"
#include "core/model/networks/network.hpp"
#include "experiments/config/checks.hpp"
#include "experiments/config/fields.hpp"
#include "experiments/config/grid.hpp"

namespace lamp::experiments {
namespace {

std::string lamp_key(Site site) { return "lamp." + std::string(info(site).name); }

std::optional<Problem> check_site(const SelectionConfig& selection, const Network& network) {
  const SiteRow* row = find_row(network.sites, selection.site);
  if (row != nullptr && row->f) return std::nullopt;
  std::vector<std::string> names;
  for (const SiteRow& site : network.sites)
    if (site.f) names.emplace_back(info(site.site).name);
  return Problem{.key = lamp_key(selection.site) + ".recompute",
                 .message = std::string(network.title) + " has no selection at " +
                            toml_string(info(selection.site).name),
                 .legal = names.empty() ? "leave it out" : join(names)};
}

/// Of a rule at a site without what it looks at.
std::optional<Problem> check_rule(const SelectionConfig& selection, const SiteRow& row,
                                  const Network& network) {
  const Rule& rule = *selection.spec.rule;
  const auto refuse = [&](const std::string& why) {
    return Problem{.key = lamp_key(row.site) + ".rule",
                   .message = toml_string(rule.name) + ' ' + why,
                   .legal = "the other rules"};
  };
  const bool lacks_keys = rule.traits.reads_keys && !has_keys(row.operation),
             lacks_values = rule.traits.reads_values && !has_values(network.sites, row);
  if (lacks_keys || lacks_values)
    return refuse(std::string("reads ") + (lacks_keys ? "queries and keys" : "values") +
                  ", and there are none there");
  const LookAhead ahead = rule.traits.ahead;
  if (ahead != LookAhead::none && row.f != Composition::softmax)
    return refuse("looks ahead at rows of a softmax, and there are none there");
  if (ahead == LookAhead::first_terms && !has_keys(row.operation))
    return refuse("takes terms of queries and keys, and there are none there");
  if (rule.traits.by_place && row.f != Composition::softmax)
    return refuse("goes by where keys stand, and components there are no keys");
  if (rule.traits.full_row && !info(row.site).causal)
    return refuse("counts masked entries, and rows there have none");
  return std::nullopt;
}

std::optional<Problem> check_selection(const SelectionConfig& selection, const Config& cell,
                                       const Network& network, Activation activation) {
  const SiteRow& row = row_of(network, selection.site);
  const std::string key = lamp_key(row.site);
  if (selection.spec.weights == ErrorWeights::dot && !has_bounds(row.operation))
    return Problem{.key = key + ".weights",
                   .message = "\"dot\" has no bounds of the inner products there",
                   .legal = "the other weights"};
  if (std::optional<Problem> problem = check_rule(selection, row, network)) return problem;
  if (selection.shift != Shift::none && row.f != Composition::softmax &&
      row.f != Composition::final_softmax)
    return Problem{.key = key + ".shift",
                   .message = "what is common to all components is seen by the function of " +
                              std::string(info(row.site).name) + ", as it is not by a softmax",
                   .legal = "none"};
  const auto check_spec = [&](const SelectionSpec& spec,
                              const std::string& path) -> std::optional<Problem> {
    SelectionSpec whole = spec;
    if (!spec.tau && !spec.rate) whole.tau = 1.5;  // only an axis gives it
    std::string what = lamp::check(whole, target_of(network, row, activation));
    if (what.empty() && spec.mask != Mask::exclude && row.f != Composition::softmax)
      what = "mask: \"as-zero\" is of rows with masked entries; legal is \"exclude\"";
    if (what.empty()) return std::nullopt;
    const std::size_t colon = what.find(": ");
    return Problem{.key = path + '.' + what.substr(0, colon), .message = what.substr(colon + 2)};
  };
  if (std::optional<Problem> problem = check_spec(selection.spec, key)) return problem;
  for (const BudgetEntry& entry : cell.budgets) {
    if (entry.path.site != row.site) continue;
    const std::string path = "lamp." + site_path_name(entry.path);
    if (entry.path.head && row.f == Composition::linear_map)
      return Problem{.key = path + (entry.tau ? ".tau" : ".rate"),
                     .message = "components of all heads are selected together there",
                     .legal = "lamp.layer.N." + std::string(info(row.site).name)};
    if (std::optional<Problem> problem = check_spec(with_budget(selection.spec, entry), path))
      return problem;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Problem> check_selections(const Config& config, const ModelConfig& model) {
  const Network& network = *model.network;
  const Activation activation = config.activation.value_or(model.activation);
  for (const SelectionConfig& selection : config.selections)
    if (std::optional<Problem> problem = check_site(selection, network)) return problem;
  Config deciding = config;
  std::erase_if(deciding.grid, [](const GridAxis& axis) { return !axis.key.starts_with("lamp."); });
  std::vector<std::size_t> index(deciding.grid.size(), 0);
  do {
    const Config cell = cell_config(deciding, index);
    for (const SelectionConfig& selection : cell.selections)
      if (std::optional<Problem> problem = check_selection(selection, cell, network, activation))
        return problem;
  } while (next_cell(deciding, index));
  return std::nullopt;
}

}  // namespace lamp::experiments
