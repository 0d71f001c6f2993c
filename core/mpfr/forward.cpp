#include "core/mpfr/forward.hpp"

#include <algorithm>
#include <type_traits>

#include "core/mpfr/outputs.hpp"
#include "core/mpfr/steps.hpp"

namespace lamp::mpfr {
namespace {

/// Rows first .. first + tokens - 1 of a sequence; keys_values has those of the rows before, and is
/// given these.
template <class Outputs>
class Pass {
 public:
  using Value = typename Outputs::Value;

  Pass(const Model& model, std::size_t first, std::vector<Matrix<Value>>& keys_values,
       std::span<const TokenId> tokens, const PrecisionPlan& plan, const PassOptions& options,
       TapSink& sink)
      : model_(model),
        first_(first),
        keys_values_(keys_values),
        tokens_(tokens),
        plan_(plan),
        options_(options),
        sink_(sink) {}

  void run() {
    const Weights& weights = model_.weights;
    x_ = site({.site = Site::embed}, tokens_.size(), model_.config.n_embd,
              [&](const Outputs& outputs, auto out) {
                steps::embed(outputs, options_.threads, weights, tokens_, first_, out);
              });
    for (std::size_t l = 0; l < model_.config.n_layer; ++l) layer(Layer{l}, weights.blocks[l]);
    const Matrix<Value> last = normalised({.site = Site::ln_f}, weights.ln_f);
    const std::size_t skipped = std::max(options_.first_logits, first_) - first_;
    for (std::size_t i = skipped; i < tokens_.size(); i += logit_rows)
      logits(last, i, std::min(logit_rows, tokens_.size() - i));
  }

 private:
  void layer(Layer l, const BlockWeights& w) {
    const Matrix<Value> qkv = transformed({.site = Site::qkv, .layer = l}, w.qkv,
                                          normalised({.site = Site::ln_1, .layer = l}, w.ln_1));
    const Matrix<Value> attended = attention(l, qkv);
    add_residual({.site = Site::resid_1, .layer = l},
                 transformed({.site = Site::attn_proj, .layer = l}, w.attn_proj, attended));
    const Matrix<Value> hidden = transformed({.site = Site::mlp_fc, .layer = l}, w.mlp_fc,
                                             normalised({.site = Site::ln_2, .layer = l}, w.ln_2));
    const Matrix<Value> activated =
        site({.site = Site::gelu, .layer = l}, hidden.rows(), hidden.cols(),
             [&](const Outputs& outputs, auto out) {
               steps::gelu(outputs, options_.threads, options_.activation, hidden.view(), out);
             });
    add_residual({.site = Site::resid_2, .layer = l},
                 transformed({.site = Site::mlp_proj, .layer = l}, w.mlp_proj, activated));
  }

  Matrix<Value> attention(Layer l, const Matrix<Value>& qkv) {
    const std::size_t rows = tokens_.size(), width = model_.config.n_embd,
                      d = model_.config.d_head();
    Matrix<Value>& kv = keys_values_[l.value];
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < 2 * width; ++j) kv(first_ + i, j) = copy_of(qkv(i, width + j));
    const MatrixView<const Value> known = std::as_const(kv).view().row_block(0, first_ + rows);
    Matrix<Value> attended;
    attended.reshape(rows, width);
    for (std::size_t h = 0; h < model_.config.n_head; ++h) {
      const MatrixView<const Value> q = qkv.view().columns(h * d, d), k = known.columns(h * d, d),
                                    v = known.columns(width + h * d, d);
      const Matrix<Value> y = site({.site = Site::scores, .layer = l, .head = Head{h}}, rows,
                                   first_ + rows, [&](const Outputs& outputs, auto out) {
                                     steps::scores(outputs, options_.threads, q, k, out);
                                   });
      const Matrix<Value> z = site({.site = Site::softmax, .layer = l, .head = Head{h}}, rows,
                                   first_ + rows, [&](const Outputs& outputs, auto out) {
                                     steps::softmax(outputs, options_.threads, y.view(), out);
                                   });
      Matrix<Value> o = site({.site = Site::values, .layer = l, .head = Head{h}}, rows, d,
                             [&](const Outputs& outputs, auto out) {
                               steps::values(outputs, options_.threads, z.view(), v, out);
                             });
      for (std::size_t i = 0; i < rows; ++i)
        std::move(o.row(i).begin(), o.row(i).end(),
                  attended.row(i).begin() + static_cast<std::ptrdiff_t>(h * d));
    }
    return attended;
  }

