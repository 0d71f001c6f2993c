#include "experiments/commands/time_cost.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "analysis/metrics.hpp"
#include "core/model/forward.hpp"
#include "core/model/ops/sites.hpp"
#include "core/selection/rules/given.hpp"
#include "core/selection/target.hpp"
#include "experiments/commands/plan_cost.hpp"
#include "experiments/commands/timing.hpp"
#include "experiments/run/cell_recorder.hpp"

namespace lamp::experiments {
namespace {

void fill(Matrix<double>& x, std::mt19937_64& random, double scale) {
  for (double& value : x.flat())
    value = static_cast<double>(
        static_cast<float>((static_cast<double>(random() >> 11) * 0x1p-52 - 1.0) * scale));
}

MatrixView<const double> first_rows(const Matrix<double>& x, std::size_t n, std::size_t cols) {
  return x.view().row_block(0, n).columns(0, cols);
}

MatrixView<double> first_rows(Matrix<double>& x, std::size_t n, std::size_t cols) {
  return x.view().row_block(0, n).columns(0, cols);
}

}  // namespace

TimeCost::TimeCost(const Experiment& experiment)
    : experiment_(experiment),
      config_(experiment.model.config),
      length_(experiment.config.tokens.sequence_length) {
  std::mt19937_64 random(2);
  std::size_t widest = config_.n_embd;
  for (const SiteRow& row : config_.network->sites)
    if (row.width != nullptr && row.operation != Operation::logits)
      widest = std::max(widest, heads_of(config_, row.site) * row.width(config_));
  for (Matrix<double>* matrix : {&x_, &y_, &out_}) {
    matrix->reshape(length_, widest);
    fill(*matrix, random, 1.0);
  }
  scores_.reshape(length_, length_);
  probabilities_.reshape(length_, length_);
  fill(scores_, random, 4.0);
  softmax(fused(binary64), std::as_const(scores_).view(), probabilities_.view());
  prepare_metrics();
}

void TimeCost::prepare_metrics() {
  std::mt19937_64 random(3);
  const std::size_t n = std::min<std::size_t>(length_, 16);
  Matrix<double> logits(n, config_.vocab_size), other(n, config_.vocab_size);
  fill(logits, random, 8.0);
  fill(other, random, 8.0);
  const std::vector<TokenId> tokens(n, 0);
  const double scale = rows(length_) / rows(n);
  ReferenceDistribution reference(logits, tokens);
  distribution_ = scale * seconds_of([&] { reference = ReferenceDistribution(logits, tokens); });
  PositionMetrics metrics;
  metrics.resize(n);
  MetricsScratch scratch{};
  const auto work = [&] { compare(reference, 0, std::as_const(other).view(), metrics, scratch); };
  work();
  metrics_ = scale * seconds_of(work);
}

double TimeCost::measure(const SiteRow& row, const Arithmetic& a, Rows which) {
  const Weights& weights = experiment_.model.weights;
  const bool one = which == Rows::one;
  const auto by_rows = [&](const auto& work) {
    return one ? extrapolated(1, 1, rows, work) : extrapolated(4, length_, rows, work);
  };
  const auto square = [&](const auto& work) {  // one row: its share of the entries
    return extrapolated(16, length_, triangle, work) * (one ? share_of_row() : 1.0);
  };
  const auto corner = [](auto& x, std::size_t n) { return first_rows(x, n, n); };
  const std::size_t width = width_of(config_, row.site, length_);
  const auto in = [&](std::size_t k, std::size_t n) {
    return first_rows(k == 0 ? std::as_const(x_) : std::as_const(y_), n,
                      input_columns(config_, row, k, Head{}, length_).count);
  };
  const auto out = [&](std::size_t n) { return first_rows(out_, n, width); };
  switch (row.operation) {
    case Operation::embed:
      return by_rows([&](std::size_t n) {
        embed(a, weights.at<EmbeddingWeights>(row.site), std::vector<TokenId>(n, 0), out(n));
      });
    case Operation::layer_norm:
      return by_rows([&](std::size_t n) {
        layer_norm(a, weights.at<LayerNormWeights>(row.site), config_.layer_norm_epsilon, in(0, n),
                   out(n));
      });
    case Operation::linear:
      return by_rows(
          [&](std::size_t n) { linear(a, weights.at<Linear>(row.site), in(0, n), out(n)); });
    case Operation::scores: {
      Matrix<double> s(length_, length_);
      return square([&](std::size_t n) { scores(a, in(0, n), in(1, n), corner(s, n)); });
    }
    case Operation::softmax: {
      if (!info(row.site).causal)
        return by_rows([&](std::size_t n) { softmax(a, in(0, n), out(n), Entries::all); });
      Matrix<double> z(length_, length_);
      return square(
          [&](std::size_t n) { softmax(a, corner(std::as_const(scores_), n), corner(z, n)); });
    }
    case Operation::values:
      return square([&](std::size_t n) {
        values(a, corner(std::as_const(probabilities_), n), in(1, n), out(n));
      });
    case Operation::residual:
      return by_rows([&](std::size_t n) { residual(a, in(0, n), in(1, n), out(n)); });
    case Operation::activation:
      return by_rows([&](std::size_t n) { activate(a, experiment_.activation, in(0, n), out(n)); });
    case Operation::logits: {
      const std::size_t most = one ? 1 : std::min(length_, logit_rows);
      Matrix<double> y(most, width);
      const double block_seconds = extrapolated(4, most, rows, [&](std::size_t n) {
        linear(a, weights.at<Linear>(row.site), in(0, n), first_rows(y, n, width));
      });
      return one ? block_seconds : block_seconds * rows(length_) / rows(most);
    }
  }
  contract_violated("TimeCost: a known operation");
}

double TimeCost::seconds_per_mac(const SiteRow& row, const Arithmetic& arithmetic) {
  return site(row.site, arithmetic) / macs_of(config_, row, length_);
}

double TimeCost::site(Site at, const Arithmetic& arithmetic, Rows rows) {
  const std::tuple key{at, arithmetic, rows};
  if (is_unlimited(arithmetic)) {
    const auto middle =
        static_cast<std::size_t>(rows == Rows::one ? share_of_row() * triangle(length_) : 0.0);
    return unlimited(arithmetic)
        .site(row_of(*config_.network, at), config_, middle, rows == Rows::one ? 1 : length_);
  }
  const auto known = [&](const auto& entry) { return entry.first == key; };
  if (const auto found = std::find_if(sites_.begin(), sites_.end(), known); found != sites_.end())
    return found->second;
  return sites_.emplace_back(key, measure(row_of(*config_.network, at), arithmetic, rows)).second;
}

const UnlimitedCost& TimeCost::unlimited(const Arithmetic& arithmetic) {
  if (!unlimited_) unlimited_.emplace(arithmetic, experiment_.activation);
  return *unlimited_;
}

double TimeCost::share_of_row() const {
  const ContinuationConfig& asked = *experiment_.config.continuation;
  return (rows(asked.prefix) + rows(asked.tokens) / 2.0) / triangle(length_);
}

double TimeCost::selection(const SiteRow& row, const SelectionSpec& spec, const Arithmetic& f) {
  const bool causal = info(row.site).causal;
  const std::tuple key{causal ? 0 : width_of(config_, row.site, length_), spec, f};
  const auto known = [&](const auto& entry) { return entry.first == key; };
  if (const auto found = std::find_if(selections_.begin(), selections_.end(), known);
      found != selections_.end())
    return found->second;
  Matrix<double> z = probabilities_;
  if (!causal) {
    z.reshape(length_, row.width(config_));
    softmax(fused(binary64), first_rows(std::as_const(x_), length_, z.cols()), z.view(),
            Entries::all);
  }
  const Matrix<double>& y = causal ? scores_ : x_;
  const std::size_t width = input_columns(config_, row, 0, Head{}, length_).count;
  Matrix<double> v(width, z.cols(), 1.0);  // any values take the same time
  const GivenPriorities priorities{1, z.rows(), z.cols(), std::vector<double>(z.rows() * z.cols())};
  SelectionSpec with = spec;
  if (spec.rule->traits.knows_pass) with.priorities = &priorities;
  SelectionScratch scratch;
  std::vector<std::uint8_t> marks(z.cols());
  std::vector<double> mixed(z.cols());
  const auto work = [&](std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t entries = causal ? i + 1 : z.cols();
      const std::span<const double> low = y.row(i).first(entries),
                                    p = std::as_const(z).row(i).first(entries);
      const SelectionRow of{.z = p,
                            .y = low,
                            .w = p,  // any w >= 0 takes the time of dot weights
                            .row_length = causal ? length_ : entries,
                            .q = x_.row(i).first(width),
                            .k = first_rows(std::as_const(y_), entries, width),
                            .v = std::as_const(v).view().columns(0, entries)};
      if (select_row(with, targets::softmax, of, {.row = static_cast<std::uint32_t>(i)},
                     std::span(marks).first(entries), scratch) > 0)
        softmax_of_row(f, low, std::span(mixed).first(entries));
    }
  };
  const double seconds =
      causal ? extrapolated(32, length_, triangle, work) : extrapolated(4, length_, rows, work);
  return selections_.emplace_back(key, seconds).second;
}

