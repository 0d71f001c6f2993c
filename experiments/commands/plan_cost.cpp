#include "experiments/commands/plan_cost.hpp"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <limits>
#include <random>
#include <utility>

#include "analysis/metrics.hpp"
#include "core/model/buffers.hpp"
#include "core/model/forward.hpp"
#include "core/model/ops/sites.hpp"
#include "core/record/shard.hpp"
#include "core/selection/target.hpp"
#include "experiments/commands/requests.hpp"
#include "experiments/commands/unlimited_cost.hpp"
#include "experiments/run/cell_recorder.hpp"

namespace lamp::experiments {
namespace {

constexpr double enough_seconds = 1.5e-3;

/// Processor time of this thread, which others at work on the machine do not stretch.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <class Work>
double seconds_of(const Work& work) {
  const double start = thread_seconds();
  work();
  return thread_seconds() - start;
}

/// Seconds of work(full), scaled up from work(n) for the least n of first, 2 first, .. that takes
/// long enough; time grows with amount(n).
template <class Work, class Amount>
double extrapolated(std::size_t first, std::size_t full, const Amount& amount, const Work& work) {
  for (std::size_t n = std::min(first, full);; n = std::min(2 * n, full)) {
    double seconds = seconds_of([&] { work(n); });
    if (seconds < enough_seconds && n < full) continue;
    for (int again = 0; again < 2; ++again)
      seconds = std::min(seconds, seconds_of([&] { work(n); }));
    return seconds * amount(full) / amount(n);
  }
}

double rows(std::size_t n) { return static_cast<double>(n); }
double triangle(std::size_t n) { return static_cast<double>(n) * static_cast<double>(n + 1) / 2.0; }

void fill(Matrix<double>& x, std::mt19937_64& random, double scale) {
  for (double& value : x.flat())
    value = static_cast<double>(
        static_cast<float>((static_cast<double>(random() >> 11) * 0x1p-52 - 1.0) * scale));
}

double packed_bytes(std::size_t rows, std::size_t cols) {
  const std::size_t panels = (cols + PackedMatrix::panel_cols - 1) / PackedMatrix::panel_cols;
  return static_cast<double>(panels * PackedMatrix::panel_cols * rows * sizeof(float) +
                             cols * sizeof(double));  // and the bias
}

MatrixView<const double> first_rows(const Matrix<double>& x, std::size_t n, std::size_t cols) {
  return x.view().row_block(0, n).columns(0, cols);
}

MatrixView<double> first_rows(Matrix<double>& x, std::size_t n, std::size_t cols) {
  return x.view().row_block(0, n).columns(0, cols);
}

/// Bytes of a site's weights in one layer, as the pass keeps them.
double weight_bytes(const ModelConfig& model, const SiteRow& row) {
  switch (row.operation) {
    case Operation::embed: {
      double bytes = 0.0;
      for (const TensorRow& tensor : tensors_of(row))
        bytes += rows(tensor.rows(model)) * rows(tensor.cols(model)) * sizeof(float);
      return bytes;
    }
    case Operation::linear:
    case Operation::logits:
      return packed_bytes(input_columns(model, row, 0, Head{}, 0).count, row.width(model));
    case Operation::layer_norm:  // too few to count
    case Operation::scores:
    case Operation::softmax:
    case Operation::values:
    case Operation::residual:
    case Operation::activation:
      return 0.0;
  }
  contract_violated("weight_bytes: a known operation");
}

}  // namespace

double macs_of(const ModelConfig& model, const SiteRow& row, std::size_t length) {
  const double in = rows(
      input_count(row.operation) == 0 ? 0 : input_columns(model, row, 0, Head{}, length).count);
  switch (row.operation) {
    case Operation::linear:
    case Operation::logits:
      return rows(length) * in * rows(row.width(model));
    case Operation::scores:
      return triangle(length) * in;
    case Operation::values:
      return triangle(length) * rows(row.width(model));
    case Operation::embed:
    case Operation::layer_norm:
    case Operation::softmax:
    case Operation::residual:
    case Operation::activation:
      return 0.0;
  }
  contract_violated("macs_of: a known operation");
}

double macs_of_pass(const ModelConfig& model, std::size_t length, const PrecisionPlan& plan) {
  double macs = 0.0;
  for (const SiteRow& row : model.network->sites) {
    const bool twice = row.f && plan.selection(row.site) != nullptr;  // recomputed as a whole
    macs += rows(layers_of(model, row.site) * heads_of(model, row.site)) * (twice ? 2.0 : 1.0) *
            macs_of(model, row, length);
  }
  return macs;
}

namespace {

/// Bytes of a site's values in one pass, for every site in the list.
double bytes_of_sites(const Experiment& experiment, const std::vector<Site>& list) {
  double bytes = 0.0;
  for (const Site site : list)
    bytes +=
        rows(elements_of(experiment.model.config, site, experiment.config.tokens.sequence_length) *
             sizeof(double));
  return bytes;
}

/// What a cell records of the quantities of a shard.
class RecordedBytes {
 public:
  explicit RecordedBytes(const Experiment& experiment) {
    const CellRecorder recorder(experiment.recording());
    quantities_ = recorder.quantities();
    with_errors_ = recorder.recorded(true), without_errors_ = recorder.recorded(false);
  }
  /// Whether the cell records quantity q.
  [[nodiscard]] bool has(const Cell& cell, std::size_t q) const {
    return (cell.records_errors ? with_errors_ : without_errors_)[q];
  }
  [[nodiscard]] double of(const Cell& cell) const {
    double bytes = 0.0;
    for (std::size_t q = 0; q < quantities_.size(); ++q)
      if (has(cell, q))
        bytes +=
            rows(record::elements(quantities_[q]) * record::element_size(quantities_[q].prototype));
    return bytes;
  }

