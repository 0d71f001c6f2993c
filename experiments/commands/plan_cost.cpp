#include "experiments/commands/plan_cost.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <utility>

#include "core/model/buffers.hpp"
#include "core/model/forward.hpp"
#include "core/record/shard.hpp"
#include "experiments/commands/requests.hpp"
#include "experiments/commands/storage_cost.hpp"
#include "experiments/commands/timing.hpp"
#include "experiments/commands/unlimited_cost.hpp"
#include "experiments/run/cell_recorder.hpp"

namespace lamp::experiments {
namespace {

double packed_bytes(std::size_t rows, std::size_t cols) {
  const std::size_t panels = (cols + PackedMatrix::panel_cols - 1) / PackedMatrix::panel_cols;
  return static_cast<double>(panels * PackedMatrix::panel_cols * rows * sizeof(float) +
                             cols * sizeof(double));  // and the bias
}

/// Those of a site in one layer.
double weight_bytes(const ModelConfig& model, const SiteRow& row) {
  switch (row.operation) {
    case Operation::embed:
    case Operation::embed_tokens: {
      double bytes = 0.0;
      for (const TensorRow& tensor : tensors_of(row))
        bytes += rows(tensor.rows(model)) * rows(tensor.cols(model)) * sizeof(float);
      return bytes;
    }
    case Operation::linear:
    case Operation::logits:
      return packed_bytes(input_columns(model, row, 0, Head{}, 0).count, row.width(model));
    case Operation::layer_norm:  // too few to count
    case Operation::rms_norm:
    case Operation::rope:
    case Operation::product:
    case Operation::scores:
    case Operation::softmax:
    case Operation::values:
    case Operation::residual:
    case Operation::activation:
      return 0.0;
  }
  contract_violated("weight_bytes: a known operation");
}

/// Seconds of packing an element of a matrix or, as of tied logits, of its transpose; what is made
/// is in fresh memory, as in reading.
double seconds_of_packing(const ModelConfig& model, bool transposed) {
  const std::size_t k = model.n_embd, n = std::clamp<std::size_t>(
                                          transposed ? model.vocab_size : model.n_inner, 1, 4096);
  Matrix<float> weight(transposed ? n : k, transposed ? k : n, 1.0F);
  const MatrixView<const float> view = std::as_const(weight).view();
  const double seconds =
      seconds_of([&] { PackedMatrix packed(transposed ? view.transposed() : view); });
  return seconds / (rows(k) * rows(n));
}

/// Seconds of reading a byte and of hashing it.
double seconds_of_byte() {
  const std::vector<std::byte> from(std::size_t{1} << 22, std::byte{1});
  Sha256 hash;
  return seconds_of([&] {
           const std::vector<std::byte> read(from.begin(),
                                             from.end());  // by read() into fresh memory
           hash.update(std::span<const std::byte>(read));
           const std::vector<std::byte> again(read.begin(), read.end());
         }) /
         rows(from.size());
}

}  // namespace

double weight_bytes(const ModelConfig& model) {
  double bytes = 0.0;
  for (const SiteRow& row : model.network->sites)
    bytes += rows(layers_of(model, row.site)) * weight_bytes(model, row);
  return bytes;
}

ReadingCost reading_cost(const ModelConfig& model) {
  constexpr double largest_in_heap = 32.0 * 1024 * 1024 * 1.5;  // of what glibc maps by itself
  ReadingCost cost;
  double file = 0.0;                 // bytes; binary32, the largest dtype
  double largest = 0.0, last = 0.0;  // bytes beside a matrix of a layer; beside the logits'
  const double along = seconds_of_packing(model, false), across = seconds_of_packing(model, true);
  for (const SiteRow& row : model.network->sites) {
    double elements = 0.0;  // of the largest matrix
    if (row.operation == Operation::logits)
      elements = rows(model.n_embd) * rows(model.vocab_size);
    else
      for (const TensorRow& tensor : tensors_of(row)) {
        const double n =
            rows(tensor.rows(model)) * (tensor.cols == nullptr ? 1.0 : rows(tensor.cols(model)));
        file += n * rows(layers_of(model, row.site)) * sizeof(float);
        elements = std::max(elements, n);
      }
    if (row.operation != Operation::linear && row.operation != Operation::logits) continue;
    const bool transposed = row.operation == Operation::logits || row.output_first;
    cost.seconds += elements * rows(layers_of(model, row.site)) * (transposed ? across : along);
    // Besides a packed matrix its elements as they are widened, and as they were in the file,
    // unless these stay as token vectors.
    const bool stays = row.operation == Operation::logits && model.tied;
    const double beside = elements * (sizeof(double) + (stays ? 0.0 : sizeof(float)));
    if (row.operation == Operation::logits)
      last = beside;
    else
      largest = std::max(largest, beside);
  }
  // The holes that matrices of layers leave in the heap stay.
  cost.bytes = std::max(largest, last + (largest <= largest_in_heap ? largest : 0.0));
  cost.seconds += file * seconds_of_byte();
  return cost;
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
    for (const bool errors : {false, true})
      for (const bool activations : {false, true})
        for (const bool truth : {false, true})
          recorded_[errors][activations][truth] =
              recorder.recorded({.errors = errors, .activations = activations, .truth = truth});
  }
  /// Whether the cell records quantity q.
  [[nodiscard]] bool has(const Cell& cell, std::size_t q) const {
    const Records& records = cell.records;
    return recorded_[records.errors][records.activations][records.truth][q];
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
  /// [errors][activations][truth]
  std::array<std::array<std::array<std::vector<bool>, 2>, 2>, 2> recorded_;
};

bool selects_at(const Experiment& experiment, const SiteRow& row) {
  const std::vector<SelectionConfig>& all = experiment.config.selections;
  return row.f && std::any_of(all.begin(), all.end(),
                              [&](const SelectionConfig& s) { return s.site == row.site; });
}

/// Of a site where LAMP selects: its high values, w_j, what f sees and makes of the low ones, marks
/// of a byte, and its inputs again. Logits come some rows at a time; where f reads the rows of all
/// heads, they are kept.
double selection_numbers(const ModelConfig& model, const SiteRow& row, std::size_t length) {
  const bool is_across_heads = row.f == Composition::linear_map;
  const double n = rows(row.operation == Operation::logits ? std::min(logit_rows, length) : length);
  const double width = rows(width_of(model, row.site, length)) *
                       (is_across_heads ? rows(heads_of(model, row.site)) : 1.0);
  const double in =
      is_across_heads ? 0.0 : rows(input_columns(model, row, 0, Head{}, length).count);
  return n * (3.0 * width + width / sizeof(double) + in);
}

/// How many numbers gemm packs of each thread of a pass: queries, keys, and the values that follow;
/// and of all its rows together: the inputs of the widest product.
struct PackedNumbers {
  double keys = 0.0, operands = 0.0;
};
PackedNumbers packed_numbers(const ModelConfig& c, std::size_t length) {
  PackedNumbers packed;
  for (const SiteRow& row : c.network->sites) {
    if (row.operation == Operation::linear || row.operation == Operation::logits)
      packed.operands =
          std::max(packed.operands,
                   rows(length) * rows(input_columns(c, row, 0, Head{}, length).count) / 2.0);
    if (row.operation == Operation::scores)
      packed.keys = 3.0 * rows(length) * rows(input_columns(c, row, 1, Head{}, length).count);
  }
  return packed;
}

/// What a run's passes hold besides: local values, rows of continuations, a stored cache.
double numbers_beside_pass(const Experiment& experiment) {
  const ModelConfig& c = experiment.model.config;
  const Config& config = experiment.config;
  const std::size_t length = config.tokens.sequence_length;
  const double t = rows(length);
  double widest = rows(std::min(logit_rows, length)) * rows(c.vocab_size);  // logits
  for (const SiteRow& row : c.network->sites)
    if (row.operation != Operation::logits)
      widest = std::max(widest, t * rows(width_of(c, row.site, length)));
  const double local = config.record_errors.empty() ? 0.0 : widest;
  double earlier = 0.0;
  if (config.continuation)
    for (const KeptColumns& part : kept_columns(c))
      earlier += rows(layers_of(c, part.site)) * rows(part.columns.count) *
                 rows(config.continuation->prefix + config.continuation->tokens);
  double cache = 0.0;  // of one layer
  const auto has_cache = [](const Cell& cell) { return cell.plan.storage().has_cache(); };
  if (std::any_of(experiment.grid.cells.begin(), experiment.grid.cells.end(), has_cache))
    for (const KeptColumns& part : kept_columns(c)) cache += t * rows(part.columns.count);
  return local + earlier + cache;
}

}  // namespace

