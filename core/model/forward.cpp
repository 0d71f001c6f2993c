#include "core/model/forward.hpp"

#include <algorithm>
#include <utility>

#include "core/model/ops/sites.hpp"
#include "core/mpfr/forward.hpp"
#include "core/selection/target.hpp"

namespace lamp {
namespace {

constexpr std::size_t tapped_rows =
    8;  // of a block of logits: they stay in the cache while everybody looks at them

/// One forward pass, over the rows first_ .. first_ + tokens - 1 of a sequence: what its steps
/// share.
class Pass {
 public:
  /// earlier: the rows before; null where there are none and none of these will be asked for.
  Pass(const Model& model, EarlierRows* earlier, std::span<const TokenId> tokens,
       const PrecisionPlan& plan, const PassOptions& options, TapSink& sink, Workspace& work)
      : model_(model),
        config_(model.config),
        earlier_(earlier),
        first_(earlier == nullptr ? 0 : earlier->rows),
        tokens_(tokens),
        length_(earlier == nullptr ? tokens.size() : earlier->length),
        plan_(plan),
        options_(options),
        sink_(sink),
        work_(work) {}

  void run() {
    const std::size_t rows = tokens_.size(), width = config_.n_embd;
    expects(rows >= 1 && first_ + rows <= length_ && length_ <= config_.n_positions,
            "forward: 1 <= tokens <= n_positions");
    work_.x.reshape(rows, width);
    work_.normed.reshape(rows, width);
    work_.attention.reshape(rows, width);
    work_.projected.reshape(rows, width);
    work_.qkv.reshape(rows, 3 * width);
    work_.hidden.reshape(rows, config_.n_inner);
    for (Matrix<double>* causal : {&work_.scores, &work_.recomputed, &work_.probabilities})
      causal->reshape(rows, first_ + rows);

    site(at(Site::embed), work_.x.view(), [&](const Arithmetic& a, MatrixView<double> out) {
      embed(a, model_.weights, tokens_, out, first_);
    });
    for (std::size_t l = 0; l < config_.n_layer; ++l) block(Layer{l}, model_.weights.blocks[l]);
    normalise(at(Site::ln_f), model_.weights.ln_f);
    const std::size_t skipped = std::min(rows, std::max(options_.first_logits, first_) - first_);
    for (std::size_t i = skipped; i < rows; i += logit_rows)
      logit_block(i, std::min(logit_rows, rows - i));
    if (earlier_ != nullptr) earlier_->rows += rows;
  }

 private:
  [[nodiscard]] TapPoint at(Site site, Layer layer = Layer{}, Head head = Head{}) const {
    return {.site = site, .layer = layer, .head = head, .first_row = first_};
  }

  /// One site: evaluates `operation(arithmetic, out)` in the plan's arithmetic, taps it, and where
  /// the sink wants the local error evaluates it in the reference arithmetic too: first, because
  /// `out` may be an input.
  template <class Operation>
  void site(const TapPoint& point, MatrixView<double> out, const Operation& operation) {
    const bool local = evaluate_local(point, out, operation);
    operation(arithmetic_at(point), out);
    tap(point, out, local);
  }

  /// The plan's arithmetic at a point, drawing from the point's own stream.
  [[nodiscard]] Arithmetic arithmetic_at(const TapPoint& point) const {
    return drawing(plan_.at(point.site, point.layer, point.head), point);
  }

  [[nodiscard]] Arithmetic drawing(Arithmetic arithmetic, const TapPoint& point) const {
    arithmetic.draws = {.seed = options_.seed,
                        .sequence = options_.sequence,
                        .layer = static_cast<std::uint32_t>(point.layer.value),
                        .head = static_cast<std::uint32_t>(point.head.value),
                        .site = info(point.site).draw,
                        .first_row = static_cast<std::uint32_t>(point.first_row)};
    return arithmetic;
  }

