#include "core/model/forward.hpp"

#include <algorithm>
#include <utility>

#include "core/lamp/selection.hpp"
#include "core/model/sites.hpp"

namespace lamp {
namespace {

constexpr std::size_t logit_rows = 64;  // rows of logits computed and tapped at a time

/// One forward pass: what its steps share.
class Pass {
 public:
  Pass(const Model& model, std::span<const TokenId> tokens, const PrecisionPlan& plan, const PassOptions& options, TapSink& sink,
       Workspace& work)
      : model_(model), config_(model.config), tokens_(tokens), plan_(plan), options_(options), sink_(sink), work_(work) {}

  void run() {
    const std::size_t length = tokens_.size(), width = config_.n_embd;
    expects(length >= 1 && length <= config_.n_positions, "forward: 1 <= tokens <= n_positions");
    work_.x.reshape(length, width);
    work_.normed.reshape(length, width);
    work_.attention.reshape(length, width);
    work_.projected.reshape(length, width);
    work_.qkv.reshape(length, 3 * width);
    work_.hidden.reshape(length, config_.n_inner);
    for (Matrix<double>* square : {&work_.scores, &work_.recomputed, &work_.probabilities}) square->reshape(length, length);

    site({.site = Site::embed}, work_.x.view(),
         [&](const Arithmetic& a, MatrixView<double> out) { embed(a, model_.weights, tokens_, out); });
    for (std::size_t l = 0; l < config_.n_layer; ++l) block(Layer{l}, model_.weights.blocks[l]);
    normalise({.site = Site::ln_f}, model_.weights.ln_f);
    for (std::size_t first = 0; first < length; first += logit_rows) logit_block(first, std::min(logit_rows, length - first));
  }

 private:
  /// One site: evaluates `operation(arithmetic, out)` in the plan's arithmetic, taps it, and where the sink wants the local error
  /// evaluates it in the reference arithmetic too: first, because `out` may be an input.
  template <class Operation>
  void site(const TapPoint& point, MatrixView<double> out, const Operation& operation) {
    const bool local = evaluate_local(point, out, operation);
    operation(arithmetic_at(point), out);
    tap(point, out, local);
  }

  /// The plan's arithmetic at a point, drawing from the point's own stream.
  [[nodiscard]] Arithmetic arithmetic_at(const TapPoint& point) const { return drawing(plan_.at(point.site, point.layer, point.head), point); }

  [[nodiscard]] Arithmetic drawing(Arithmetic arithmetic, const TapPoint& point) const {
    arithmetic.draws = {.seed = options_.seed,
                        .sequence = options_.sequence,
                        .layer = static_cast<std::uint32_t>(point.layer.value),
                        .head = static_cast<std::uint32_t>(point.head.value),
                        .site = static_cast<std::uint32_t>(point.site),
                        .first_row = static_cast<std::uint32_t>(point.first_row)};
    return arithmetic;
  }

  template <class Operation>
  bool evaluate_local(const TapPoint& point, MatrixView<double> out, const Operation& operation) {
    if (!sink_.wants_local(point.site)) return false;
    expects(options_.local_reference != nullptr, "forward: a local reference for a sink that wants it");
    work_.local.reshape(out.rows, out.cols);
    operation(drawing(options_.local_reference->at(point.site, point.layer, point.head), point), work_.local.view());
    return true;
  }

  void tap(const TapPoint& point, MatrixView<const double> x, bool local) {
    sink_.values(point, x);
    if (local) sink_.local(point, x, std::as_const(work_.local).view());
  }

  void normalise(const TapPoint& point, const LayerNormWeights& weights) {
    site(point, work_.normed.view(), [&](const Arithmetic& a, MatrixView<double> out) {
      layer_norm(a, weights, config_.layer_norm_epsilon, std::as_const(work_.x).view(), out);
    });
  }

  void transform(const TapPoint& point, const Linear& weights, const Matrix<double>& in, Matrix<double>& out) {
    site(point, out.view(), [&](const Arithmetic& a, MatrixView<double> y) { linear(a, weights, in.view(), y); });
  }

  void add_residual(const TapPoint& point) {
    site(point, work_.x.view(), [&](const Arithmetic& a, MatrixView<double> out) {
      residual(a, std::as_const(work_.x).view(), std::as_const(work_.projected).view(), out);
    });
  }

  void block(Layer layer, const BlockWeights& w) {
    normalise({.site = Site::ln_1, .layer = layer}, w.ln_1);
    transform({.site = Site::qkv, .layer = layer}, w.qkv, work_.normed, work_.qkv);
    for (std::size_t h = 0; h < config_.n_head; ++h) attention(layer, Head{h});
    transform({.site = Site::attn_proj, .layer = layer}, w.attn_proj, work_.attention, work_.projected);
    add_residual({.site = Site::resid_1, .layer = layer});

    normalise({.site = Site::ln_2, .layer = layer}, w.ln_2);
    transform({.site = Site::mlp_fc, .layer = layer}, w.mlp_fc, work_.normed, work_.hidden);
    site({.site = Site::gelu, .layer = layer}, work_.hidden.view(), [&](const Arithmetic& a, MatrixView<double> out) {
      gelu(a, options_.activation, std::as_const(work_.hidden).view(), out);
    });
    transform({.site = Site::mlp_proj, .layer = layer}, w.mlp_proj, work_.hidden, work_.projected);
    add_residual({.site = Site::resid_2, .layer = layer});
  }