  /// One site: out = what compute(outputs, out) gives, shown to the sink in binary64.
  template <class Compute>
  Matrix<Value> site(TapPoint point, std::size_t rows, std::size_t cols, const Compute& compute,
                     std::size_t first_row = 0) {
    point.first_row = first_ + first_row;
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
    out.reshape(rows, cols);
    compute(Outputs{arithmetic}, out.view());
    Matrix<double> shown(rows, cols);
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < cols; ++j) shown(i, j) = to_binary64(out(i, j));
    sink_.values(point, std::as_const(shown).view());
    return out;
  }

  Matrix<Value> normalised(const TapPoint& point, const LayerNormWeights& w) {
    return site(point, x_.rows(), x_.cols(), [&](const Outputs& outputs, auto out) {
      steps::layer_norm(outputs, options_.threads, std::as_const(x_).view(), w.gamma, w.beta,
                        model_.config.layer_norm_epsilon, out);
    });
  }

  Matrix<Value> transformed(const TapPoint& point, const Linear& w, const Matrix<Value>& in) {
    return site(point, in.rows(), w.bias.size(), [&](const Outputs& outputs, auto out) {
      steps::linear(
          outputs, options_.threads, in.view(),
          [&](std::size_t k, std::size_t j) { return w.weight.at(k, j); }, w.bias, out);
    });
  }

  void add_residual(const TapPoint& point, const Matrix<Value>& y) {
    x_ = site(point, x_.rows(), x_.cols(), [&](const Outputs& outputs, auto out) {
      steps::residual(outputs, options_.threads, std::as_const(x_).view(), y.view(), out);
    });
  }

  void logits(const Matrix<Value>& last, std::size_t first, std::size_t rows) {
    const MatrixView<const Value> in = last.view().row_block(first, rows);
    const auto weight = [&](std::size_t k, std::size_t v) { return model_.weights.head.at(k, v); };
    site(
        {.site = Site::logits}, rows, model_.config.vocab_size,
        [&](const Outputs& outputs, auto out) {
          steps::linear(outputs, options_.threads, in, weight, {}, out);
        },
        first);
  }

  const Model& model_;
  std::size_t first_;
  std::vector<Matrix<Value>>& keys_values_;
  std::span<const TokenId> tokens_;
  const PrecisionPlan& plan_;
  const PassOptions& options_;
  TapSink& sink_;
  Matrix<Value> x_;
};

template <class Value>
std::vector<Matrix<Value>> empty_keys_values(const ModelConfig& config, std::size_t length) {
  std::vector<Matrix<Value>> layers(config.n_layer);
  for (Matrix<Value>& layer : layers) layer.reshape(length, 2 * config.n_embd);
  return layers;
}

void check(const Model& model, std::size_t first, std::span<const TokenId> tokens,
           std::size_t length, const PrecisionPlan& plan) {
  expects(!tokens.empty() && first + tokens.size() <= length && length <= model.config.n_positions,
          "mpfr::forward: 1 <= tokens <= n_positions");
  expects(plan.selection(Site::scores) == nullptr, "mpfr::forward: a plan without selection");
}

}  // namespace

void forward(const Model& model, std::span<const TokenId> tokens, const PrecisionPlan& plan,
             const PassOptions& options, TapSink& sink) {
  check(model, 0, tokens, tokens.size(), plan);
  const ExponentRange range = ExponentRange::widest_of_all();
  std::vector<Matrix<double>> keys_values = empty_keys_values<double>(model.config, tokens.size());
  Pass<RoundedOutputs>(model, 0, keys_values, tokens, plan, options, sink).run();
}

void forward_unlimited(const Model& model, EarlierRows& earlier, std::span<const TokenId> tokens,
                       const PrecisionPlan& plan, const PassOptions& options, TapSink& sink) {
  check(model, earlier.rows, tokens, earlier.length, plan);
  const ExponentRange range = ExponentRange::widest_of_all();
  if (!earlier.unlimited)
    earlier.unlimited = std::make_shared<KeysValues>(
        KeysValues{empty_keys_values<Number>(model.config, earlier.length)});
  Pass<UnlimitedOutputs>(model, earlier.rows, earlier.unlimited->layers, tokens, plan, options,
                         sink)
      .run();
  earlier.rows += tokens.size();
}

}  // namespace lamp::mpfr