  template <class Operation>
  bool evaluate_local(const TapPoint& point, MatrixView<double> out, const Operation& operation) {
    if (!sink_.wants_local(point.site)) return false;
    expects(options_.local_reference != nullptr,
            "forward: a local reference for a sink that wants it");
    work_.local.reshape(out.rows, out.cols);
    operation(drawing(options_.local_reference->at(point.site, point.layer, point.head), point),
              work_.local.view());
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

  void transform(const TapPoint& point, const Linear& weights, const Matrix<double>& in,
                 Matrix<double>& out) {
    site(point, out.view(),
         [&](const Arithmetic& a, MatrixView<double> y) { linear(a, weights, in.view(), y); });
  }

  void add_residual(const TapPoint& point) {
    site(point, work_.x.view(), [&](const Arithmetic& a, MatrixView<double> out) {
      residual(a, std::as_const(work_.x).view(), std::as_const(work_.projected).view(), out);
    });
  }

  void block(Layer layer, const BlockWeights& w) {
    normalise(at(Site::ln_1, layer), w.ln_1);
    transform(at(Site::qkv, layer), w.qkv, work_.normed, work_.qkv);
    const MatrixView<const double> kv = keys_values(layer);
    for (std::size_t h = 0; h < config_.n_head; ++h) attention(layer, Head{h}, kv);
    transform(at(Site::attn_proj, layer), w.attn_proj, work_.attention, work_.projected);
    add_residual(at(Site::resid_1, layer));

    normalise(at(Site::ln_2, layer), w.ln_2);
    transform(at(Site::mlp_fc, layer), w.mlp_fc, work_.normed, work_.hidden);
    site(at(Site::gelu, layer), work_.hidden.view(),
         [&](const Arithmetic& a, MatrixView<double> out) {
           gelu(a, options_.activation, std::as_const(work_.hidden).view(), out);
         });
    transform(at(Site::mlp_proj, layer), w.mlp_proj, work_.hidden, work_.projected);
    add_residual(at(Site::resid_2, layer));
  }

  /// Keys and values of all rows so far, (first_ + rows, 2 n_embd); those of these rows join the
  /// earlier ones.
  MatrixView<const double> keys_values(Layer layer) {
    const std::size_t rows = tokens_.size(), width = config_.n_embd;
    const MatrixView<const double> here = std::as_const(work_.qkv).view().columns(width, 2 * width);
    if (earlier_ == nullptr) return here;
    Matrix<double>& all = earlier_->keys_values[layer.value];
    for (std::size_t i = 0; i < rows; ++i)
      std::copy(here.row(i).begin(), here.row(i).end(), all.row(first_ + i).begin());
    return std::as_const(all).view().row_block(0, first_ + rows);
  }

  void attention(Layer layer, Head head, MatrixView<const double> kv) {
    const std::size_t width = config_.n_embd, d = config_.d_head(), offset = head.value * d;
    const MatrixView<const double> q = std::as_const(work_.qkv).view().columns(offset, d);
    const MatrixView<const double> k = kv.columns(offset, d), v = kv.columns(width + offset, d);

    // Selection needs softmax of the low scores first; the tapped scores and probabilities are
    // those of the mixed rows.
    const TapPoint at_scores = at(Site::scores, layer, head),
                   at_softmax = at(Site::softmax, layer, head);
    work_.keys.assign(k.transposed());
    const auto score = [&](const Arithmetic& a, MatrixView<double> out) {
      lamp::scores(a, q, work_.keys, out);
    };
    const auto normalise_scores = [&](const Arithmetic& a, MatrixView<double> out) {
      softmax(a, std::as_const(work_.scores).view(), out);
    };
    score(arithmetic_at(at_scores), work_.scores.view());
    normalise_scores(arithmetic_at(at_softmax), work_.probabilities.view());
    if (const SelectionPlan* selection = plan_.selection(Site::scores))
      recompute_scores(*selection, layer, head, q, k);
    tap(at_scores, work_.scores.view(), evaluate_local(at_scores, work_.scores.view(), score));
    tap(at_softmax, work_.probabilities.view(),
        evaluate_local(at_softmax, work_.probabilities.view(), normalise_scores));

    site(at(Site::values, layer, head), work_.attention.view().columns(offset, d),
         [&](const Arithmetic& a, MatrixView<double> out) {
           lamp::values(a, std::as_const(work_.probabilities).view(), v, out);
         });
  }

  /// Chooses S in every row of the low scores, replaces the chosen ones by those of `recompute` and
  /// applies softmax to the mixed rows. The recomputed scores are evaluated all at once, which
  /// costs less than picking them and gives the same bits.
  void recompute_scores(const SelectionPlan& selection, Layer layer, Head head,
                        MatrixView<const double> q, MatrixView<const double> k) {
    const std::size_t rows = tokens_.size();
    const TapPoint at_scores = at(Site::scores, layer, head);
    const Arithmetic softmax_arithmetic = arithmetic_at(at(Site::softmax, layer, head));
    lamp::scores(drawing(selection.recompute, at_scores), q, work_.keys, work_.recomputed.view());
    const bool dot_weights = selection.spec.weights == ErrorWeights::dot;
    if (dot_weights) {
      work_.bounds.reshape(rows, first_ + rows);
      score_bounds(q, k, work_.bounds.view());
    }
    work_.marks.resize(first_ + rows);
    for (std::size_t i = 0; i < rows; ++i) {
      const std::size_t n = first_ + i + 1;  // causal entries
      const std::span<double> y = work_.scores.row(i).first(n),
                              z = work_.probabilities.row(i).first(n);
      const std::span<std::uint8_t> marks = std::span(work_.marks).first(n);
      const DrawCoordinates where{.seed = options_.seed,
                                  .sequence = options_.sequence,
                                  .layer = static_cast<std::uint32_t>(layer.value),
                                  .head = static_cast<std::uint32_t>(head.value),
                                  .row = static_cast<std::uint32_t>(first_ + i),
                                  .site = info(Site::scores).draw};
      const std::span<const double> w =
          dot_weights ? std::as_const(work_.bounds).row(i).first(n) : std::span<const double>{};
      const SelectionRow row{.z = z, .y = y, .w = w, .row_length = length_};
      const std::size_t count =
          select_row(selection.spec, targets::softmax, row, where, marks, work_.selection);
      sink_.selected({.site = Site::scores, .layer = layer, .head = head, .first_row = first_ + i},
                     marks);
      if (count == 0) continue;
      const std::span<const double> high = work_.recomputed.row(i);
      for (std::size_t j = 0; j < n; ++j)
        if (marks[j] != 0) y[j] = high[j];
      softmax_of_row(softmax_arithmetic, y, z, i);
    }
  }

  void logit_block(std::size_t first, std::size_t rows) {
    work_.logits.reshape(rows, config_.vocab_size);
    const MatrixView<const double> x = std::as_const(work_.normed).view().row_block(first, rows);
    const TapPoint block{.site = Site::logits, .first_row = first_ + first};
    const auto logits = [&](const Arithmetic& a, MatrixView<double> out) {
      lamp::logits(a, model_.weights, x, out);
    };
    const bool local = evaluate_local(block, work_.logits.view(), logits);
    logits(arithmetic_at(block), work_.logits.view());
    for (std::size_t row = 0; row < rows; row += tapped_rows) {
      const std::size_t count = std::min(tapped_rows, rows - row);
      const TapPoint point{.site = Site::logits, .first_row = first_ + first + row};
      sink_.values(point, std::as_const(work_.logits).view().row_block(row, count));
      if (local)
        sink_.local(point, std::as_const(work_.logits).view().row_block(row, count),
                    std::as_const(work_.local).view().row_block(row, count));
    }
  }

  const Model& model_;
  const ModelConfig& config_;
  EarlierRows* earlier_;
  std::size_t first_;
  std::span<const TokenId> tokens_;
  std::size_t length_;  // of the whole sequence
  const PrecisionPlan& plan_;
  const PassOptions& options_;
  TapSink& sink_;
  Workspace& work_;
};

}  // namespace

void TapSink::local(const TapPoint&, MatrixView<const double>, MatrixView<const double>) {
  contract_violated("TapSink: a sink that wants local() takes it");
}

void forward(const Model& model, std::span<const TokenId> tokens, const PrecisionPlan& plan,
             const PassOptions& options, TapSink& sink, Workspace& workspace) {
  if (is_unlimited(plan.at(Site::embed))) {
    EarlierRows none(model.config, tokens.size());
    return mpfr::forward_unlimited(model, none, tokens, plan, options, sink);
  }
  Pass(model, nullptr, tokens, plan, options, sink, workspace).run();
}

EarlierRows::EarlierRows(const ModelConfig& model, std::size_t length_)
    : length(length_), keys_values(model.n_layer, Matrix<double>(length_, 2 * model.n_embd)) {}

void forward_from(const Model& model, EarlierRows& earlier, std::span<const TokenId> tokens,
                  const PrecisionPlan& plan, const PassOptions& options, TapSink& sink,
                  Workspace& workspace) {
  if (is_unlimited(plan.at(Site::embed)))
    return mpfr::forward_unlimited(model, earlier, tokens, plan, options, sink);
  Pass(model, &earlier, tokens, plan, options, sink, workspace).run();
}

}  // namespace lamp
