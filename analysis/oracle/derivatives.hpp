// Derivatives of the logits with respect to scores: one reverse pass for all scores of one loss,
// and tangents of one direction by dual numbers. Neither uses the other. A score that a change of
// the pass replaced counts as q . k / sqrt d, rounded somehow: what moves q or k moves it.
#pragma once

#include <span>
#include <vector>

#include "analysis/oracle/pass.hpp"

namespace lamp::oracle {

/// A number for every score: by layer, then head, (T, T), 0 above the diagonal.
template <class S>
using ScoreValues = std::vector<std::vector<Matrix<S>>>;

/// dL/dy of every score y, from dL/dlogits, (T, vocab_size). The adjoint of x is called dx.
template <class S>
ScoreValues<S> gradient(const Weights<Number<S>>& weights, const Pass<S>& pass,
                        const Matrix<S>& dlogits) {
  const Index T = pass.positions(), n = weights.width(), d = weights.d_head();
  const S root(std::sqrt(static_cast<double>(d)));
  const auto through_norm = [&](const Gain<Number<S>>& w, const Matrix<S>& x, Matrix<S> dout) {
    for (Index i = 0; i < T; ++i) {
      Row<S> du = dout.row(i);
      for (Index j = 0; j < n; ++j) du(j) *= S(w.gamma(j));
      dout.row(i) = normalise_adjoint<S>(normalise<S>(x.row(i), weights.eps), du);
    }
    return dout;
  };
  const auto through_affine = [](const Affine<Number<S>>& w, const Matrix<S>& dout) {
    return product<S>(dout, w.weight.transpose());
  };

  ScoreValues<S> gradients(weights.layers.size());
  Matrix<S> dx = through_norm(weights.ln_f, pass.input(weights.layers.size()),
                              product<S>(dlogits, weights.head.transpose()));
  for (std::size_t l = weights.layers.size(); l-- > 0;) {
    const LayerWeights<Number<S>>& w = weights.layers[l];
    const LayerValues<S>& v = pass.layers[l];
    Matrix<S> dinner = through_affine(w.mlp_proj, dx);
    for (Index i = 0; i < T; ++i)
      for (Index j = 0; j < dinner.cols(); ++j)
        dinner(i, j) *= activate_derivative(weights.activation, v.mlp_fc(i, j));
    dx += through_norm(w.ln_2, v.resid_1, through_affine(w.mlp_fc, dinner));

    const Matrix<S> dvalues = through_affine(w.attn_proj, dx);
    Matrix<S> dqkv = Matrix<S>::Constant(T, 3 * n, S(0));
    for (std::size_t h = 0; h < weights.heads; ++h) {
      const Index q = static_cast<Index>(h) * d, k = n + q, value = 2 * n + q;  // first columns
      Matrix<S>& dy = gradients[l].emplace_back(Matrix<S>::Constant(T, T, S(0)));
      for (Index i = 0; i < T; ++i) {
        const Row<S> z = v.softmax[h].row(i).head(i + 1);
        Row<S> dz(i + 1);
        for (Index j = 0; j <= i; ++j) {
          S sum(0);
          for (Index c = 0; c < d; ++c) {
            sum += dvalues(i, q + c) * v.qkv(j, value + c);
            dqkv(j, value + c) += z(j) * dvalues(i, q + c);
          }
          dz(j) = sum;
        }
        dy.row(i).head(i + 1) = softmax_adjoint<S>(z, dz);
        for (Index j = 0; j <= i; ++j) {
          const S ddot = dy(i, j) / root / S(weights.divisors[l]);
          for (Index c = 0; c < d; ++c) {
            dqkv(i, q + c) += ddot * v.qkv(j, k + c);
            dqkv(j, k + c) += ddot * v.qkv(i, q + c);
          }
        }
      }
    }
    dx += through_norm(w.ln_1, pass.input(l), through_affine(w.qkv, dqkv));
  }
  return gradients;
}

/// J e, (T, vocab_size): the derivative of the logits along a direction that has `at` each score
/// its component; the scores above `first` in layer or row have none. base: a pass without
/// derivatives; `change`: what made it, if anything did.
template <class T, class Direction, class Change = decltype(no_change)>
Matrix<T> tangent_along(const Weights<Number<T>>& weights, const Pass<Dual<T>>& base,
                        const Score& first, const Direction& direction,
                        const Change& change = no_change) {
  const Pass<Dual<T>> moved = rerun(weights, base, first, [&](const HeadScores<Dual<T>>& at) {
    change(at);
    for (Index i = at.first_row; i < at.y.rows(); ++i)
      for (Index j = 0; j <= i; ++j)
        at.y(i, j).derivative += direction(
            Score{at.layer, at.head, static_cast<std::size_t>(i), static_cast<std::size_t>(j)});
  });
  return moved.logits.unaryExpr([](const Dual<T>& x) { return x.derivative; });
}

/// J e_s of one score.
template <class T, class Change = decltype(no_change)>
Matrix<T> tangent(const Weights<Number<T>>& weights, const Pass<Dual<T>>& base, const Score& s,
                  const Change& change = no_change) {
  return tangent_along(
      weights, base, s, [&](const Score& other) { return T(other == s ? 1 : 0); }, change);
}

}  // namespace lamp::oracle