 private:
  std::vector<record::Quantity> quantities_;
  std::vector<bool> with_errors_, without_errors_;
};

/// How many numbers a pass holds: those of Workspace, of EarlierRows and what gemm packs.
double workspace_numbers(const Experiment& experiment) {
  const ModelConfig& c = experiment.model.config;
  const Config& config = experiment.config;
  const std::size_t length = config.tokens.sequence_length;
  const double t = rows(length);
  double outputs = t * rows(c.n_embd);  // the stream
  for (const Buffers::Shape& shape : Buffers(c).shapes)
    outputs += t * (shape.square() ? t : rows(shape.cols));
  double widest = 0.0, recomputed = 0.0, operands = 0.0, keys = 0.0;
  for (const SiteRow& row : c.network->sites) {
    const double width = t * rows(width_of(c, row.site, length));
    if (row.operation != Operation::logits) widest = std::max(widest, width);
    if (row.f) recomputed = std::max(recomputed, width);
    if (row.operation == Operation::linear || row.operation == Operation::logits)
      operands = std::max(operands, rows(input_columns(c, row, 0, Head{}, length).count));
    if (row.operation == Operation::scores)  // queries, keys, and the values that follow
      keys = 3.0 * t * rows(input_columns(c, row, 1, Head{}, length).count);
  }
  const double logits = rows(std::min(logit_rows, length)) * rows(c.vocab_size);
  const double packing = keys + t * operands / 2.0;  // of operands, in gemm
  const double local = config.record_errors.empty() ? 0.0 : std::max(logits, widest);
  double earlier = 0.0;
  if (config.continuation)
    for (const KeptColumns& part : kept_columns(c))
      earlier += rows(layers_of(c, part.site)) * rows(part.columns.count) *
                 rows(config.continuation->prefix + config.continuation->tokens);
  return outputs + recomputed + logits + packing + local + earlier;
}

}  // namespace

MemoryCost memory_cost(const Experiment& experiment, const std::vector<Cell>& cells) {
  const ModelConfig& c = experiment.model.config;
  const Config& config = experiment.config;
  const std::size_t length = config.tokens.sequence_length;
  const double t = rows(length), vocab = rows(c.vocab_size);
  MemoryCost cost;
  for (const SiteRow& row : c.network->sites)
    cost.weights += rows(layers_of(c, row.site)) * weight_bytes(c, row);
  const CellRecorder recorder(experiment.recording());
  std::vector<Site> kept;  // of the reference
  for (const SiteRow& row : c.network->sites)
    if (recorder.needs_reference(row.site)) kept.push_back(row.site);
  cost.reference =
      t * vocab * sizeof(double) *
          (length * c.vocab_size <= ReferenceDistribution::stored_probabilities ? 2.0 : 1.0) +
      bytes_of_sites(experiment, kept);
  if (const Arithmetic& reference = experiment.grid.reference.at(c.network->sites.front().site);
      is_unlimited(reference))
    cost.reference += unlimited_bytes(reference, c, length);
  cost.workspace =
      sizeof(double) * workspace_numbers(experiment) +
      bytes_of_sites(experiment, config.record_activations) +
      (config.record_detail == Detail::full ? 2.0 * bytes_of_sites(experiment, config.record_errors)
                                            : 0.0);
  const std::vector<record::Quantity> quantities = empty_shard(experiment).quantities;
  const double held = rows(quantities.size()) * (sizeof(record::Values) + 16.0) +
                      sizeof(record::CellRecord) + 64.0;  // and the allocator's
  const RecordedBytes recorded(experiment);
  for (const Cell& cell : cells) cost.recorded += 2.0 * (recorded.of(cell) + held);
  cost.recorded += 2.0 * shard_cost(experiment, cells).bytes;
  return cost;
}

ShardCost shard_cost(const Experiment& experiment, const std::vector<Cell>& cells) {
  constexpr double sample_bytes = 1 << 20;
  record::Shard shard = empty_shard(experiment);
  std::mt19937_64 random(1);
  const std::size_t length = experiment.config.tokens.sequence_length;
  const auto value_of = [&](const record::Quantity& q, bool recorded) {
    record::Values values = record::zeros_like(q.prototype, recorded ? record::elements(q) : 0);
    const bool causal =
        q.shape.size() > 1 && q.shape.back() == length && q.shape[q.shape.size() - 2] == length;
    if (auto* numbers = std::get_if<std::vector<double>>(&values))
      for (std::size_t i = 0; i < numbers->size(); ++i)
        (*numbers)[i] = causal && i % length > i / length % length
                            ? std::numeric_limits<double>::quiet_NaN()
                            : static_cast<double>(random() >> 11) * 0x1p-53;
    return values;
  };
  const auto made = [&] {
    ShardCost cost;
    cost.seconds = seconds_of([&] {
      if (const Result<std::vector<std::byte>> bytes = record::shard_bytes(shard))
        cost.bytes = static_cast<double>(bytes->size());
    });
    return cost;
  };
  const std::vector<record::Quantity> reference = std::exchange(shard.reference_quantities, {});
  const double structure = made().bytes;  // this also warms up the library, which is slow at first
  shard.reference_quantities = reference;
  for (const record::Quantity& q : reference) shard.reference.push_back(value_of(q, true));
  const ShardCost empty = made();

  double all = 64.0, some = 0.0;  // bytes
  const RecordedBytes recorded(experiment);
  for (const Cell& cell : cells) all += recorded.of(cell) + 64.0;
  const std::size_t step = std::max<std::size_t>(1, static_cast<std::size_t>(all / sample_bytes));
  for (std::size_t i = step / 2 < cells.size() ? step / 2 : 0; i < cells.size(); i += step) {
    record::CellRecord record{.id = cells[i].id, .values = {}};
    for (std::size_t q = 0; q < shard.quantities.size(); ++q)
      record.values.push_back(value_of(shard.quantities[q], recorded.has(cells[i], q)));
    some += recorded.of(cells[i]) + 64.0;
    shard.cells.push_back(std::move(record));
  }
  const ShardCost sample = made();
  const double scale = all / some;
  return {.bytes = empty.bytes + (sample.bytes - empty.bytes) * scale,
          .structure = structure,
          .seconds = empty.seconds + std::max(0.0, sample.seconds - empty.seconds) * scale};
}

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
                            .row_length = causal ? length_ : entries};
      if (select_row(spec, targets::softmax, of, {.row = static_cast<std::uint32_t>(i)},
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

double TimeCost::continuation(const PrecisionPlan& plan) {
  const std::optional<ContinuationConfig>& asked = experiment_.config.continuation;
  if (!asked) return 0.0;
  return pass(plan) * rows(asked->prefix) / rows(length_) +
         rows(asked->tokens - 1) * pass(plan, Rows::one);
}

double TimeCost::cell(const Cell& cell) {
  double seconds = pass(cell.plan) + metrics_ + continuation(cell.plan);
  if (!cell.records_errors) return seconds;
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
