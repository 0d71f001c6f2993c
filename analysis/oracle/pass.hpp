// GPT-2's forward pass once more, short and plain: an oracle for tests of every site, and the
// ground that derivatives stand on. No line in common with core/model/ops or core/mpfr.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "analysis/oracle/operations.hpp"
#include "analysis/oracle/weights.hpp"

namespace lamp::oracle {

/// The values of a layer's sites, each (T, width of the site); scores and softmax by head, (T, T),
/// 0 above the diagonal.
template <class S>
struct LayerValues {
  Matrix<S> ln_1, qkv;
  std::vector<Matrix<S>> scores, softmax;
  Matrix<S> values, attn_proj, resid_1, ln_2, mlp_fc, gelu, mlp_proj, resid_2;
};

template <class S>
struct Pass {
  std::vector<TokenId> tokens;
  Matrix<S> embed;
  std::vector<LayerValues<S>> layers;
  Matrix<S> ln_f, logits;

  [[nodiscard]] Index positions() const { return static_cast<Index>(tokens.size()); }
  /// The residual stream that a layer reads.
  [[nodiscard]] const Matrix<S>& input(std::size_t layer) const {
    return layer == 0 ? embed : layers[layer - 1].resid_2;
  }
};

/// A score of a pass, key <= query.
struct Score {
  Layer layer{};
  Head head{};
  std::size_t query = 0, key = 0;
  friend bool operator==(const Score&, const Score&) = default;
};

/// What a change of a pass is shown, head by head, before softmax reads it: the scores y, whose
/// rows first_row .. T - 1 it may overwrite at keys 0 .. row, and the q and k they are made of, (T,
/// d_head).
template <class S>
struct HeadScores {
  Layer layer;
  Head head;
  Index first_row;
  View<S> q, k;
  Matrix<S>& y;
};

inline constexpr auto no_change = [](const auto&) {};

/// Evaluates rows first_row .. T - 1 of the layers from first_layer on, and of what follows; all
/// else of the pass is given. Row by row where rows differ in length, so that nothing of a later
/// position enters an earlier one, a NaN neither.
template <class S, class Change>
void evaluate(const Weights<Number<S>>& weights, Layer first_layer, Index first_row,
              const Change& change, Pass<S>& pass) {
  const Index count = pass.positions() - first_row, d = weights.d_head(), n = weights.width();
  const S root(std::sqrt(static_cast<double>(d)));  // RNE to binary64, by definition
  const auto normalised = [&](const Gain<Number<S>>& w, const Matrix<S>& x, Matrix<S>& out) {
    for (Index i = first_row; i < x.rows(); ++i) {
      const Row<S> u = normalise<S>(x.row(i), weights.eps).u;
      for (Index j = 0; j < n; ++j) out(i, j) = u(j) * S(w.gamma(j)) + S(w.beta(j));
    }
  };
  const auto affine = [&](const Affine<Number<S>>& w, const Matrix<S>& x, Matrix<S>& out) {
    out.bottomRows(count) = product<S>(x.bottomRows(count), w.weight);
    for (Index i = first_row; i < x.rows(); ++i)
      for (Index j = 0; j < out.cols(); ++j) out(i, j) += S(w.bias(j));
  };
  const auto add = [&](const Matrix<S>& x, const Matrix<S>& y, Matrix<S>& out) {
    for (Index i = first_row; i < x.rows(); ++i)
      for (Index j = 0; j < n; ++j) out(i, j) = x(i, j) + y(i, j);
  };

  for (std::size_t l = first_layer.value; l < weights.layers.size(); ++l) {
    const LayerWeights<Number<S>>& w = weights.layers[l];
    LayerValues<S>& v = pass.layers[l];
    const Matrix<S>& x = pass.input(l);
    normalised(w.ln_1, x, v.ln_1);
    affine(w.qkv, v.ln_1, v.qkv);
    for (std::size_t h = 0; h < weights.heads; ++h) {
      const Index at = static_cast<Index>(h) * d;
      const View<S> q = v.qkv.middleCols(at, d), k = v.qkv.middleCols(n + at, d),
                    values = v.qkv.middleCols(2 * n + at, d);
      Matrix<S>& y = v.scores[h];
      for (Index i = first_row; i < x.rows(); ++i)
        for (Index j = 0; j <= i; ++j) {
          S sum(0);
          for (Index c = 0; c < d; ++c) sum += q(i, c) * k(j, c);
          y(i, j) = sum / root / S(weights.divisors[l]);
        }
      change(HeadScores<S>{Layer{l}, Head{h}, first_row, q, k, y});
      for (Index i = first_row; i < x.rows(); ++i) {
        const Row<S> z = softmax<S>(y.row(i).head(i + 1));
        v.softmax[h].row(i).head(i + 1) = z;
        for (Index c = 0; c < d; ++c) {
          S sum(0);
          for (Index j = 0; j <= i; ++j) sum += z(j) * values(j, c);
          v.values(i, at + c) = sum;
        }
      }
    }
    affine(w.attn_proj, v.values, v.attn_proj);
    add(x, v.attn_proj, v.resid_1);
    normalised(w.ln_2, v.resid_1, v.ln_2);
    affine(w.mlp_fc, v.ln_2, v.mlp_fc);
    for (Index i = first_row; i < x.rows(); ++i)
      for (Index j = 0; j < v.gelu.cols(); ++j)
        v.gelu(i, j) = activate(weights.activation, v.mlp_fc(i, j));
    affine(w.mlp_proj, v.gelu, v.mlp_proj);
    add(v.resid_1, v.mlp_proj, v.resid_2);
  }
  normalised(weights.ln_f, pass.input(weights.layers.size()), pass.ln_f);
  pass.logits.bottomRows(count) = product<S>(pass.ln_f.bottomRows(count), weights.head);
}

/// tokens: T ids < vocab_size, 1 <= T <= n_positions. `change` is called with the HeadScores of
/// every head.
template <class S, class Change = decltype(no_change)>
Pass<S> forward(const Weights<Number<S>>& weights, std::span<const TokenId> tokens,
                const Change& change = no_change) {
  const Index T = static_cast<Index>(tokens.size()), n = weights.width();
  expects(T >= 1 && T <= weights.positions.rows(), "oracle::forward: 1 <= tokens <= n_positions");
  const auto zero = [&](Index cols) { return Matrix<S>(Matrix<S>::Constant(T, cols, S(0))); };
  Pass<S> pass{{tokens.begin(), tokens.end()}, zero(n), {}, zero(n), zero(weights.head.cols())};
  for (Index t = 0; t < T; ++t) {
    const Index token = static_cast<Index>(tokens[static_cast<std::size_t>(t)]);
    expects(token < weights.tokens.rows(), "oracle::forward: token < vocab_size");
    for (Index j = 0; j < n; ++j)
      pass.embed(t, j) = S(weights.tokens(token, j)) + S(weights.positions(t, j));
  }
  for (const LayerWeights<Number<S>>& w : weights.layers) {
    const std::vector<Matrix<S>> squares(weights.heads, zero(T));
    const Index inner = w.mlp_fc.weight.cols();
    pass.layers.push_back({zero(n), zero(3 * n), squares, squares, zero(n), zero(n), zero(n),
                           zero(n), zero(inner), zero(inner), zero(n), zero(n)});
  }
  evaluate(weights, Layer{}, 0, change, pass);
  return pass;
}

/// The pass that `change` makes of `base`, where it changes nothing above the layer of `first` nor
/// in rows before its query.
template <class S, class Change>
Pass<S> rerun(const Weights<Number<S>>& weights, Pass<S> base, const Score& first,
              const Change& change) {
  expects(first.layer.value < weights.layers.size() && first.query < base.tokens.size(),
          "oracle::rerun: a score of the pass");
  evaluate(weights, first.layer, static_cast<Index>(first.query), change, base);
  return base;
}

/// Change: this one score has this value.
template <class S>
auto replace(const Score& score, const S& value) {
  expects(score.key <= score.query, "oracle::replace: key <= query");
  return [score, value](const HeadScores<S>& at) {
    if (at.layer == score.layer && at.head == score.head)
      at.y(static_cast<Index>(score.query), static_cast<Index>(score.key)) = value;
  };
}

}  // namespace lamp::oracle
