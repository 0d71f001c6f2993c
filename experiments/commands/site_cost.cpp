#include "experiments/commands/site_cost.hpp"

#include <algorithm>

#include "core/model/forward.hpp"
#include "core/model/ops/sites.hpp"
#include "core/selection/rules/given.hpp"
#include "core/selection/target.hpp"
#include "experiments/commands/timing.hpp"

namespace lamp::experiments {
namespace {

constexpr std::size_t sample_rows = 128;      // that share the reading of weights
constexpr std::size_t longest_square = 1024;  // rows of a causal sample

/// The value of `list` at `key`, measured where it is not there.
template <class Key, class Measure>
double remembered(std::vector<std::pair<Key, double>>& list, const Key& key,
                  const Measure& measure) {
  for (std::size_t i = list.size(); i-- > 0;)  // what was asked for last is asked for again
    if (list[i].first == key) return list[i].second;
  const double seconds = measure();
  list.emplace_back(key, seconds);
  return seconds;
}

}  // namespace

bool reads_binary32(const ModelConfig& model, const SiteRow& row, const PrecisionPlan& plan,
                    Layer layer, Head head) {
  const auto narrow = [&](Site site) {
    return contains(binary32, plan.at(site, layer, head).mac.format);
  };
  for (const Input& input : inputs_of(row)) {
    if (input.site && !narrow(*input.site)) return false;
    if (input.site) continue;
    for (const SiteRow& stream : model.network->sites)
      if (makes_stream(stream.operation) && !narrow(stream.site)) return false;
  }
  return true;
}

SiteCost::SiteCost(const ModelConfig& model, Activation activation, Lengths lengths,
                   double weight_bytes)
    : model_(model),
      activation_(activation),
      lengths_(lengths),
      square_(std::min(std::max(lengths.all, lengths.middle), longest_square)),
      weights_(model),
      others_(weight_bytes) {
  std::size_t widest = model.n_embd, widest_head = 1;
  for (const SiteRow& row : model.network->sites) {
    if (row.width != nullptr && row.operation != Operation::logits)
      widest = std::max(widest, heads_of(model, row.site) * row.width(model));
    if (row.operation == Operation::scores || row.operation == Operation::values)
      widest_head = std::max(widest_head, input_columns(model, row, 1, Head{}, 1).count);
  }
  RandomNumbers random(2);
  const std::size_t n = std::min(lengths.all, sample_rows);
  const auto any = [&](std::size_t) { return random(); };
  for (SampleMatrix* matrix : {&x_, &y_}) matrix->fill(n, widest, any);
  Matrix<double> activated(n, widest);
  activate(fused(binary64), activation, x_.first(n, widest, false), activated.view());
  activated_.fill(n, widest, [&](std::size_t i) { return activated.flat()[i]; });
  for (SampleMatrix* matrix : {&queries_, &keys_}) matrix->fill(square_, widest_head, any);
  scores_.fill(square_, square_, any);
  Matrix<double> z(square_, square_);
  softmax(fused(binary64), scores_.first(square_, square_, false), z.view());
  probabilities_.fill(square_, square_, [&](std::size_t i) { return z.flat()[i]; });
}

MatrixView<const double> SiteCost::input(const SiteRow& row, std::size_t k, std::size_t rows,
                                         bool binary32) const {
  const Input& from = row.inputs[k];
  const bool activated =
      from.site && row_of(*model_.network, *from.site).operation == Operation::activation;
  return (activated ? activated_
          : k == 0  ? x_
                    : y_)
      .first(rows, input_columns(model_, row, k, Head{}, lengths_.all).count, binary32);
}

MatrixView<double> SiteCost::output(std::size_t rows, std::size_t columns) {
  output_.reshape(rows, columns);
  return output_.view();
}

template <class Work>
double SiteCost::by_rows(const SiteRow& row, Rows which, std::size_t columns,
                         const Work& work) const {
  const std::size_t together = row.operation == Operation::logits ? logit_rows : sample_rows;
  return extrapolated_product(which == Rows::one ? 1 : lengths_.all, together, columns, work,
                              [&] { others_.read(); });
}

template <class Work>
double SiteCost::by_entries(Rows which, const Work& work) const {
  if (which == Rows::all)
    return extrapolated(64, std::min(lengths_.all, square_), triangle,
                        [&](std::size_t n) { work(n, n); }) *
           triangle(lengths_.all) / triangle(std::min(lengths_.all, square_));
  const std::size_t n = std::min(lengths_.middle, square_);
  return least_seconds([&] { work(1, n); }, [] {}) * rows(lengths_.middle) / rows(n);
}

double SiteCost::measure(const SiteRow& row, const SiteUse& use) {
  const Arithmetic& a = use.arithmetic;
  const bool narrow = use.binary32_operands;
  const std::size_t width = width_of(model_, row.site, lengths_.all);
  const auto elementwise = [&](const auto& work) {
    return by_rows(row, use.rows, 1, [&](std::size_t n, std::size_t) { work(n); });
  };
  const auto in = [&](std::size_t k, std::size_t n) { return input(row, k, n, narrow); };
  const auto head = [&](const SampleMatrix& x, std::size_t k, std::size_t n) {
    return x.first(n, input_columns(model_, row, k, Head{}, n).count, narrow);
  };
  const auto last_rows = [&](const SampleMatrix& x, std::size_t n, std::size_t keys) {
    return x.first(keys, keys, narrow).row_block(keys - n, n);
  };
  switch (row.operation) {
    case Operation::embed:
    case Operation::embed_tokens:
      return elementwise([&](std::size_t n) {
        embed(a, weights_.embedding(row, n), std::vector<TokenId>(n, 0), output(n, width));
      });
    case Operation::layer_norm:
      return elementwise([&](std::size_t n) {
        layer_norm(a, weights_.layer_norm(), model_.layer_norm_epsilon, in(0, n), output(n, width));
      });
    case Operation::rms_norm:
      return elementwise([&](std::size_t n) {
        rms_norm(a, weights_.rms_norm(), model_.layer_norm_epsilon, in(0, n), output(n, width));
      });
    case Operation::rope:
      return elementwise([&](std::size_t n) {
        rope(a, model_.llama->rope, model_.d_head(), 0, in(0, n), output(n, width));
      });
    case Operation::product:
      return elementwise([&](std::size_t n) { product(a, in(0, n), in(1, n), output(n, width)); });
    case Operation::linear:
    case Operation::logits:
      return by_rows(row, use.rows, width, [&](std::size_t n, std::size_t columns) {
        linear(a, weights_.linear(row, columns), in(0, n), output(n, columns));
      });
    case Operation::scores: {
      PackedMatrix keys;
      return by_entries(use.rows, [&](std::size_t n, std::size_t all) {
        if (keys.cols() != all) keys.assign(head(keys_, 1, all).transposed());
        scores(a, head(queries_, 0, n), keys, output(n, all));
      });
    }
    case Operation::softmax:
      if (!info(row.site).causal)
        return elementwise(
            [&](std::size_t n) { softmax(a, in(0, n), output(n, width), Entries::all); });
      return by_entries(use.rows, [&](std::size_t n, std::size_t keys) {
        softmax(a, last_rows(scores_, n, keys), output(n, keys));
      });
    case Operation::values:
      return by_entries(use.rows, [&](std::size_t n, std::size_t keys) {
        values(a, last_rows(probabilities_, n, keys), head(keys_, 1, keys), output(n, width));
      });
    case Operation::residual:
      return elementwise([&](std::size_t n) { residual(a, in(0, n), in(1, n), output(n, width)); });
    case Operation::activation:
      return elementwise(
          [&](std::size_t n) { activate(a, activation_, in(0, n), output(n, width)); });
  }
  contract_violated("SiteCost: a known operation");
}

double SiteCost::seconds(const SiteUse& use) {
  return remembered(uses_, use, [&] { return measure(row_of(*model_.network, use.site), use); });
}

double SiteCost::packing(const SiteRow& scores, bool binary32, Rows which) {
  return remembered(packings_, std::tuple{scores.site, binary32, which},
                    [&] { return measure_packing(scores, binary32, which); });
}

double SiteCost::measure_packing(const SiteRow& scores, bool binary32, Rows which) const {
  const std::size_t keys = which == Rows::all ? lengths_.all : lengths_.middle,
                    n = std::min(keys, square_);
  const MatrixView<const double> from =
      keys_.first(n, input_columns(model_, scores, 1, Head{}, n).count, binary32);
  PackedMatrix packed(from.transposed());
  return least_seconds([&] { packed.assign(from.transposed()); }, [] {}) * rows(keys) / rows(n);
}

double SiteCost::selection(const SiteRow& row, const SelectionSpec& spec, const Arithmetic& f) {
  const bool causal = info(row.site).causal;
  return remembered(selections_,
                    std::tuple{causal ? 0 : width_of(model_, row.site, lengths_.all), spec, f},
                    [&] { return measure_selection(row, spec, f); });
}

double SiteCost::measure_selection(const SiteRow& row, const SelectionSpec& spec,
                                   const Arithmetic& f) {
  const bool causal = info(row.site).causal, narrow = contains(binary32, f.mac.format);
  const std::size_t n_all = causal ? square_ : std::min(lengths_.all, sample_rows),
                    cols = causal ? square_ : row.width(model_),
                    width = input_columns(model_, row, 0, Head{}, lengths_.all).count;
  const MatrixView<const double> y = (causal ? scores_ : x_).first(n_all, cols, narrow),
                                 q = (causal ? queries_ : x_).first(n_all, width, narrow),
                                 k = (causal ? keys_ : y_).first(causal ? n_all : 0, width, narrow);
  const Matrix<double> v(width, causal ? cols : 0, 1.0);  // any values take the same time
  Matrix<double> z(n_all, cols);
  softmax(fused(binary64), y, z.view(), entries_of(row.site));
  GivenPriorities priorities{1, n_all, cols, std::vector<double>(n_all * cols)};
  RandomNumbers random(7);
  SelectionSpec with = spec;
  if (spec.rule->traits.knows_pass) {
    for (double& value : priorities.values) value = random();
    with.priorities = &priorities;
  }
  SelectionScratch scratch;
  std::vector<std::uint8_t> marks(cols);
  std::vector<double> mixed(cols);
  const auto work = [&](std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t entries = causal ? i + 1 : cols;
      const std::span<const double> low = y.row(i).first(entries),
                                    p = std::as_const(z).row(i).first(entries);
      const SelectionRow of{.z = p,
                            .y = low,
                            .w = p,  // any w >= 0 takes the time of dot weights
                            .row_length = causal ? lengths_.all : entries,
                            .q = q.row(i),
                            .k = k.row_block(0, causal ? entries : 0),
                            .v = v.view().columns(0, causal ? entries : 0)};
      const std::span<double> row_mixed = std::span(mixed).first(entries);
      std::copy(low.begin(), low.end(), row_mixed.begin());
      if (select_row(with, targets::softmax, of, {.row = static_cast<std::uint32_t>(i)},
                     std::span(marks).first(entries), scratch) == 0)
        continue;
      for (std::size_t j = 0; j < entries; ++j)
        if (marks[j] != 0) row_mixed[j] = p[j];
      softmax_of_row(f, row_mixed, row_mixed);
    }
  };
  if (!causal) return extrapolated(4, n_all, rows, work) * rows(lengths_.all) / rows(n_all);
  const auto bounds = [&](std::size_t n) {
    score_bounds(q.row_block(0, n), k.row_block(0, n), output(n, n));
  };
  const std::size_t n = std::min(lengths_.all, square_);
  return (extrapolated(64, n, triangle, work) +
          (spec.weights == ErrorWeights::dot ? extrapolated(64, n, triangle, bounds) : 0.0)) *
         triangle(lengths_.all) / triangle(n);
}

}  // namespace lamp::experiments
