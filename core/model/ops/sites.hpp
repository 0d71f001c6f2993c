// The operations of networks. Each is one pure function of its inputs, weights and arithmetic,
// which the forward pass and the local error both call (method.md section 4). Rows are token
// positions; values are binary64. A row depends on earlier ones only, and a site may be given its
// last rows: then scores and softmax are (rows, n) with n - rows earlier positions, row i has the
// first n - rows + i + 1 entries, and the arithmetic's draws say which row the first one is.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>

#include "core/arith/gemm/gemm.hpp"
#include "core/arith/orders/ordered_dot.hpp"
#include "core/base/index.hpp"
#include "core/base/matrix.hpp"
#include "core/model/files/config.hpp"
#include "core/model/weights.hpp"

namespace lamp {

/// The first of the largest numbers of y (-0 and +0 are equally large), NaN where there is a NaN.
/// Pre: y is not empty.
inline double largest_or_nan(std::span<const double> y) {
  constexpr std::size_t lanes = 8;  // independent of each other, so that they are vectors
  std::array<double, lanes> largest, nan{};
  largest.fill(y[0]);
  const auto look_at = [&](double value, std::size_t lane) {
    largest[lane] = value > largest[lane] ? value : largest[lane];
    nan[lane] = value == value ? nan[lane] : value;
  };
  std::size_t j = 0;
  for (; j + lanes <= y.size(); j += lanes)
    for (std::size_t lane = 0; lane < lanes; ++lane) look_at(y[j + lane], lane);
  for (; j < y.size(); ++j) look_at(y[j], 0);
  for (const double value : nan)
    if (std::isnan(value)) return std::numeric_limits<double>::quiet_NaN();
  const double value = *std::max_element(largest.begin(), largest.end());
  return value == 0.0 ? *std::find(y.begin(), y.end(), 0.0) : value;
}

/// z = softmax(y), y of length n >= 1: t_j = fl(y_j - max), e_j = fl(exp t_j), s = sum e_j in
/// the arithmetic's order, z_j = fl(e_j / s). max is NaN if any y is.
/// y and z may be the same memory.
template <ScalarArithmetic A>
void softmax_row(const A& fl, const Arithmetic& arithmetic, std::span<const double> y,
                 std::span<double> z) {
  expects(!y.empty() && y.size() == z.size(), "softmax_row: equal lengths, at least 1");
  const double largest = largest_or_nan(y);
  if (std::isnan(largest))
    return std::fill(z.begin(), z.end(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t j = 0; j < y.size(); ++j) z[j] = fl.sub(y[j], largest);
  fl.function(Function::exp, z, z);
  const double s = ordered_sum(fl, arithmetic, z);
  for (double& value : z) value = fl.div(value, s);
}

/// One row of layer normalisation: m = fl(s/n), c_i = fl(x_i - m), v = fl(sum c_i c_i / n), r =
/// fl(rsqrt(fl(v + eps))), then fl(fl(c_i r) gamma_i + beta_i) as one multiply-accumulate. eps is a
/// binary64 number, so `fl_any` must take any operands; fl may be an evaluator for binary32
/// operands only. x and out may be the same memory.
template <ScalarArithmetic A, ScalarArithmetic Any>
void layer_norm_row(const A& fl, const Any& fl_any, const Arithmetic& arithmetic,
                    std::span<const double> x, std::span<const double> gamma,
                    std::span<const double> beta, double eps, std::span<double> out) {
  expects(
      !x.empty() && x.size() == gamma.size() && x.size() == beta.size() && x.size() == out.size(),
      "layer_norm_row: equal lengths");
  const double n = static_cast<double>(x.size());
  const double mean = fl.div(ordered_sum(fl, arithmetic, x), n);
  for (std::size_t i = 0; i < x.size(); ++i) out[i] = fl.sub(x[i], mean);
  const double variance = fl.div(ordered_dot(fl, arithmetic, out, out), n);
  const double r = fl.function(Function::rsqrt, fl_any.add(variance, eps));
  for (std::size_t i = 0; i < x.size(); ++i) out[i] = fl.mac(fl.mul(out[i], r), gamma[i], beta[i]);
}

/// One row of RMS normalisation (Zhang and Sennrich, "Root mean square layer normalization", 2019):
/// v = fl(s / n), s the sum of x_i x_i; r = fl(rsqrt(fl(v + eps))); fl(fl(x_i r) gamma_i). eps,
/// fl_any as for layer_norm_row. x and out may be the same memory.
template <ScalarArithmetic A, ScalarArithmetic Any>
void rms_norm_row(const A& fl, const Any& fl_any, const Arithmetic& arithmetic,
                  std::span<const double> x, std::span<const double> gamma, double eps,
                  std::span<double> out) {
  expects(!x.empty() && x.size() == gamma.size() && x.size() == out.size(),
          "rms_norm_row: equal lengths");
  const double v = fl.div(ordered_dot(fl, arithmetic, x, x), static_cast<double>(x.size()));
  const double r = fl.function(Function::rsqrt, fl_any.add(v, eps));
  for (std::size_t i = 0; i < x.size(); ++i) out[i] = fl.mul(fl.mul(x[i], r), gamma[i]);
}

/// out (T, n_embd) = fl(tokens[id] + positions[position]), positions from `first` on;
/// fl(tokens[id]) where there are no position vectors.
void embed(const Arithmetic& arithmetic, const EmbeddingWeights& weights,
           std::span<const TokenId> tokens, MatrixView<double> out, std::size_t first = 0);

/// Row by row: x, out (T, n_embd).
void layer_norm(const Arithmetic& arithmetic, const LayerNormWeights& weights, double eps,
                MatrixView<const double> x, MatrixView<double> out);

/// Row by row: x, out (T, n_embd).
void rms_norm(const Arithmetic& arithmetic, const RmsNormWeights& weights, double eps,
              MatrixView<const double> x, MatrixView<double> out);

/// out (T, out) = x (T, in) W (in, out), then one addition of the bias where there is one.
void linear(const Arithmetic& arithmetic, const Linear& layer, MatrixView<const double> x,
            MatrixView<double> out);

/// The same of the marked entries; the others are unspecified. marks: (T, out), 0 or 1.
void linear_of_marked(const Arithmetic& arithmetic, const Linear& layer, MatrixView<const double> x,
                      Marks marks, MatrixView<double> out);

/// out(i, j) = fl(s_ij / sqrt d_head), s = q k^T, for the causal entries; the rest is not written.
/// Where divisor is not 1, fl(fl(s_ij / sqrt d_head) / divisor). q: (rows, d_head), k: (n, d_head),
/// out: (rows, n). The second takes k^T packed, (d_head, n): scores in several arithmetics pack it
/// once.
void scores(const Arithmetic& arithmetic, MatrixView<const double> q, MatrixView<const double> k,
            MatrixView<double> out, double divisor = 1.0);
void scores(const Arithmetic& arithmetic, MatrixView<const double> q, const PackedMatrix& k,
            MatrixView<double> out, double divisor = 1.0);

/// z = softmax(y) of row `row` by the fastest evaluator with the arithmetic's bits. (The row
/// matters to stochastic modes only: their draws belong to outputs; softmax and layer norm draw as
/// output (row, 0), the others as output (row, column).)
void softmax_of_row(const Arithmetic& arithmetic, std::span<const double> y, std::span<double> z,
                    std::size_t row = 0);

/// Row i of z is softmax of row i of y, or of its causal entries, and then the rest is not written.
/// y, z: (rows, n).
void softmax(const Arithmetic& arithmetic, MatrixView<const double> y, MatrixView<double> z,
             Entries entries = Entries::causal);

/// out(i, :) = sum of z(i, k) v(k, :) over the causal entries of row i. z: (rows, n), v: (n,
/// d_head), out: (rows, d_head).
void values(const Arithmetic& arithmetic, MatrixView<const double> z, MatrixView<const double> v,
            MatrixView<double> out);

/// a-priori bounds of the inner products, out(i, j) = (abs(q_i) . abs(k_j)) / sqrt d_head (/
/// divisor), in fused binary64: error weights `dot`. Shapes as in scores.
void score_bounds(MatrixView<const double> q, MatrixView<const double> k, MatrixView<double> out,
                  double divisor = 1.0);

/// The same of `values` and `linear`, its bias excluded: (abs(z_i) . abs(v_j)) over the causal
/// entries, and (abs(x_i) . abs(W_j)).
void value_bounds(MatrixView<const double> z, MatrixView<const double> v, MatrixView<double> out);
void linear_bounds(const Linear& layer, MatrixView<const double> x, MatrixView<double> out);

/// sums[k] = sum over j of abs(w(k, j)), j ascending, in binary64. w: (in, out), sums: (in).
void absolute_sums(const PackedMatrix& w, std::vector<double>& sums);

/// norms[k] = sqrt(sum over j of w(k, j)^2), j ascending, fused, in binary64.
void row_norms(const PackedMatrix& w, std::vector<double>& norms);

/// out = fl(x + y), all (T, n); out may be x.
void residual(const Arithmetic& arithmetic, MatrixView<const double> x, MatrixView<const double> y,
              MatrixView<double> out);

/// out = fl(x y), element by element, all (T, n); out may be x.
void product(const Arithmetic& arithmetic, MatrixView<const double> x, MatrixView<const double> y,
             MatrixView<double> out);

/// Rotary positions: each d_head columns of x, (T, heads d_head), are a head; row t is position
/// first + t. With c, s the cosine and sine of position f_j, correctly rounded (RNE) to the
/// arithmetic's format, the pair a, b of its components j and j + d_head/2 becomes fl(fl(a c) -
/// fl(b s)), fl(fl(b c) + fl(a s)). Pre: d_head is even, first + T <= 2^24; out is not x.
void rope(const Arithmetic& arithmetic, const Rope& frequencies, std::size_t d_head,
          std::size_t first, MatrixView<const double> x, MatrixView<double> out);

/// out = fl(f(x)), elementwise; out may be x.
void activate(const Arithmetic& arithmetic, Activation activation, MatrixView<const double> x,
              MatrixView<double> out);

}  // namespace lamp
