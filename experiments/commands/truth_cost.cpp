#include "experiments/commands/truth_cost.hpp"

#include <algorithm>
#include <random>

#include "analysis/truth/coarse.hpp"
#include "analysis/truth/forward.hpp"
#include "analysis/truth/predictors.hpp"
#include "analysis/truth/subsets.hpp"
#include "experiments/commands/plan_cost.hpp"
#include "experiments/commands/suffix_cost.hpp"
#include "experiments/commands/timing.hpp"
#include "experiments/instruments/truth/rows.hpp"
#include "experiments/run/pass_priorities.hpp"

namespace lamp::experiments {
namespace {

constexpr std::size_t row_budgets = 4;  // of truth.rules, beside truth.budgets
constexpr double backgrounds = 2.0;     // passes of a cell that changes are made in

/// What rests of passes evaluate, and how long they take.
struct SuffixWork {
  double layer_rows = 0.0, last_rows = 0.0;  // rows in layers, and after them
  double seconds = 0.0;
  /// n rests of a pass from a change of one row on.
  void add(double n, const truth::Row& row, const ModelConfig& model, std::size_t length,
           const SuffixCost& cost) {
    const double above = rows(model.n_layer - 1 - row.layer.value),
                 later = rows(length - row.query);
    layer_rows += n * (1.0 + above * later);
    last_rows += n * (above > 0.0 ? later : 1.0);
    seconds += n * cost.effect(row.layer, row.query);
  }
  [[nodiscard]] double macs(const ModelConfig& model, std::size_t length) const {
    double layer_macs = 0.0, last_macs = 0.0;  // of a row
    for (const SiteRow& row : model.network->sites)
      (info(row.site).per_layer ? layer_macs : last_macs) +=
          rows(heads_of(model, row.site)) * macs_of(model, row, length) / rows(length);
    return layer_rows * layer_macs + last_rows * last_macs;
  }
};

/// Rests of passes for each derivative: central differences.
constexpr double runs_of_derivative = 2.0;

/// Seconds of trying all sets of a row of 16 scores, by both errors.
double seconds_of_sets() {
  std::mt19937_64 random(4);
  std::vector<double> low(16), high(16);
  for (std::size_t j = 0; j < low.size(); ++j) {
    high[j] = static_cast<double>(random() >> 11) * 0x1p-51;
    low[j] = high[j] + 0x1p-8 * static_cast<double>(j);
  }
  const truth::LocalRow row(low, high);
  const auto work = [&] {
    static_cast<void>(truth::best_sets(row, truth::SetError::rel));
    static_cast<void>(truth::best_sets(row, truth::SetError::l1));
  };
  work();
  return seconds_of(work);
}

/// Seconds by which whole passes take longer than the reference's, of one cell: coarse ones and
/// those of budgets, in which scores are low, or whole layers.
double seconds_of_low_sites(const Experiment& experiment, const Cell& cell, double budgets,
                            TimeCost& time) {
  const ModelConfig& model = experiment.model.config;
  const PrecisionPlan& reference = experiment.grid.reference;
  const double layers = rows(model.n_layer), heads = rows(heads_of(model, Site::scores));
  const std::vector<Site> sites = truth::layer_sites(model);
  const SelectionPlan* selection = cell.plan.selection(Site::scores);
  const auto seconds = [&](Site site, const Arithmetic& arithmetic) {  // in all layers and heads
    return layers * rows(heads_of(model, site)) * time.site(site, arithmetic, reference);
  };
  const Arithmetic& low = cell.plan.at(Site::scores);
  const auto more = [&](Site site) {
    return seconds(site, low) - seconds(site, reference.at(site));
  };
  double total = 0.0;
  if (budgets > 0.0)
    total += budgets * (more(Site::scores) +
                        seconds(Site::scores, selection != nullptr ? selection->recompute
                                                                   : reference.at(Site::scores)));
  if (!experiment.config.truth->coarse) return total;
  // Alone low, all passes of a grain have each site low once; alone exact, all passes but one. All
  // layers low is one more.
  double all_sites = 0.0;
  for (const Site site : sites) all_sites += more(site);
  return total + layers * heads * more(Site::scores) +
         (layers * rows(sites.size()) + layers + 1.0) * all_sites;
}

}  // namespace

TruthCost truth_cost(const Experiment& experiment, const std::vector<Cell>& cells, TimeCost& time) {
  TruthCost cost;
  if (!experiment.config.truth) return cost;
  const TruthConfig& asked = *experiment.config.truth;
  const ModelConfig& model = experiment.model.config;
  const std::size_t length = experiment.config.tokens.sequence_length;
  cost.cells = static_cast<std::size_t>(std::count_if(
      cells.begin(), cells.end(), [](const Cell& cell) { return cell.records.truth; }));

  const auto first =
      std::find_if(cells.begin(), cells.end(), [](const Cell& cell) { return cell.records.truth; });
  if (first == cells.end()) return cost;
  const PrecisionPlan& reference = experiment.grid.reference;
  const double pass_seconds = time.compared_pass(reference);
  const SuffixCost suffix(experiment, first->plan, pass_seconds / rows(length));
  SuffixWork each;  // all scores once
  const std::vector<truth::Row> chosen =
      rows_of_truth(asked, model, length, {.seed = experiment.config.seed});
  for (const truth::Row& row : chosen) {
    const double n = rows(row.query + 1);
    cost.scores += n;
    each.add(n, row, model, length, suffix);
    if (row.query < asked.subset_limit && asked.local)
      cost.subsets += 2.0 * static_cast<double>(std::size_t{1} << (row.query + 1));
  }
  SuffixWork of_sets;  // all sets of a row of each head, twice
  double sets = 0.0;
  for (const truth::Row& row : chosen) {
    if (row.query + 1 != asked.row_sets) continue;
    const double n = 2.0 * static_cast<double>(std::size_t{1} << asked.row_sets);
    sets += n;
    of_sets.add(n, row, model, length, suffix);
  }
  double times = rows(asked.end_to_end.size()), budgets = 0.0;
  bool derivative = false, low_derivative = false;
  cost.passes = asked.coarse ? rows(truth::coarse_passes(model, Site::scores)) : 0.0;
  for (const std::string& name : asked.rules) {
    const truth::Predictor& rule = *truth::predictor_named(name);
    derivative = derivative || rule.needs.derivative;
    low_derivative = low_derivative || rule.needs.low_derivative;
    budgets += rows(rule.repetitions * (asked.budgets.size() + row_budgets));
  }
  const double derivatives =
      (derivative ? 1.0 / rows(cost.cells) : 0.0) +  // of the reference: once a sequence
      (low_derivative ? 1.0 : 0.0);
  // Forward selection: what is left is evaluated at each step, which is a pass, and one by the
  // first ranking.
  const double steps = std::min(rows(asked.forward), cost.scores);
  if (steps > 0.0) times += steps - steps * (steps - 1.0) / (2.0 * cost.scores);
  cost.passes += budgets + 2.0 * steps;
  const double runs = times + runs_of_derivative * derivatives;
  cost.suffixes = runs * cost.scores + sets;
  cost.seconds = (times + derivatives * suffix.derivative()) * each.seconds + of_sets.seconds +
                 (cost.passes + backgrounds) * pass_seconds +
                 cost.subsets * seconds_of_sets() / 0x1p17 +
                 seconds_of_low_sites(experiment, *first, budgets + 2.0 * steps, time);
  cost.macs = runs * each.macs(model, length) + of_sets.macs(model, length);
  cost.shared = (asked.forward > 0 ? 3.0 : 2.0) * rows(truth::Background::bytes(model, length)) +
                (asked.forward > 0 ? rows(truth::bytes_of_sets(model, Site::scores, length)) : 0.0);
  cost.per_thread = rows(truth::Background::bytes_of_thread(model, length));
  return cost;
}

RankingCost ranking_cost(const Experiment& experiment, const std::vector<Cell>& cells,
                         TimeCost& time) {
  const ModelConfig& model = experiment.model.config;
  const std::size_t length = experiment.config.tokens.sequence_length;
  std::vector<std::pair<std::size_t, PriorityKey>> keys;  // of a variant
  for (const Cell& cell : cells) {
    const std::optional<PriorityKey> found = priority_key(cell.plan, model, cell.seed);
    if (!found) continue;
    const std::pair key{cell.variant, *found};
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  }
  RankingCost cost{.rankings = keys.size()};
  if (keys.empty()) return cost;
  double times = 0.0, derivatives = 0.0, at_once = 1.0, passes = 0.0;
  for (const auto& [variant, key] : keys) {
    const truth::Needs& needs = key.predictor->needs;
    times += (needs.one_low ? 1.0 : 0.0) + (needs.one_high ? 1.0 : 0.0);
    derivatives += needs.derivative ? 1.0 : 0.0;
    passes += needs.one_high ? 2.0 : 1.0;
    if (needs.one_high) at_once = 2.0;
  }
  const double pass_seconds = time.compared_pass(experiment.grid.reference);
  const auto low = std::find_if(cells.begin(), cells.end(), [&](const Cell& cell) {
    return priority_key(cell.plan, model, cell.seed).has_value();
  });
  const SuffixCost suffix(experiment, low->plan, pass_seconds / rows(length));
  const double runs = times + runs_of_derivative * derivatives;
  SuffixWork each;  // all scores once
  for (const truth::Row& row : truth::all_rows(model, Site::scores, length)) {
    cost.suffixes += runs * rows(row.query + 1);
    each.add(rows(row.query + 1), row, model, length, suffix);
  }
  cost.macs = runs * each.macs(model, length);
  cost.seconds = (times + derivatives * suffix.derivative()) * each.seconds + passes * pass_seconds;
  cost.shared = at_once * rows(truth::Background::bytes(model, length)) +
                rows(keys.size() * model.n_layer * model.n_head * length * length) * sizeof(double);
  cost.per_thread = rows(truth::Background::bytes_of_thread(model, length));
  return cost;
}

}  // namespace lamp::experiments
