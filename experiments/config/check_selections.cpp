// What a config alone can tell of its selections, of [truth] and of [cost].
#include <algorithm>
#include <utility>

#include "experiments/config/checks.hpp"
#include "experiments/config/costs.hpp"
#include "experiments/config/equal_cells.hpp"
#include "experiments/config/fields.hpp"
#include "experiments/config/grid.hpp"
#include "experiments/config/suggestions.hpp"

namespace lamp::experiments {
namespace {

/// The rest of a pass is evaluated from a changed score on: in a reference that core/model has, and
/// that draws nothing.
std::optional<Problem> check_reference(const Config& config, const std::string& why) {
  if (!reference_bits(config.reference) && !is_drawn(config, config.reference)) return std::nullopt;
  return Problem{.key = "reference.arithmetic",
                 .message = toml_string(config.reference) + " has no ground truth",
                 .legal = "with " + why +
                          ": binary64, or the name of an arithmetic without "
                          "stochastic rounding"};
}

/// What makes a run's values and weights others than the reference's, apart from arithmetic; empty:
/// nothing.
std::string other_than_reference(const Config& config) {
  if (config.store.storage() != Storage{}) return "[store]";
  return config.reference_model.empty() ? "" : "reference.model";
}

/// What the rest of a pass from a changed score on does not select: other sites than scores,
/// budgets of layers, fallbacks; empty: there is none of it.
std::string other_than_scores(const Config& config) {
  for (const SelectionConfig& s : config.selections) {
    const std::string key = "lamp." + std::string(info(s.site).name);
    if (s.site != Site::scores) return '[' + key + ']';
    if (s.fallback.tolerance) return key + ".fallback";
  }
  for (const BudgetEntry& entry : config.budgets)
    return "[lamp." + site_path_name(entry.path) + ']';
  return {};
}

/// A rule that knows the pass: the scores of a sequence that is there before the pass.
std::optional<Problem> check_rule(const Config& config, const SelectionConfig& selection) {
  const Rule& rule = *selection.spec.rule;
  if (!rule.traits.knows_pass) return std::nullopt;
  const std::string key = "lamp." + std::string(info(selection.site).name) + ".rule";
  if (const std::string other = other_than_reference(config); !other.empty())
    return Problem{.key = key,
                   .message = toml_string(rule.name) +
                              " ranks scores within the reference pass, and there is " + other,
                   .legal = "with " + other + ": the other rules"};
  if (selection.site != Site::scores)
    return Problem{.key = key,
                   .message = toml_string(rule.name) + " ranks scores",
                   .legal = "there: the other rules"};
  if (const std::string other = other_than_scores(config); !other.empty())
    return Problem{.key = key,
                   .message = toml_string(rule.name) +
                              " ranks scores, selected alone and alike in all layers, and there "
                              "is " +
                              other,
                   .legal = "with " + other + ": the other rules"};
  if (config.continuation)
    return Problem{.key = key,
                   .message = toml_string(rule.name) +
                              " has to know all tokens before the pass, and a continuation has not",
                   .legal = "with [continuation]: the other rules"};
  if (config.tokens.lengths_vary())
    return Problem{
        .key = key,
        .message = toml_string(rule.name) + " evaluates all scores of sequences of one length",
        .legal = "with tokens.min_length: the other rules"};
  return check_reference(config, "rule = " + toml_string(rule.name));
}

/// Tells the tolerance and what falls back apart from the rest of the config.
std::optional<Problem> check_fallback(const Config& config, const SelectionConfig& selection) {
  const std::string key = "lamp." + std::string(info(selection.site).name) + ".fallback.";
  const FallbackConfig& of = selection.fallback;
  if (of.what && !of.tolerance && !config.has_axis(key + "tolerance"))
    return Problem{.key = key + "what",
                   .message = "a fallback has a tolerance",
                   .legal = "beside it: " + key + "tolerance, a number, 0.0 and more"};
  if (of.what != Fallback::What::layer) return std::nullopt;
  if (!info(selection.site).per_layer)
    return Problem{.key = key + "what",
                   .message = "\"layer\": " + std::string(info(selection.site).name) +
                              " is not part of a layer",
                   .legal = "row"};
  if (config.continuation)
    return Problem{.key = key + "what",
                   .message =
                       "\"layer\" looks at all rows of a pass, and those of a continuation "
                       "come one by one",
                   .legal = "with [continuation]: row"};
  return std::nullopt;
}

std::optional<Problem> check_budgets(const Config& config) {
  for (const BudgetEntry& entry : config.budgets) {
    const std::string path = "lamp." + site_path_name(entry.path);
    const auto selects = [&](const SelectionConfig& s) { return s.site == entry.path.site; };
    if (entry.tau && entry.rate)
      return Problem{
          .key = path + ".tau", .message = "tau and rate are both given", .legal = "one of them"};
    if (std::none_of(config.selections.begin(), config.selections.end(), selects))
      return Problem{
          .key = path + (entry.tau ? ".tau" : ".rate"),
          .message = "there is no [lamp." + std::string(info(entry.path.site).name) + "]",
          .legal = "sites with a [lamp.SITE]"};
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::string> arithmetic_names(const Config& config) {
  std::vector<std::string> names;
  for (const NamedArithmetic& a : config.arithmetics) names.push_back(a.name);
  return names;
}

std::optional<Problem> check_name(const Config& config, const std::string& key,
                                  const std::string& name) {
  if (name.empty() || config.arithmetic(name) != nullptr) return std::nullopt;
  std::vector<std::string> names = arithmetic_names(config);
  if (key == "reference.arithmetic") names.insert(names.end(), {"binary64", "mpfr:256"});
  return Problem{.key = key,
                 .message = "there is no arithmetic " + toml_string(name),
                 .legal = names.empty() ? "none: no [arithmetic.NAME] is given" : join(names),
                 .suggestion = nearest(name, names)};
}

SelectionSpec with_budget(SelectionSpec spec, const BudgetEntry& entry) {
  spec.tau = entry.tau, spec.rate = entry.rate;
  return spec;
}

std::optional<Problem> check_selections(const Config& config) {
  for (const SelectionConfig& s : config.selections) {
    const std::string path = "lamp." + std::string(info(s.site).name);
    if (s.spec.tau && s.spec.rate)
      return Problem{
          .key = path + ".tau", .message = "tau and rate are both given", .legal = "one of them"};
    if (std::optional<Problem> problem = check_name(config, path + ".recompute", s.recompute))
      return problem;
    if (std::optional<Problem> problem = check_fallback(config, s)) return problem;
    if (const std::string what = lamp::check(s.spec); !what.empty()) {  // "KEY: what"
      const std::size_t colon = what.find(": ");
      return Problem{.key = path + '.' + what.substr(0, colon), .message = what.substr(colon + 2)};
    }
    if (std::optional<Problem> problem = check_rule(config, s)) return problem;
  }
  return check_budgets(config);
}

std::optional<Problem> check_costs(const Config& config) {
  for (const CostEntry& entry : config.costs)
    if (std::optional<Problem> problem =
            check_name(config, "cost." + entry.arithmetic, entry.arithmetic))
      return problem;
  if (config.costs.empty()) return std::nullopt;
  for (const std::string& used : arithmetics_of_pass(config)) {
    const auto is_its = [&](const CostEntry& entry) { return entry.arithmetic == used; };
    if (!used.empty() && std::none_of(config.costs.begin(), config.costs.end(), is_its))
      return Problem{.key = "cost." + used,
                     .message = "absent, and [cost] has other arithmetics: their units are its own",
                     .legal =
                         "a cost of every arithmetic that the plan or a selection names, or "
                         "no [cost]"};
  }
  return std::nullopt;
}

std::optional<Problem> check_truth(const Config& config) {
  if (!config.truth) return std::nullopt;
  if (const std::string other = other_than_reference(config); !other.empty())
    return Problem{.key = "truth",
                   .message = "evaluates scores within the reference pass, and there is " + other,
                   .legal = "one of [truth] and " + other};
  if (const std::string other = other_than_scores(config); !other.empty())
    return Problem{.key = "truth",
                   .message =
                       "evaluates scores, selected alone and alike in all layers, and "
                       "there is " +
                       other,
                   .legal = "one of [truth] and " + other};
  if (std::optional<Problem> problem = check_reference(config, "[truth]")) return problem;
  const std::size_t length = config.tokens.sequence_length;
  if (config.truth->row_sets > length)
    return Problem{
        .key = "truth.row_sets",
        .message = std::to_string(config.truth->row_sets) + " scores are more than a row has",
        .legal = "0 to tokens.sequence_length, " + std::to_string(length)};
  for (const std::size_t query : config.truth->queries)
    if (query >= length)
      return Problem{.key = "truth.queries",
                     .message = std::to_string(query) + " is no position of a sequence",
                     .legal = "0 to tokens.sequence_length - 1, " + std::to_string(length - 1)};
  return std::nullopt;
}

}  // namespace lamp::experiments