double pass_bytes(const ModelConfig& c, std::size_t length,
                  const std::function<bool(const SiteRow&)>& selects) {
  const double t = rows(length);
  double outputs = t * rows(c.n_embd);  // the stream
  for (const Buffers::Shape& shape : Buffers(c).shapes)
    outputs += t * (shape.square() ? t : rows(shape.cols));
  double selecting = 0.0;
  for (const SiteRow& row : c.network->sites)
    if (selects(row)) selecting = std::max(selecting, selection_numbers(c, row, length));
  const double logits = rows(std::min(logit_rows, length)) * rows(c.vocab_size);
  const PackedNumbers packed = packed_numbers(c, length);
  return sizeof(double) * (outputs + selecting + logits + packed.keys + packed.operands);
}

std::size_t weights_of_run(const Experiment& experiment) {
  return 1 + experiment.other_models.size() + (experiment.reference_model ? 1 : 0) +
         stored_weights(experiment).size();
}

MemoryCost memory_cost(const Experiment& experiment, const std::vector<Cell>& cells) {
  const ModelConfig& c = experiment.model.config;
  const Config& config = experiment.config;
  const std::size_t length = config.tokens.sequence_length;
  const double t = rows(length), vocab = rows(c.vocab_size);
  MemoryCost cost;
  cost.weights = rows(weights_of_run(experiment)) * weight_bytes(c);  // of equal shapes
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
      pass_bytes(c, length, [&](const SiteRow& row) { return selects_at(experiment, row); }) +
      sizeof(double) * numbers_beside_pass(experiment) +
      bytes_of_sites(experiment, config.record_activations) +
      (config.record_detail == Detail::full ? 2.0 * bytes_of_sites(experiment, config.record_errors)
                                            : 0.0);
  const PackedNumbers packed = packed_numbers(c, length);  // of few threads a member has most rows
  cost.member = sizeof(double) * (packed.keys + packed.operands / 2.0);
  constexpr double of_dataset = 30.0 * 1024;  // HDF5's own, in shards and result; measured
  const std::vector<record::Quantity> quantities = empty_shard(experiment).quantities;
  const double held = rows(quantities.size()) * (sizeof(record::Values) + 16.0) +
                      sizeof(record::CellRecord) + 64.0;  // and the allocator's
  const RecordedBytes recorded(experiment);
  for (const Cell& cell : cells) cost.recorded += 2.0 * (recorded.of(cell) + held);
  cost.recorded += 2.0 * shard_cost(experiment, cells).bytes + rows(quantities.size()) * of_dataset;
  return cost;
}

double text_bytes(const Experiment& experiment, const std::vector<Cell>& cells) {
  const std::optional<ContinuationConfig>& asked = experiment.config.continuation;
  if (!asked) return 0.0;
  constexpr double of_token = 5.0, of_text = 40.0;  // English; HDF5's own
  const double generated = of_text + of_token * rows(asked->tokens),
               prompt = of_text + of_token * rows(asked->prefix);
  return rows(cells.size()) * generated +
         rows(experiment.grid.variants.size()) * (generated + prompt);
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
    if (auto* ids = std::get_if<std::vector<std::int64_t>>(&values))
      for (std::int64_t& id : *ids)
        id = static_cast<std::int64_t>(random() % experiment.model.config.vocab_size);
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
    record::CellRecord record{.id = sha256(std::to_string(i)), .values = {}};  // of any variant
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

}  // namespace lamp::experiments
