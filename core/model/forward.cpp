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

    embed(plan_.at(Site::embed), model_.weights, tokens_, work_.x.view());
    tap(Site::embed, Layer{}, work_.x);
    for (std::size_t l = 0; l < config_.n_layer; ++l) block(Layer{l}, model_.weights.blocks[l]);
    layer_norm(plan_.at(Site::ln_f), model_.weights.ln_f, config_.layer_norm_epsilon, work_.x.view(), work_.normed.view());
    tap(Site::ln_f, Layer{}, work_.normed);
    for (std::size_t first = 0; first < length; first += logit_rows) logit_block(first, std::min(logit_rows, length - first));
  }

 private:
  void tap(Site site, Layer layer, const Matrix<double>& x) { sink_.values({.site = site, .layer = layer}, x.view()); }

  void block(Layer layer, const BlockWeights& w) {
    const double eps = config_.layer_norm_epsilon;
    layer_norm(plan_.at(Site::ln_1, layer), w.ln_1, eps, work_.x.view(), work_.normed.view());
    tap(Site::ln_1, layer, work_.normed);
    linear(plan_.at(Site::qkv, layer), w.qkv, work_.normed.view(), work_.qkv.view());
    tap(Site::qkv, layer, work_.qkv);
    for (std::size_t h = 0; h < config_.n_head; ++h) attention(layer, Head{h});
    linear(plan_.at(Site::attn_proj, layer), w.attn_proj, work_.attention.view(), work_.projected.view());
    tap(Site::attn_proj, layer, work_.projected);
    residual(plan_.at(Site::resid_1, layer), work_.x.view(), work_.projected.view(), work_.x.view());
    tap(Site::resid_1, layer, work_.x);

    layer_norm(plan_.at(Site::ln_2, layer), w.ln_2, eps, work_.x.view(), work_.normed.view());
    tap(Site::ln_2, layer, work_.normed);
    linear(plan_.at(Site::mlp_fc, layer), w.mlp_fc, work_.normed.view(), work_.hidden.view());
    tap(Site::mlp_fc, layer, work_.hidden);
    gelu(plan_.at(Site::gelu, layer), options_.activation, work_.hidden.view(), work_.hidden.view());
    tap(Site::gelu, layer, work_.hidden);
    linear(plan_.at(Site::mlp_proj, layer), w.mlp_proj, work_.hidden.view(), work_.projected.view());
    tap(Site::mlp_proj, layer, work_.projected);
    residual(plan_.at(Site::resid_2, layer), work_.x.view(), work_.projected.view(), work_.x.view());
    tap(Site::resid_2, layer, work_.x);
  }

  void attention(Layer layer, Head head) {
    const std::size_t width = config_.n_embd, d = config_.d_head(), offset = head.value * d;
    const MatrixView<const double> qkv = std::as_const(work_.qkv).view();
    const MatrixView<const double> q = qkv.columns(offset, d), k = qkv.columns(width + offset, d), v = qkv.columns(2 * width + offset, d);

    lamp::scores(plan_.at(Site::scores, layer, head), q, k, work_.scores.view());
    softmax(plan_.at(Site::softmax, layer, head), work_.scores.view(), work_.probabilities.view());
    if (const SelectionPlan* selection = plan_.selection(Site::scores)) recompute_scores(*selection, layer, head, q, k);
    sink_.values({.site = Site::scores, .layer = layer, .head = head}, std::as_const(work_.scores).view());
    sink_.values({.site = Site::softmax, .layer = layer, .head = head}, std::as_const(work_.probabilities).view());

    const MatrixView<double> out = work_.attention.view().columns(offset, d);
    lamp::values(plan_.at(Site::values, layer, head), std::as_const(work_.probabilities).view(), v, out);
    sink_.values({.site = Site::values, .layer = layer, .head = head}, out);
  }

  /// Chooses S in every row of the low scores, replaces the chosen ones by those of `recompute` and applies softmax to the mixed
  /// rows. The recomputed scores are evaluated all at once, which costs less than picking them and gives the same bits.
  void recompute_scores(const SelectionPlan& selection, Layer layer, Head head, MatrixView<const double> q, MatrixView<const double> k) {
    const std::size_t length = tokens_.size();
    const Arithmetic& softmax_arithmetic = plan_.at(Site::softmax, layer, head);
    lamp::scores(selection.recompute, q, k, work_.recomputed.view());
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
      const SoftmaxRow row{.z = z, .y = y, .w = {}, .row_length = length};
      const std::size_t count = select_row(selection.spec, row, where, marks, work_.selection);
      sink_.selected({.site = Site::scores, .layer = layer, .head = head, .first_row = i}, marks);
      if (count == 0) continue;
      const std::span<const double> high = work_.recomputed.row(i);
      for (std::size_t j = 0; j <= i; ++j)
        if (marks[j] != 0) y[j] = high[j];
      softmax_of_row(softmax_arithmetic, y, z);
    }
  }

  void logit_block(std::size_t first, std::size_t rows) {
    work_.logits.reshape(rows, config_.vocab_size);
    lamp::logits(plan_.at(Site::logits), model_.weights, std::as_const(work_.normed).view().row_block(first, rows), work_.logits.view());
    sink_.values({.site = Site::logits, .first_row = first}, std::as_const(work_.logits).view());
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

void forward(const Model& model, std::span<const TokenId> tokens, const PrecisionPlan& plan, const PassOptions& options, TapSink& sink,
             Workspace& workspace) {
  Pass(model, tokens, plan, options, sink, workspace).run();
}

}  // namespace lamp
