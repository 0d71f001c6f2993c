#include "core/mpfr/forward.hpp"

#include <algorithm>
#include <map>
#include <type_traits>
#include <utility>

#include "core/mpfr/outputs.hpp"
#include "core/mpfr/steps.hpp"
#include "core/mpfr/storage.hpp"

namespace lamp::mpfr {
namespace {

/// Rows first .. first + tokens - 1 of a sequence; `earlier` holds what they need of the rows
/// before, by layer and as in `kept`; theirs is added to it.
template <class Outputs>
class Pass {
 public:
  using Value = typename Outputs::Value;
  using Kept = std::vector<std::vector<Matrix<Value>>>;

  Pass(const Model& model, std::size_t first, const std::vector<KeptColumns>& kept, Kept& earlier,
       std::span<const TokenId> tokens, const PrecisionPlan& plan, const PassOptions& options,
       TapSink& sink)
      : model_(model),
        first_(first),
        kept_(kept),
        earlier_(earlier),
        tokens_(tokens),
        plan_(plan),
        options_(options),
        sink_(sink) {}

  /// Evaluates the sites. The values of each are kept until the last site that reads them is
  /// evaluated.
  void run() {
    const std::span<const SiteRow> rows = model_.config.network->sites;
    for (std::size_t first = 0, end = 0; first < rows.size(); first = end) {
      end = first + same_grain(rows.subspan(first), &SiteInfo::per_layer).size();
      for (std::size_t l = 0; l < layers_of(model_.config, rows[first].site); ++l)
        layer(rows.subspan(first, end - first), Layer{l});
    }
  }

 private:
  void layer(std::span<const SiteRow> rows, Layer l) {
    for (std::size_t at = 0; at < rows.size();) {
      const std::span<const SiteRow> part = same_grain(rows.subspan(at), &SiteInfo::per_head);
      for (std::size_t h = 0; h < heads_of(model_.config, part.front().site); ++h)
        for (const SiteRow& row : part) step(row, {.site = row.site, .layer = l, .head = Head{h}});
      at += part.size();
      std::erase_if(values_, [&](const auto& v) { return !reads(rows.subspan(at), v.first); });
    }
  }

  void step(const SiteRow& row, const TapPoint& point) {
    end_if_asked(options_.stop);
    if (row.operation == Operation::logits) return logits(row);
    const std::size_t rows = tokens_.size();
    Matrix<Value> out = site(row, point, rows);
    if (makes_stream(row.operation)) {
      stream_ = std::move(out);
      return;
    }
    keep(point, out);
    Matrix<Value>& known = values_[row.site];
    if (!info(row.site).per_head || info(row.site).causal) {
      known = std::move(out);
      return;
    }
    known.reshape(rows, model_.config.n_head * out.cols());  // the heads side by side
    for (std::size_t i = 0; i < rows; ++i)
      std::move(out.row(i).begin(), out.row(i).end(),
                known.row(i).begin() + static_cast<std::ptrdiff_t>(point.head.value * out.cols()));
  }

  /// Keeps what later rows need of these ones.
  void keep(const TapPoint& point, const Matrix<Value>& out) {
    for (std::size_t k = 0; k < kept_.size(); ++k) {
      if (kept_[k].site != point.site) continue;
      const Columns columns = kept_[k].columns;
      for (std::size_t i = 0; i < out.rows(); ++i)
        for (std::size_t j = 0; j < columns.count; ++j)
          earlier_[point.layer.value][k](first_ + i, j) = copy_of(out(i, columns.first + j));
      if constexpr (std::is_same_v<Value, double>)
        mpfr::store_cache(model_.config, plan_.storage(), point.site, columns.first,
                          earlier_[point.layer.value][k].view().row_block(first_, out.rows()));
    }
  }

  [[nodiscard]] MatrixView<const Value> input(const SiteRow& row, std::size_t k,
                                              const TapPoint& point) const {
    const Input& input = row.inputs[k];
    if (!input.site) return stream_.view();
    const std::size_t so_far = first_ + tokens_.size();
    const Columns columns = input_columns(model_.config, row, k, point.head, so_far);
    if (!input.earlier_rows)
      return values_.at(*input.site).view().columns(columns.first, columns.count);
    const auto at = std::find_if(kept_.begin(), kept_.end(),
                                 [&](const KeptColumns& c) { return c.site == *input.site; });
    return std::as_const(earlier_)[point.layer.value][static_cast<std::size_t>(at - kept_.begin())]
        .view()
        .row_block(0, so_far)
        .columns(columns.first - at->columns.first, columns.count);
  }

  /// Evaluates the rows of a site from point.first_row of the pass on, and shows them to the sink
  /// in binary64.
  Matrix<Value> site(const SiteRow& row, TapPoint point, std::size_t rows) {
    const std::size_t first_row = point.first_row;
    point.first_row += first_;
    Arithmetic arithmetic = plan_.at(point.site, point.layer, point.head);
    expects(is_unlimited(arithmetic) == std::is_same_v<Value, Number>,
            "mpfr::forward: unlimited everywhere or nowhere");
    arithmetic.draws = {.seed = options_.seed,
                        .sequence = options_.sequence,
                        .layer = static_cast<std::uint32_t>(point.layer.value),
                        .head = static_cast<std::uint32_t>(point.head.value),
                        .site = info(point.site).draw,
                        .first_row = static_cast<std::uint32_t>(point.first_row)};
    Matrix<Value> out;
    out.reshape(rows, width_of(model_.config, row.site, first_ + tokens_.size()));
    compute(row, point, Outputs{arithmetic}, out.view(), first_row);
    if constexpr (std::is_same_v<Value, double>)
      if (const NumberSystem* system = plan_.storage().at(point.site, point.layer))
        mpfr::store_rows(*system, out.view(), entries_of(point.site));
    Matrix<double> shown(rows, out.cols());
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < out.cols(); ++j) shown(i, j) = to_binary64(out(i, j));
    sink_.values(point, std::as_const(shown).view());
    return out;
  }

