#include "experiments/commands/time_cost.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>
#include <vector>

#include "core/arith/stochastic.hpp"
#include "core/model/compositions.hpp"
#include "core/model/ops/sites.hpp"
#include "core/selection/rules/own.hpp"
#include "experiments/commands/plan_cost.hpp"
#include "experiments/commands/timing.hpp"

namespace lamp::experiments {
namespace {

/// The middle row of a continuation; 0 where there is none.
std::size_t middle_row(const Config& config) {
  const std::optional<ContinuationConfig>& asked = config.continuation;
  return asked ? asked->prefix + asked->tokens / 2 : 0;
}

/// Whether a site's time grows with the causal entries.
bool grows_with_entries(const SiteRow& row) {
  return info(row.site).causal || row.operation == Operation::values;
}

/// Where a selection evaluates more than its site: at the softmax, or the sum that a norm reads.
Site site_that_f_sees(std::span<const SiteRow> sites, const SiteRow& row) {
  const SiteRow* f = row.f == Composition::softmax ? row_of_f(sites, row) : nullptr;
  const SiteRow* sum = row.f == Composition::norm ? row_of_sum(sites, row) : nullptr;
  return f != nullptr ? f->site : sum != nullptr ? sum->site : row.site;
}

/// Which part of a whole product recomputation evaluates: where components are of linear sites, the
/// rows and panels of columns that have a chosen one, as many as a rate gives, scattered. What a
/// tau will choose is not known: all.
double part_recomputed(const SiteRow& row, const SelectionPlan& selection) {
  const bool linear = row.operation == Operation::linear || row.operation == Operation::logits;
  if (!linear || !selection.spec.rate || is_stochastic(selection.recompute)) return 1.0;
  return 1.0 - std::pow(1.0 - *selection.spec.rate, rows(PackedMatrix::panel_cols));
}

/// What is timed of a selection: of an own rule LAMP's set, which it is given. How long the rule
/// itself takes nobody knows, and nothing of it is executed here.
SelectionSpec timed(SelectionSpec spec) {
  if (spec.rule == &own_rule) spec.rule = rule_named("lamp");
  return spec;
}

}  // namespace

TimeCost::TimeCost(const Experiment& experiment)
    : experiment_(experiment),
      config_(experiment.model.config),
      length_(experiment.config.tokens.sequence_length),
      middle_(middle_row(experiment.config)),
      sites_(config_, experiment.activation, {.all = length_, .middle = middle_ + 1},
             weight_bytes(config_)),
      taps_(experiment) {}

const UnlimitedCost& TimeCost::unlimited(const Arithmetic& arithmetic) {
  if (!unlimited_) unlimited_.emplace(arithmetic, experiment_.activation);
  return *unlimited_;
}

double TimeCost::share(const SiteRow& row, const Part& part) const {
  if (part.rows == Rows::one)
    return grows_with_entries(row) ? rows(middle_ + 1) / triangle(length_) : 1.0 / rows(length_);
  return grows_with_entries(row) ? triangle(part.length) / triangle(length_)
                                 : rows(part.length) / rows(length_);
}

double TimeCost::evaluation(const SiteRow& row, const Arithmetic& arithmetic, bool binary32,
                            const Part& part) {
  const bool one_of_many = row.operation == Operation::logits && part.length < length_;
  if (is_unlimited(arithmetic)) {
    const UnlimitedCost& cost = unlimited(arithmetic);
    if (part.rows == Rows::one || one_of_many) return cost.site(row, config_, middle_, 1);
    return cost.site(row, config_, 0, part.length);
  }
  if (part.rows == Rows::one || one_of_many)
    return sites_.seconds({row.site, arithmetic, binary32, Rows::one});
  return sites_.seconds({row.site, arithmetic, binary32}) * share(row, part);
}

double TimeCost::storing(const PrecisionPlan& plan, const Part& part) {
  const Storage& storage = plan.storage();
  double seconds = 0.0;
  for (const SiteRow& row : config_.network->sites) {
    const bool low_rows_too = row.f && plan.selection(row.site) != nullptr;
    const double heads = rows(heads_of(config_, row.site));
    double numbers = heads * triangle(length_);  // of a whole pass
    if (!info(row.site).causal) numbers = heads * rows(length_) * rows(row.width(config_));
    for (std::size_t l = 0; l < layers_of(config_, row.site); ++l)
      if (const NumberSystem* system = storage.at(row.site, Layer{l}))
        seconds +=
            storage_.of_number(*system) * numbers * share(row, part) * (low_rows_too ? 2.0 : 1.0);
  }
  if (!storage.has_cache()) return seconds;
  for (const CachedColumns& part_of : cached_columns(config_))
    if (const Storage::System& system = part_of.are_keys ? storage.keys : storage.values)
      seconds += storage_.of_number(*system) * rows(config_.n_layer * part_of.count) *
                 (part.rows == Rows::one ? 1.0 : rows(part.length));
  return seconds;
}

double TimeCost::pass(const PrecisionPlan& plan, const Part& part) {
  double seconds = storing(plan, part);
  for (const SiteRow& row : config_.network->sites) {
    const SelectionPlan* selected = row.f ? plan.selection(row.site) : nullptr;
    const Site seen_at = site_that_f_sees(config_.network->sites, row);
    for (std::size_t l = 0; l < layers_of(config_, row.site); ++l)
      for (std::size_t h = 0; h < heads_of(config_, row.site); ++h) {
        const Arithmetic& arithmetic = plan.at(row.site, Layer{l}, Head{h});
        const bool binary32 = reads_binary32(config_, row, plan, Layer{l}, Head{h});
        seconds += evaluation(row, arithmetic, binary32, part);
        if (row.operation == Operation::scores && !is_unlimited(arithmetic))
          seconds += sites_.packing(row, binary32, part.rows) *
                     (part.rows == Rows::one ? 1.0 : rows(part.length) / rows(length_));
        if (selected == nullptr) continue;
        const SelectionPlan& here = *plan.selection(row.site, Layer{l}, Head{h});
        seconds += part_recomputed(row, here) * evaluation(row, here.recompute, binary32, part);
        if (here.spec.rule->traits.reads_values && row.f == Composition::activation)
          seconds += up_to_map(row, plan, Layer{l}, part);
        const bool is_chosen = row.f != Composition::linear_map || h == 0;  // of all heads
        if (is_chosen)
          seconds += share(row, part) *
                     sites_.selection(
                         row, {.spec = timed(here.spec),
                               .target = &target_of(*config_.network, row, experiment_.activation),
                               .arithmetic = plan.at(seen_at, Layer{l}, Head{h})});
      }
  }
  return seconds;
}

double TimeCost::up_to_map(const SiteRow& row, const PrecisionPlan& plan, Layer layer,
                           const Part& part) {
  const std::span<const SiteRow> of = config_.network->sites;
  const SiteRow& f = *row_of_f(of, row);
  const auto once = [&](const SiteRow& at) {
    const bool binary32 = reads_binary32(config_, at, plan, layer, Head{});
    return evaluation(at, plan.at(at.site, layer, Head{}), binary32, part);
  };
  double seconds = once(f);
  if (const SiteRow* product = map_after(of, f.site).product) {
    seconds += once(*product);
    for (const Input& input : inputs_of(*product))
      if (input.site != f.site) seconds += once(row_of(*config_.network, *input.site));
  }
  return seconds;
}

double TimeCost::site(Site at, const Arithmetic& arithmetic, const PrecisionPlan& plan) {
  const SiteRow& row = row_of(*config_.network, at);
  return evaluation(row, arithmetic, reads_binary32(config_, row, plan, Layer{}, Head{}),
                    {Rows::all, length_});
}

double TimeCost::seconds_per_mac(const SiteRow& row, const Arithmetic& arithmetic,
                                 bool binary32_operands) {
  return evaluation(row, arithmetic, binary32_operands, {Rows::all, length_}) /
         macs_of(config_, row, length_);
}

double TimeCost::continuation(const PrecisionPlan& plan) {
  const std::optional<ContinuationConfig>& asked = experiment_.config.continuation;
  if (!asked) return 0.0;
  return pass(plan, {Rows::all, asked->prefix}) +
         rows(asked->tokens - 1) * pass(plan, {Rows::one, length_});
}

double TimeCost::cell(const Cell& cell) {
  double seconds =
      pass(cell.plan, {Rows::all, length_}) + taps_.cell(cell) + continuation(cell.plan);
  if (!cell.records.errors) return seconds;
  for (const Site recorded : experiment_.config.record_errors)
    seconds += rows(layers_of(config_, recorded) * heads_of(config_, recorded)) *
               site(recorded, experiment_.grid.reference.at(recorded), cell.plan);
  return seconds;
}

double TimeCost::reference() {
  return pass(experiment_.grid.reference, {Rows::all, length_}) + taps_.reference() +
         continuation(experiment_.grid.reference);
}

double crowding(const ModelConfig& model, const Arithmetic& arithmetic, std::size_t threads) {
  if (threads <= 1 || is_unlimited(arithmetic)) return 1.0;
  constexpr double long_enough = 2e-2;
  const std::size_t n = 32, k = model.n_embd,
                    columns = std::clamp<std::size_t>(model.n_inner, 1, 256);
  RandomNumbers random(8);
  SampleMatrix x;
  x.fill(n, k, [&](std::size_t) { return random(); });
  Matrix<float> weight(k, columns);
  for (float& w : weight.flat()) w = static_cast<float>(random());
  const Linear layer{PackedMatrix(std::as_const(weight).view()), {}};
  const MatrixView<const double> in = x.first(n, k, contains(binary32, arithmetic.mac.format));
  std::atomic<std::size_t> started{0};
  const auto seconds_each = [&](Matrix<double>& out, std::size_t at_once) {
    ++started;
    while (started < at_once) std::this_thread::yield();
    const double start = thread_seconds();
    double calls = 0.0, spent = 0.0;
    while (spent < long_enough) {
      linear(arithmetic, layer, in, out.view());
      spent = thread_seconds() - start, calls += 1.0;
    }
    return spent / calls;
  };
  std::vector<Matrix<double>> outs(threads, Matrix<double>(n, columns));
  const double alone = seconds_each(outs[0], 1);
  started = 0;
  std::vector<double> together(threads);
  Team team(threads);  // all of them there, before one waits for the others
  team.each(threads, [&](std::size_t i) { together[i] = seconds_each(outs[i], threads); });
  double sum = 0.0;
  for (const double seconds : together) sum += seconds;
  return std::max(1.0, sum / rows(threads) / alone);
}

}  // namespace lamp::experiments
