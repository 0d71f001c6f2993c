#include "experiments/commands/plan_cost.hpp"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <limits>
#include <random>
#include <utility>

#include "analysis/metrics.hpp"
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

/// Seconds of work(full), from the least of `first`, 2 first, .. that takes long enough; amount(n)
/// is what time grows with.
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

}  // namespace

double macs_of_pass(const ModelConfig& c, std::size_t length, const PrecisionPlan& plan) {
  const double t = rows(length), d = rows(c.n_embd), inner = rows(c.n_inner);
  const double linears = t * d * (4.0 * d + 2.0 * inner);
  const double attention =
      triangle(length) * d * (plan.selection(Site::scores) == nullptr ? 2.0 : 3.0);
  return rows(c.n_layer) * (linears + attention) + t * d * rows(c.vocab_size);
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

/// Whether the cell records the quantity.
bool records(const Cell& cell, const record::Quantity& q) {
  return cell.records_errors || !q.path.starts_with("/errors/");
}

double bytes_of_cell(const Cell& cell, const std::vector<record::Quantity>& quantities) {
  double bytes = 0.0;
  for (const record::Quantity& q : quantities)
    if (records(cell, q)) bytes += rows(record::elements(q) * record::element_size(q.prototype));
  return bytes;
}

}  // namespace

