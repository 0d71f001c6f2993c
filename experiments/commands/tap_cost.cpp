#include "experiments/commands/tap_cost.hpp"

#include <algorithm>

#include "core/model/forward.hpp"
#include "experiments/commands/sample.hpp"
#include "experiments/commands/timing.hpp"

namespace lamp::experiments {
namespace {

constexpr std::size_t rows_sampled = 64;
constexpr std::size_t tapped_rows = 8;  // of logits, which a pass shows a few at a time
constexpr std::size_t logit_rows_timed = 2 * tapped_rows;

/// Rows of the sample: the distribution keeps its probabilities where the run's does.
std::size_t rows_of_sample(const Experiment& experiment) {
  const std::size_t length = experiment.config.tokens.sequence_length,
                    vocabulary = experiment.model.config.vocab_size,
                    stored = ReferenceDistribution::stored_probabilities;
  const bool keeps = length * vocabulary <= stored;
  return std::min(length, keeps ? rows_sampled : std::max(rows_sampled, stored / vocabulary + 1));
}

Config short_config(const Experiment& experiment) {
  Config config = experiment.config;
  config.tokens.sequence_length = rows_of_sample(experiment);
  config.tokens.min_length.reset();
  config.truth.reset();
  config.continuation.reset();
  return config;
}

ModelConfig one_layer(ModelConfig model) {
  model.n_layer = 1;
  return model;
}

Matrix<double> random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
  Matrix<double> x(rows, cols);
  RandomNumbers random(seed);
  for (double& value : x.flat()) value = random();
  return x;
}

}  // namespace

struct TapCost::Sample {
  explicit Sample(const Experiment& experiment)
      : config(short_config(experiment)),
        model(one_layer(experiment.model.config)),
        length(config.tokens.sequence_length),
        recording{config, model},
        recorder(recording) {
    std::size_t widest = std::max(length, model.vocab_size);
    for (const SiteRow& row : model.network->sites)
      widest = std::max(widest, width_of(model, row.site, length));
    x = random_matrix(length, widest, 11);
    other = random_matrix(length, widest, 12);
    const std::vector<TokenId> tokens(length, 0);
    Reference made{
        .distribution = ReferenceDistribution(first(x, length, model.vocab_size), tokens),
        .tokens = tokens,
        .sites = {}};
    for (const SiteRow& row : model.network->sites) {
      if (!recorder.needs_reference(row.site)) continue;
      SiteValues values(model, row.site, length);
      for (std::size_t h = 0; h < heads_of(model, row.site); ++h)
        values.put({.site = row.site, .head = Head{h}},
                   std::as_const(other).view().columns(0, width_of(model, row.site, length)));
      made.sites.insert({row.site, std::move(values)});
    }
    reference = std::make_unique<Reference>(std::move(made));
  }

  static Matrix<double> first(const Matrix<double>& x, std::size_t rows, std::size_t cols) {
    Matrix<double> part(rows, cols);
    for (std::size_t i = 0; i < rows; ++i) std::copy_n(x.row(i).begin(), cols, part.row(i).begin());
    return part;
  }

  Config config;
  ModelConfig model;
  std::size_t length;
  Recording recording;
  CellRecorder recorder;
  Matrix<double> x, other;
  std::unique_ptr<Reference> reference;
};

TapCost::TapCost(const Experiment& experiment)
    : experiment_(experiment), sample_(std::make_unique<Sample>(experiment)) {}
TapCost::~TapCost() = default;

/// Seconds of showing the values of a site in one layer and head, or all logits.
double TapCost::show(TapSink& sink, const SiteRow& row, bool local) const {
  const std::size_t length = sample_->length, width = width_of(sample_->model, row.site, length);
  const MatrixView<const double> x = std::as_const(sample_->x).view().columns(0, width),
                                 r = std::as_const(sample_->other).view().columns(0, width);
  const auto rows_from = [&](std::size_t first, std::size_t count) {
    const TapPoint point{.site = row.site, .first_row = first};
    sink.values(point, x.row_block(first, count));
    if (local) sink.local(point, x.row_block(first, count), r.row_block(first, count));
  };
  if (row.operation != Operation::logits)
    return least_seconds([&] { rows_from(0, length); }, [] {});
  const std::size_t count = std::min(length, logit_rows_timed);
  return least_seconds(
             [&] {
               for (std::size_t i = 0; i < count; i += tapped_rows)
                 rows_from(i, std::min(tapped_rows, count - i));
             },
             [] {}) *
         rows(length) / rows(count);
}

/// Of the sample's rows to those of the pass, in all layers and heads.
double TapCost::scaled(const SiteRow& row, double seconds) const {
  const ModelConfig& model = experiment_.model.config;
  const std::size_t length = experiment_.config.tokens.sequence_length;
  const double more = info(row.site).causal ? triangle(length) / triangle(sample_->length)
                                            : rows(length) / rows(sample_->length);
  return seconds * more * rows(layers_of(model, row.site) * heads_of(model, row.site));
}

double TapCost::measure(const Cell& cell) const {
  CellRecorder& recorder = sample_->recorder;
  double seconds = 0.0;
  const auto frame = [&] {
    recorder.begin(*sample_->reference, cell.plan, cell.records);
    static_cast<void>(recorder.cell_values());
  };
  frame();
  seconds += least_seconds(frame, [] {}) * rows(experiment_.model.config.n_layer);
  for (const SiteRow& row : sample_->model.network->sites) {
    seconds += scaled(row, show(recorder, row, recorder.wants_local(row.site)));
    if (cell.plan.selection(row.site) == nullptr) continue;
    const std::size_t width = width_of(sample_->model, row.site, sample_->length);
    const std::vector<std::uint8_t> marks(width, 1);
    const auto rows_selected = [&] {
      for (std::size_t i = 0; i < sample_->length; ++i)
        recorder.selected({.site = row.site, .first_row = i},
                          std::span(marks).first(info(row.site).causal ? i + 1 : width));
    };
    seconds += scaled(row, least_seconds(rows_selected, [] {}));
  }
  return seconds;
}

double TapCost::cell(const Cell& cell) {
  double& seconds = cell_[(cell.records.errors ? 1 : 0) + (cell.records.activations ? 2 : 0)];
  if (seconds < 0.0) {
    Cell without_truth = cell;
    without_truth.records.truth = false;
    seconds = measure(without_truth);
  }
  return seconds;
}

double TapCost::metrics() const {
  const SiteRow& logits = sample_->model.network->sites.back();
  sample_->recorder.begin(*sample_->reference, experiment_.grid.reference, Records{});
  return scaled(logits, show(sample_->recorder, logits, false));
}

double TapCost::reference() {
  const std::vector<TokenId> tokens(sample_->length, 0);
  double seconds = 0.0;
  for (const SiteRow& row : sample_->model.network->sites) {
    if (row.operation != Operation::logits && !sample_->recorder.needs_reference(row.site))
      continue;
    ReferenceRecorder recorder(sample_->recorder, sample_->recording, sample_->length);
    seconds += scaled(row, show(recorder, row, false));
  }
  Matrix<double> logits = Sample::first(sample_->x, sample_->length, sample_->model.vocab_size);
  return seconds + seconds_of([&] { ReferenceDistribution(std::move(logits), tokens); }) *
                       rows(experiment_.config.tokens.sequence_length) / rows(sample_->length);
}

}  // namespace lamp::experiments
