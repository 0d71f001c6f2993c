// What a config asks of its model: sites, layers, heads and positions that the model has.
#include <algorithm>
#include <cmath>
#include <utility>

#include "core/model/networks/network.hpp"
#include "experiments/config/checks.hpp"
#include "experiments/config/config.hpp"
#include "experiments/config/fields.hpp"
#include "experiments/config/grid.hpp"
#include "experiments/config/kinds.hpp"

namespace lamp::experiments {
namespace {

template <class T>
using Keyed = std::vector<std::pair<std::string, T>>;

/// What the plan, budgets of layers, [store] and their axes name.
Keyed<SitePath> planned_paths(const Config& config) {
  Keyed<SitePath> paths;
  for (const PlanEntry& entry : config.plan)
    paths.emplace_back("plan." + site_path_name(entry.path), entry.path);
  for (const BudgetEntry& entry : config.budgets)
    paths.emplace_back("lamp." + site_path_name(entry.path) + (entry.tau ? ".tau" : ".rate"),
                       entry.path);
  for (const StoreEntry& entry : config.store.sites)
    paths.emplace_back("store." + site_path_name(entry.path), entry.path);
  for (const GridAxis& axis : config.grid) {
    SitePath path;
    const FieldMatch match = find_field(axis.key);
    if (match.field == nullptr) continue;
    const bool is_of_layer = match.field->key.starts_with("lamp.layer.*");
    if ((is_of_layer || match.field->key == "plan.*" || match.field->key == "store.*") &&
        !parse_site_path((is_of_layer ? "layer." : "") + match.name, path))
      paths.emplace_back("grid." + axis.key, path);
  }
  return paths;
}

/// Whole layers that the plan and its axes name.
Keyed<Layer> planned_layers(const Config& config) {
  Keyed<Layer> layers;
  for (const LayerEntry& entry : config.plan_layers)
    layers.emplace_back("plan." + layer_name(entry.layer), entry.layer);
  for (const GridAxis& axis : config.grid)
    if (const FieldMatch match = find_field(axis.key);
        match.field != nullptr && match.field->key == "plan.*")
      if (const std::optional<Layer> layer = parse_layer(match.name))
        layers.emplace_back("grid." + axis.key, *layer);
  return layers;
}

/// Every site that the config names, with the key that does.
Keyed<Site> named_sites(const Config& config) {
  Keyed<Site> all;
  for (const auto& [key, path] : planned_paths(config)) all.emplace_back(key, path.site);
  for (const Site site : config.record_errors) all.emplace_back("record.errors", site);
  for (const Site site : config.record_activations) all.emplace_back("record.activations", site);
  return all;
}

std::string no_such_site(Site site, const Network& network) {
  std::vector<std::string> names;
  for (const SiteRow& row : network.sites) names.emplace_back(info(row.site).name);
  return std::string(network.title) + " has no site " + toml_string(info(site).name) +
         "; legal: " + join(names);
}

/// Whether a selection has this rule, in some cell.
bool uses(const SelectionConfig& selection, const Config& config, const Rule& rule) {
  const std::string key = path_of("lamp.*.rule", info(selection.site).name);
  return selection.spec.rule == &rule ||
         std::any_of(config.grid.begin(), config.grid.end(), [&](const GridAxis& axis) {
           return axis.key == key &&
                  std::find(axis.values.begin(), axis.values.end(),
                            Coordinate(std::string(rule.name))) != axis.values.end();
         });
}

/// A window as wide as the sequence has no effect; a narrower one is not evaluated.
std::string limit_of_positions(const ModelConfig& model) {
  return model.llama && model.llama->window ? "sliding window, which is not evaluated"
                                            : "n_positions";
}

/// The ground truth keeps dozens of numbers for each score: at most 2^24 scores of a pass.
std::size_t longest_truth(const ModelConfig& model) {
  constexpr double most_scores = 0x1p24;
  return static_cast<std::size_t>(
      std::sqrt(most_scores / static_cast<double>(model.n_layer * model.n_head)));
}

}  // namespace

Result<void> check_against(const Config& config, const ModelConfig& model) {
  const auto fail = [&](const std::string& key, const std::string& message) {
    auto place = config.places.at.find(key);
    if (place == config.places.at.end()) place = config.places.at.find("grid." + key);
    return Error{ExitCode::bad_data, (place == config.places.at.end() ? "config" : place->second) +
                                         ": " + key + ": " + message};
  };
  const auto absent = [](const char* what, std::size_t index, std::size_t count) {
    return std::string(what) + std::to_string(index) +
           ", which the model does not have; legal: 0 to " + std::to_string(count - 1);
  };
  if (config.tokens.sequence_length > model.n_positions)
    return fail("tokens.sequence_length", std::to_string(config.tokens.sequence_length) +
                                              " is more than the model's " +
                                              limit_of_positions(model) + "; legal: 1 to " +
                                              std::to_string(model.n_positions));
  if (const auto& c = config.continuation; c && c->prefix + c->tokens > model.n_positions)
    return fail("continuation.tokens",
                std::to_string(c->tokens) + " tokens after a prefix of " +
                    std::to_string(c->prefix) + " are more than the model's " +
                    limit_of_positions(model) + "; legal: prefix + tokens up to " +
                    std::to_string(model.n_positions));
  for (const auto& [key, site] : named_sites(config))
    if (!find_row(model.network->sites, site)) return fail(key, no_such_site(site, *model.network));
  if (const std::optional<Problem> problem = check_selections(config, model))
    return fail(problem->key,
                problem->message + (problem->legal.empty() ? "" : "; legal: " + problem->legal));
  for (const auto& [key, path] : planned_paths(config)) {
    if (path.layer && path.layer->value >= model.n_layer)
      return fail(key, absent("layer ", path.layer->value, model.n_layer));
    if (path.head && path.head->value >= model.n_head)
      return fail(key, absent("head ", path.head->value, model.n_head));
  }
  for (const auto& [key, layer] : planned_layers(config))
    if (layer.value >= model.n_layer)
      return fail(key, absent("layer ", layer.value, model.n_layer));
  const bool knows_pass = std::any_of(rules.begin(), rules.end(), [&](const Rule& rule) {
    return rule.traits.knows_pass &&
           std::any_of(config.selections.begin(), config.selections.end(),
                       [&](const auto& s) { return uses(s, config, rule); });
  });
  const std::size_t length = config.tokens.sequence_length, most_length = longest_truth(model);
  if ((config.truth || knows_pass) && length > most_length)
    return fail("tokens.sequence_length",
                std::to_string(length) +
                    " is more than the ground truth of this model can keep; legal with " +
                    (config.truth ? "[truth]" : "a rule that knows it") + ": 1 to " +
                    std::to_string(most_length));
  if (config.truth) {
    if (const SiteRow* row = find_row(model.network->sites, Site::scores);
        row == nullptr || row->f != Composition::softmax)
      return fail("truth",
                  std::string(model.network->title) + " has no scores; legal: leave [truth] out");
    for (const std::size_t layer : config.truth->layers)
      if (layer >= model.n_layer)
        return fail("truth.layers", absent("layer ", layer, model.n_layer));
    for (const std::size_t head : config.truth->heads)
      if (head >= model.n_head) return fail("truth.heads", absent("head ", head, model.n_head));
  }
  if (const std::optional<Problem> problem = check_trees(config, model))
    return fail(problem->key, problem->message);
  return {};
}

}  // namespace lamp::experiments
