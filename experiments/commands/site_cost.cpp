#include "experiments/commands/site_cost.hpp"

#include <algorithm>

#include "core/base/marks.hpp"
#include "core/model/forward.hpp"
#include "core/model/ops/sites.hpp"
#include "core/selection/rules/given.hpp"
#include "core/selection/target.hpp"
#include "experiments/commands/timing.hpp"
#include "experiments/instruments/products.hpp"

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

/// Puts `high` in place of the chosen components.
void mix(std::span<const std::uint8_t> chosen, std::span<const double> high, std::span<double> y) {
  for_each_marked(chosen, [&](std::size_t j) { y[j] = high[j]; });
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

double SiteCost::selection(const SiteRow& row, const SelectionUse& use) {
  return remembered(selections_, std::pair{row.site, use}, [&] {
    return info(row.site).causal ? measure_causal_selection(row, use) : measure_selection(row, use);
  });
}

double SiteCost::measure_causal_selection(const SiteRow& row, const SelectionUse& use) {
  const bool narrow = contains(binary32, use.arithmetic.mac.format);
  const std::size_t width = input_columns(model_, row, 0, Head{}, lengths_.all).count;
  const MatrixView<const double> y = scores_.first(square_, square_, narrow),
                                 z = probabilities_.first(square_, square_, false),
                                 q = queries_.first(square_, width, narrow),
                                 k = keys_.first(square_, width, narrow);
  const Matrix<double> v(width, square_, 1.0);  // any values take the same time
  GivenPriorities priorities{1, square_, square_, std::vector<double>(square_ * square_)};
  RandomNumbers random(7);
  SelectionSpec with = use.spec;
  if (with.rule->traits.knows_pass) {
    for (double& value : priorities.values) value = random();
    with.priorities = &priorities;
  }
  SelectionScratch scratch;
  std::vector<std::uint8_t> marks(square_);
  std::vector<double> mixed(square_);
  const auto work = [&](std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t entries = i + 1;
      const std::span<const double> low = y.row(i).first(entries), p = z.row(i).first(entries);
      const SelectionRow of{.z = p,
                            .y = low,
                            .w = p,  // any w >= 0 takes the time of dot weights
                            .row_length = lengths_.all,
                            .q = q.row(i),
                            .k = k.row_block(0, entries),
                            .v = v.view().columns(0, entries)};
      const std::span<double> row_mixed = std::span(mixed).first(entries);
      std::copy(low.begin(), low.end(), row_mixed.begin());
      if (select_row(with, *use.target, of, {.row = static_cast<std::uint32_t>(i)},
                     std::span(marks).first(entries), scratch) == 0)
        continue;
      mix(std::span<const std::uint8_t>(marks).first(entries), p, row_mixed);
      softmax_of_row(use.arithmetic, row_mixed, row_mixed);
    }
  };
  const auto bounds = [&](std::size_t n) {
    score_bounds(q.row_block(0, n), k.row_block(0, n), output(n, n));
  };
  const std::size_t n = std::min(lengths_.all, square_);
  return (extrapolated(64, n, triangle, work) +
          (use.spec.weights == ErrorWeights::dot ? extrapolated(64, n, triangle, bounds) : 0.0)) *
         triangle(lengths_.all) / triangle(n);
}

double SiteCost::measure_selection(const SiteRow& row, const SelectionUse& use) {
  const bool narrow = contains(binary32, use.arithmetic.mac.format),
             is_softmax = row.f == Composition::softmax || row.f == Composition::final_softmax,
             is_across_heads = row.f == Composition::linear_map;
  const std::size_t together = row.operation == Operation::logits ? 4 : sample_rows;
  const std::size_t n_all = std::min(lengths_.all, together),
                    cols = row.width(model_) * (is_across_heads ? heads_of(model_, row.site) : 1),
                    terms = terms_of(model_, row, lengths_.all - 1);
  SampleMatrix low, stream;
  RandomNumbers random(9);
  for (SampleMatrix* matrix : {&low, &stream})
    matrix->fill(n_all, cols, [&](std::size_t) { return random(); });
  const MatrixView<const double> g = low.first(n_all, cols, narrow),
                                 x = stream.first(n_all, cols, narrow);
  Matrix<double> seen(n_all, cols), bounds(n_all, cols, 1.0);
  const std::vector<double> columns(cols, 1.0);  // of a linear map: any take the same time
  const bool is_mapped = use.spec.rule->traits.reads_values;  // by the map after an activation
  SelectionScratch scratch;
  std::vector<std::uint8_t> marks(cols);
  std::vector<double> mixed(cols);
  const auto work = [&](std::size_t n) {
    const MatrixView<double> y = seen.view().row_block(0, n);
    if (row.f == Composition::norm)
      residual(use.arithmetic, x.row_block(0, n), g.row_block(0, n), y);
    if (is_softmax) softmax(fused(binary64), g.row_block(0, n), y, Entries::all);
    for (std::size_t i = 0; i < n; ++i) {
      SelectionRow of{.y = g.row(i), .w = std::as_const(bounds).row(i), .row_length = cols};
      if (is_softmax) of.z = std::as_const(seen).row(i);
      if (row.f == Composition::norm)
        of.y = std::as_const(seen).row(i), of.g = g.row(i), of.eps = model_.layer_norm_epsilon;
      if (is_mapped) of.z = x.row(i), of.column_norms = columns, of.norm2 = 1.0;
      if (is_across_heads) of.columns = columns, of.norm1 = 1.0;
      std::copy(g.row(i).begin(), g.row(i).end(), mixed.begin());
      if (select_row(use.spec, *use.target, of, {.row = static_cast<std::uint32_t>(i)}, marks,
                     scratch) > 0)
        mix(marks, x.row(i), mixed);
    }
  };
  double seconds = extrapolated(4, n_all, rows, work) * rows(lengths_.all) / rows(n_all);
  const double product = rows(lengths_.all) * rows(cols) * seconds_of_exact_mac();
  if (is_across_heads || (is_mapped && use.spec.tau))
    seconds += product * rows(model_.n_embd);                                   // W y
  if (use.spec.weights == ErrorWeights::dot) seconds += product * rows(terms);  // the bounds
  return seconds;
}

double SiteCost::seconds_of_exact_mac() {
  if (exact_mac_) return *exact_mac_;
  const std::size_t n = std::min(lengths_.all, sample_rows), k = model_.n_embd, columns = 64;
  const Matrix<double> weight(k, columns, 1.0);
  const MatrixView<const double> in = x_.first(n, k, false);
  const double seconds =
      least_seconds([&] { gemm(fused(binary64), in, weight.view(), output(n, columns)); }, [] {});
  return *(exact_mac_ = seconds / (rows(n) * rows(k) * rows(columns)));
}

}  // namespace lamp::experiments