  void compute(const SiteRow& row, const TapPoint& point, const Outputs& outputs,
               MatrixView<Value> out, std::size_t first_row) {
    const Weights& weights = model_.weights;
    const std::size_t threads = options_.threads;
    const auto in = [&](std::size_t k) { return input(row, k, point); };
    switch (row.operation) {
      case Operation::embed:
      case Operation::embed_tokens:
        return steps::embed(outputs, threads, weights.at<EmbeddingWeights>(row.site), tokens_,
                            first_, out);
      case Operation::layer_norm: {
        const auto& w = weights.at<LayerNormWeights>(row.site, point.layer);
        return steps::layer_norm(outputs, threads, in(0), w.gamma, w.beta,
                                 model_.config.layer_norm_epsilon, out);
      }
      case Operation::rms_norm:
        return steps::rms_norm(outputs, threads, in(0),
                               weights.at<RmsNormWeights>(row.site, point.layer).gamma,
                               model_.config.layer_norm_epsilon, out);
      case Operation::rope:
        return steps::rope(outputs, threads, model_.config.llama->rope, model_.config.d_head(),
                           first_, in(0), out);
      case Operation::product:
        return steps::elementwise_product(outputs, threads, in(0), in(1), out);
      case Operation::linear:
      case Operation::logits: {
        const auto& w = weights.at<Linear>(row.site, point.layer);
        const auto weight = [&](std::size_t k, std::size_t j) { return w.weight.at(k, j); };
        return steps::linear(outputs, threads, in(0).row_block(first_row, out.rows), weight, w.bias,
                             out);
      }
      case Operation::scores:
        return steps::scores(outputs, threads, in(0), in(1),
                             model_.config.score_divisor(point.layer), out);
      case Operation::softmax:
        return steps::softmax(outputs, threads, in(0), out, entries_of(row.site));
      case Operation::values:
        return steps::values(outputs, threads, in(0), in(1), out);
      case Operation::residual:
        return steps::residual(outputs, threads, in(0), in(1), out);
      case Operation::activation:
        return steps::activate(outputs, threads, options_.activation, in(0), out);
    }
    contract_violated("mpfr::forward: a known operation");
  }

  void logits(const SiteRow& row) {
    const std::size_t skipped = std::max(options_.first_logits, first_) - first_;
    for (std::size_t i = skipped; i < tokens_.size(); i += logit_rows) {
      end_if_asked(options_.stop);
      site(row, {.site = row.site, .first_row = i}, std::min(logit_rows, tokens_.size() - i));
    }
  }

  const Model& model_;
  std::size_t first_;
  const std::vector<KeptColumns>& kept_;
  Kept& earlier_;
  std::span<const TokenId> tokens_;
  const PrecisionPlan& plan_;
  const PassOptions& options_;
  TapSink& sink_;
  Matrix<Value> stream_;
  std::map<Site, Matrix<Value>> values_;  // of this layer; per head: of the head, or of all
};

template <class Value>
std::vector<std::vector<Matrix<Value>>> nothing_kept(const ModelConfig& config,
                                                     const std::vector<KeptColumns>& kept,
                                                     std::size_t length) {
  std::vector<std::vector<Matrix<Value>>> layers(config.n_layer);
  for (std::vector<Matrix<Value>>& layer : layers)
    for (const KeptColumns& part : kept) layer.emplace_back().reshape(length, part.columns.count);
  return layers;
}

void check(const Model& model, std::size_t first, std::span<const TokenId> tokens,
           std::size_t length, const PrecisionPlan& plan) {
  expects(!tokens.empty() && first + tokens.size() <= length && length <= model.config.n_positions,
          "mpfr::forward: 1 <= tokens <= n_positions");
  expects(!plan.selects(), "mpfr::forward: a plan without selection");
}

}  // namespace

void forward(const Model& model, std::span<const TokenId> tokens, const PrecisionPlan& plan,
             const PassOptions& options, TapSink& sink) {
  check(model, 0, tokens, tokens.size(), plan);
  const ExponentRange range = ExponentRange::widest_of_all();
  const std::vector<KeptColumns> kept = kept_columns(model.config);
  std::vector<std::vector<Matrix<double>>> earlier =
      nothing_kept<double>(model.config, kept, tokens.size());
  Pass<RoundedOutputs>(model, 0, kept, earlier, tokens, plan, options, sink).run();
}

void forward_unlimited(const Model& model, EarlierRows& earlier, std::span<const TokenId> tokens,
                       const PrecisionPlan& plan, const PassOptions& options, TapSink& sink) {
  check(model, earlier.rows, tokens, earlier.length, plan);
  const ExponentRange range = ExponentRange::widest_of_all();
  if (!earlier.unlimited)
    earlier.unlimited = std::make_shared<KeysValues>(
        KeysValues{nothing_kept<Number>(model.config, earlier.kept, earlier.length)});
  Pass<UnlimitedOutputs>(model, earlier.rows, earlier.kept, earlier.unlimited->layers, tokens, plan,
                         options, sink)
      .run();
  earlier.rows += tokens.size();
}

}  // namespace lamp::mpfr