double TimeCost::pass(const PrecisionPlan& plan, Rows which) {
  double seconds = 0.0;
  for (const SiteRow& row : config_.network->sites) {
    const SelectionPlan* selected = row.f ? plan.selection(row.site) : nullptr;
    for (std::size_t l = 0; l < layers_of(config_, row.site); ++l)
      for (std::size_t h = 0; h < heads_of(config_, row.site); ++h) {
        seconds += site(row.site, plan.at(row.site, Layer{l}, Head{h}), which);
        if (selected == nullptr) continue;
        const double share = which == Rows::all      ? 1.0
                             : info(row.site).causal ? share_of_row()
                                                     : 1.0 / rows(length_);
        seconds += site(row.site, selected->recompute, which) +
                   selection(row, selected->spec, plan.at(*row.f, Layer{l}, Head{h})) * share;
      }
  }
  return seconds;
}

TimeCost::PerRow TimeCost::per_row(const PrecisionPlan& plan) {
  PerRow seconds{.after = metrics_ / rows(length_)};
  for (const SiteRow& row : config_.network->sites) {
    if (row.operation == Operation::embed) continue;
    (info(row.site).per_layer ? seconds.layer : seconds.after) +=
        rows(heads_of(config_, row.site)) * site(row.site, plan.at(row.site)) / rows(length_);
  }
  return seconds;
}

double TimeCost::continuation(const PrecisionPlan& plan) {
  const std::optional<ContinuationConfig>& asked = experiment_.config.continuation;
  if (!asked) return 0.0;
  return pass(plan) * rows(asked->prefix) / rows(length_) +
         rows(asked->tokens - 1) * pass(plan, Rows::one);
}

double TimeCost::cell(const Cell& cell) {
  double seconds = pass(cell.plan) + metrics_ + continuation(cell.plan);
  if (!cell.records.errors) return seconds;
  for (const Site recorded : experiment_.config.record_errors) {
    const double evaluations = rows(layers_of(config_, recorded) * heads_of(config_, recorded));
    seconds += evaluations * site(recorded, experiment_.grid.reference.at(recorded));
  }
  return seconds;
}

double TimeCost::reference() {
  return pass(experiment_.grid.reference) + distribution_ +
         continuation(experiment_.grid.reference);
}

}  // namespace lamp::experiments