MemoryCost memory_cost(const Experiment& experiment, const std::vector<Cell>& cells) {
  const ModelConfig& c = experiment.model.config;
  const Config& config = experiment.config;
  const std::size_t length = config.tokens.sequence_length;
  const double t = rows(length), d = rows(c.n_embd), vocab = rows(c.vocab_size);
  MemoryCost cost;
  cost.weights =
      rows(c.n_layer) * (packed_bytes(c.n_embd, 3 * c.n_embd) + packed_bytes(c.n_embd, c.n_embd) +
                         packed_bytes(c.n_embd, c.n_inner) + packed_bytes(c.n_inner, c.n_embd)) +
      packed_bytes(c.n_embd, c.vocab_size) + (vocab + rows(c.n_positions)) * d * sizeof(float);
  const CellRecorder recorder(experiment.recording());
  std::vector<Site> kept;  // of the reference
  for (const SiteInfo& s : sites)
    if (recorder.needs_reference(s.site)) kept.push_back(s.site);
  cost.reference =
      t * vocab * sizeof(double) *
          (length * c.vocab_size <= ReferenceDistribution::stored_probabilities ? 2.0 : 1.0) +
      bytes_of_sites(experiment, kept);
  if (const Arithmetic& reference = experiment.grid.reference.at(Site::embed);
      is_unlimited(reference))
    cost.reference += unlimited_bytes(reference, c, length);
  const double activations = t * (7.0 * d + rows(c.n_inner)), squares = 3.0 * t * t,
               logits = rows(std::min(logit_rows, length)) * vocab;
  const double packing =
      3.0 * t * rows(c.d_head()) + t * std::max(d, rows(c.n_inner)) / 2.0;  // of operands, in gemm
  const double local = config.record_errors.empty()
                           ? 0.0
                           : std::max(logits, t * std::max({3.0 * d, rows(c.n_inner), t}));
  const double earlier =
      config.continuation
          ? rows(c.n_layer * (config.continuation->prefix + config.continuation->tokens)) * 2.0 * d
          : 0.0;
  cost.workspace =
      sizeof(double) * (activations + squares + logits + packing + local + earlier) +
      bytes_of_sites(experiment, config.record_activations) +
      (config.record_detail == Detail::full ? 2.0 * bytes_of_sites(experiment, config.record_errors)
                                            : 0.0);
  const std::vector<record::Quantity> quantities = empty_shard(experiment).quantities;
  const double held = rows(quantities.size()) * (sizeof(record::Values) + 16.0) +
                      sizeof(record::CellRecord) + 64.0;  // and the allocator's
  for (const Cell& cell : cells) cost.recorded += 2.0 * (bytes_of_cell(cell, quantities) + held);
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
  const double structure = made().bytes;  // also, the library is slow when used for the first time
  shard.reference_quantities = reference;
  for (const record::Quantity& q : reference) shard.reference.push_back(value_of(q, true));
  const ShardCost empty = made();

  double all = 64.0, some = 0.0;  // bytes
  for (const Cell& cell : cells) all += bytes_of_cell(cell, shard.quantities) + 64.0;
  const std::size_t step = std::max<std::size_t>(1, static_cast<std::size_t>(all / sample_bytes));
  for (std::size_t i = step / 2 < cells.size() ? step / 2 : 0; i < cells.size(); i += step) {
    record::CellRecord record{.id = cells[i].id, .values = {}};
    for (const record::Quantity& q : shard.quantities)
      record.values.push_back(value_of(q, records(cells[i], q)));
    some += bytes_of_cell(cells[i], shard.quantities) + 64.0;
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
  const std::size_t widest = std::max(3 * config_.n_embd, config_.n_inner);
  for (auto [matrix, cols] :
       {std::pair{&x_, config_.n_embd}, std::pair{&wide_, widest}, std::pair{&out_, widest}}) {
    matrix->reshape(length_, cols);
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

double TimeCost::measure(Site at, const Arithmetic& a, Rows which) {
  const Weights& weights = experiment_.model.weights;
  const std::size_t d = config_.n_embd, head = config_.d_head();
  const bool one = which == Rows::one;
  const auto by_rows = [&](const auto& work) {
    return one ? extrapolated(1, 1, rows, work) : extrapolated(4, length_, rows, work);
  };
  const auto square = [&](const auto& work) {  // one row: its share of the entries
    return extrapolated(16, length_, triangle, work) * (one ? share_of_row() : 1.0);
  };
  const auto linear_of = [&](const Linear& layer, std::size_t in, std::size_t out) {
    return by_rows([&](std::size_t n) {
      linear(a, layer, first_rows(std::as_const(wide_), n, in), first_rows(out_, n, out));
    });
  };
  const auto corner = [](auto& x, std::size_t n) { return first_rows(x, n, n); };
  const BlockWeights& block = weights.blocks.front();
  switch (at) {
    case Site::embed:
      return by_rows([&](std::size_t n) {
        embed(a, weights, std::vector<TokenId>(n, 0), first_rows(out_, n, d));
      });
    case Site::ln_1:
    case Site::ln_2:
    case Site::ln_f:
      return by_rows([&](std::size_t n) {
        layer_norm(a, block.ln_1, config_.layer_norm_epsilon, first_rows(std::as_const(x_), n, d),
                   first_rows(out_, n, d));
      });
    case Site::qkv:
      return linear_of(block.qkv, d, 3 * d);
    case Site::attn_proj:
      return linear_of(block.attn_proj, d, d);
    case Site::mlp_fc:
      return linear_of(block.mlp_fc, d, config_.n_inner);
    case Site::mlp_proj:
      return linear_of(block.mlp_proj, config_.n_inner, d);
    case Site::scores: {
      Matrix<double> s(length_, length_);
      return square([&](std::size_t n) {
        scores(a, first_rows(std::as_const(x_), n, head), first_rows(std::as_const(wide_), n, head),
               corner(s, n));
      });
    }
    case Site::softmax: {
      Matrix<double> z(length_, length_);
      return square(
          [&](std::size_t n) { softmax(a, corner(std::as_const(scores_), n), corner(z, n)); });
    }
    case Site::values:
      return square([&](std::size_t n) {
        values(a, corner(std::as_const(probabilities_), n), first_rows(std::as_const(x_), n, head),
               first_rows(out_, n, head));
      });
    case Site::resid_1:
    case Site::resid_2:
      return by_rows([&](std::size_t n) {
        residual(a, first_rows(std::as_const(x_), n, d), first_rows(std::as_const(wide_), n, d),
                 first_rows(out_, n, d));
      });
    case Site::gelu:
      return by_rows([&](std::size_t n) {
        gelu(a, experiment_.activation, first_rows(std::as_const(wide_), n, config_.n_inner),
             first_rows(out_, n, config_.n_inner));
      });
    case Site::logits: {
      const std::size_t most = one ? 1 : std::min(length_, logit_rows);
      Matrix<double> y(most, config_.vocab_size);
      const double block_seconds = extrapolated(4, most, rows, [&](std::size_t n) {
        logits(a, weights, first_rows(std::as_const(x_), n, d),
               first_rows(y, n, config_.vocab_size));
      });
      return one ? block_seconds : block_seconds * rows(length_) / rows(most);
    }
  }
  contract_violated("TimeCost: a site of the table");
}

double TimeCost::site(Site at, const Arithmetic& arithmetic, Rows rows) {
  const std::tuple key{at, arithmetic, rows};
  if (is_unlimited(arithmetic)) {
    const auto middle =
        static_cast<std::size_t>(rows == Rows::one ? share_of_row() * triangle(length_) : 0.0);
    return unlimited(arithmetic).site(at, config_, middle, rows == Rows::one ? 1 : length_);
  }
  const auto known = [&](const auto& entry) { return entry.first == key; };
  if (const auto found = std::find_if(sites_.begin(), sites_.end(), known); found != sites_.end())
    return found->second;
  return sites_.emplace_back(key, measure(at, arithmetic, rows)).second;
}

const UnlimitedCost& TimeCost::unlimited(const Arithmetic& arithmetic) {
  if (!unlimited_) unlimited_.emplace(arithmetic, experiment_.activation);
  return *unlimited_;
}

double TimeCost::share_of_row() const {
  const ContinuationConfig& asked = *experiment_.config.continuation;
  return (rows(asked.prefix) + rows(asked.tokens) / 2.0) / triangle(length_);
}

double TimeCost::selection(const SelectionSpec& spec, const Arithmetic& softmax_arithmetic) {
  const auto known = [&](const auto& entry) {
    return entry.first.first == spec && entry.first.second == softmax_arithmetic;
  };
  if (const auto found = std::find_if(selections_.begin(), selections_.end(), known);
      found != selections_.end())
    return found->second;
  SelectionScratch scratch;
  std::vector<std::uint8_t> marks(length_);
  std::vector<double> z(length_);
  const auto work = [&](std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      const std::span<const double> y = std::as_const(scores_).row(i).first(i + 1),
                                    p = std::as_const(probabilities_).row(i).first(i + 1);
      const SelectionRow row{.z = p,
                             .y = y,
                             .w = p,
                             .row_length = length_};  // any w >= 0 takes the time of dot weights
      if (select_row(spec, targets::softmax, row, {.row = static_cast<std::uint32_t>(i)},
                     std::span(marks).first(i + 1), scratch) > 0)
        softmax_of_row(softmax_arithmetic, y, std::span(z).first(i + 1));
    }
  };
  return selections_
      .emplace_back(std::pair{spec, softmax_arithmetic}, extrapolated(32, length_, triangle, work))
      .second;
}

double TimeCost::pass(const PrecisionPlan& plan, Rows which) {
  double seconds = 0.0;
  for (const SiteInfo& s : sites)
    for (std::size_t l = 0; l < (s.per_layer ? config_.n_layer : 1); ++l)
      for (std::size_t h = 0; h < (s.per_head ? config_.n_head : 1); ++h)
        seconds += site(s.site, plan.at(s.site, Layer{l}, Head{h}), which);
  if (const SelectionPlan* selected = plan.selection(Site::scores))
    for (std::size_t l = 0; l < config_.n_layer; ++l)
      for (std::size_t h = 0; h < config_.n_head; ++h)
        seconds += site(Site::scores, selected->recompute, which) +
                   selection(selected->spec, plan.at(Site::softmax, Layer{l}, Head{h})) *
                       (which == Rows::one ? share_of_row() : 1.0);
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
    const SiteInfo& s = info(recorded);
    const double evaluations =
        rows((s.per_layer ? config_.n_layer : 1) * (s.per_head ? config_.n_head : 1));
    seconds += evaluations * site(recorded, experiment_.grid.reference.at(recorded));
  }
  return seconds;
}

double TimeCost::reference() {
  return pass(experiment_.grid.reference) + distribution_ +
         continuation(experiment_.grid.reference);
}

}  // namespace lamp::experiments