  void attention(Layer layer, Head head) {
    const std::size_t width = config_.n_embd, d = config_.d_head(), offset = head.value * d;
    const MatrixView<const double> qkv = std::as_const(work_.qkv).view();
    const MatrixView<const double> q = qkv.columns(offset, d), k = qkv.columns(width + offset, d), v = qkv.columns(2 * width + offset, d);

    // Selection needs softmax of the low scores first; the tapped scores and probabilities are those of the mixed rows.
    const TapPoint at_scores{.site = Site::scores, .layer = layer, .head = head};
    const TapPoint at_softmax{.site = Site::softmax, .layer = layer, .head = head};
    const auto score = [&](const Arithmetic& a, MatrixView<double> out) { lamp::scores(a, q, k, out); };
    const auto normalise_scores = [&](const Arithmetic& a, MatrixView<double> out) { softmax(a, std::as_const(work_.scores).view(), out); };
    score(arithmetic_at(at_scores), work_.scores.view());
    normalise_scores(arithmetic_at(at_softmax), work_.probabilities.view());
    if (const SelectionPlan* selection = plan_.selection(Site::scores)) recompute_scores(*selection, layer, head, q, k);
    tap(at_scores, work_.scores.view(), evaluate_local(at_scores, work_.scores.view(), score));
    tap(at_softmax, work_.probabilities.view(), evaluate_local(at_softmax, work_.probabilities.view(), normalise_scores));

    site({.site = Site::values, .layer = layer, .head = head}, work_.attention.view().columns(offset, d),
         [&](const Arithmetic& a, MatrixView<double> out) { lamp::values(a, std::as_const(work_.probabilities).view(), v, out); });
  }

  /// Chooses S in every row of the low scores, replaces the chosen ones by those of `recompute` and applies softmax to the mixed
  /// rows. The recomputed scores are evaluated all at once, which costs less than picking them and gives the same bits.
  void recompute_scores(const SelectionPlan& selection, Layer layer, Head head, MatrixView<const double> q, MatrixView<const double> k) {
    const std::size_t length = tokens_.size();
    const Arithmetic softmax_arithmetic = arithmetic_at({.site = Site::softmax, .layer = layer, .head = head});
    lamp::scores(drawing(selection.recompute, {.site = Site::scores, .layer = layer, .head = head}), q, k, work_.recomputed.view());
    const bool dot_weights = selection.spec.weights == ErrorWeights::dot;
    if (dot_weights) {
      work_.bounds.reshape(length, length);
      score_bounds(q, k, work_.bounds.view());
    }
    work_.marks.resize(length);
    for (std::size_t i = 0; i < length; ++i) {
      const std::span<double> y = work_.scores.row(i).first(i + 1), z = work_.probabilities.row(i).first(i + 1);
      const std::span<std::uint8_t> marks = std::span(work_.marks).first(i + 1);
      const DrawCoordinates where{.seed = options_.seed,
                                  .sequence = options_.sequence,
                                  .layer = static_cast<std::uint32_t>(layer.value),
                                  .head = static_cast<std::uint32_t>(head.value),
                                  .row = static_cast<std::uint32_t>(i),
                                  .site = static_cast<std::uint32_t>(Site::scores)};
      const std::span<const double> w = dot_weights ? std::as_const(work_.bounds).row(i).first(i + 1) : std::span<const double>{};
      const SoftmaxRow row{.z = z, .y = y, .w = w, .row_length = length};
      const std::size_t count = select_row(selection.spec, row, where, marks, work_.selection);
      sink_.selected({.site = Site::scores, .layer = layer, .head = head, .first_row = i}, marks);
      if (count == 0) continue;
      const std::span<const double> high = work_.recomputed.row(i);
      for (std::size_t j = 0; j <= i; ++j)
        if (marks[j] != 0) y[j] = high[j];
      softmax_of_row(softmax_arithmetic, y, z, i);
    }
  }

  void logit_block(std::size_t first, std::size_t rows) {
    work_.logits.reshape(rows, config_.vocab_size);
    const MatrixView<const double> x = std::as_const(work_.normed).view().row_block(first, rows);
    site({.site = Site::logits, .first_row = first}, work_.logits.view(),
         [&](const Arithmetic& a, MatrixView<double> out) { lamp::logits(a, model_.weights, x, out); });
  }

  const Model& model_;
  const ModelConfig& config_;
  std::span<const TokenId> tokens_;
  const PrecisionPlan& plan_;
  const PassOptions& options_;
  TapSink& sink_;
  Workspace& work_;
};

}  // namespace

void TapSink::local(const TapPoint&, MatrixView<const double>, MatrixView<const double>) {
  contract_violated("TapSink: a sink that wants local() takes it");
}

void forward(const Model& model, std::span<const TokenId> tokens, const PrecisionPlan& plan, const PassOptions& options, TapSink& sink,
             Workspace& workspace) {
  Pass(model, tokens, plan, options, sink, workspace).run();
}

}  // namespace lamp
