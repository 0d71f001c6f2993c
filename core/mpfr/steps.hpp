// The sites a second time: each output in the steps of method.md section 4, over any arithmetic of
// one output (core/mpfr/outputs.hpp). Rows are token positions; x, y, out of a site have the shapes
// that core/model/ops/sites.hpp states. Outputs(row, column) is the arithmetic of that output;
// softmax and layer norm are one output a row, column 0.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/base/index.hpp"
#include "core/base/matrix.hpp"
#include "core/base/side_by_side.hpp"
#include "core/model/files/config.hpp"
#include "core/model/weights.hpp"
#include "core/mpfr/outputs.hpp"
#include "core/mpfr/rotations.hpp"

namespace lamp::mpfr::steps {

/// work(i) for i = 0 .. count - 1 on `threads` threads, in any order. The exponent range of each is
/// MPFR's widest.
template <class Work>
void for_each_index(std::size_t count, std::size_t threads, const Work& work) {
  struct Nothing {};
  std::vector<Nothing> workers(std::max<std::size_t>(threads, 1));
  side_by_side(std::span(workers), count, [&](Nothing&, std::size_t i) {
    const ExponentRange range = ExponentRange::widest_of_all();
    work(i);
    return true;
  });
}

/// The causal entries of a row: columns 0 .. earlier + row.
struct Causal {
  std::size_t earlier = 0;  // positions before row 0
  [[nodiscard]] std::size_t entries(std::size_t row) const { return earlier + row + 1; }
};

/// How many entries row i of a site's matrix has, from column 0.
template <class Value>
std::size_t entries_of_row(Entries entries, MatrixView<Value> x, std::size_t row) {
  return entries == Entries::causal ? Causal{x.cols - x.rows}.entries(row) : x.cols;
}

/// z = softmax(y): t_j = fl(y_j - max), e_j = fl(exp t_j), s = sum e_j, z_j = fl(e_j / s).
template <OutputArithmetic F>
void softmax_row(const F& fl, std::span<const typename F::Value> y,
                 std::span<typename F::Value> z) {
  using Value = typename F::Value;
  std::size_t largest = 0;
  for (std::size_t j = 0; j < y.size(); ++j)
    if (is_nan(y[j]) || is_less(y[largest], y[j])) {
      largest = j;
      if (is_nan(y[j])) break;
    }
  std::vector<Value> e, ones;
  for (const Value& value : y) e.push_back(fl.sub(value, y[largest]));
  for (Value& value : e) {
    value = fl.function(Function::exp, value);
    ones.push_back(fl.exactly(1.0));
  }
  const Value s = fl.dot(e, ones);
  for (std::size_t j = 0; j < y.size(); ++j) z[j] = fl.div(e[j], s);
}

/// m = fl(sum x / n), c_i = fl(x_i - m), v = fl(sum c_i c_i / n), r = fl(rsqrt(fl(v + eps))), out_i
/// = fl(fl(c_i r) gamma_i + beta_i).
template <OutputArithmetic F>
void layer_norm_row(const F& fl, std::span<const typename F::Value> x,
                    std::span<const double> gamma, std::span<const double> beta, double eps,
                    std::span<typename F::Value> out) {
  using Value = typename F::Value;
  const Value n = fl.exactly(static_cast<double>(x.size()));
  std::vector<Value> c, ones;
  for (std::size_t i = 0; i < x.size(); ++i) ones.push_back(fl.exactly(1.0));
  const Value m = fl.div(fl.dot(x, ones), n);
  for (const Value& value : x) c.push_back(fl.sub(value, m));
  const Value v = fl.div(fl.dot(c, c), n);
  const Value r = fl.function(Function::rsqrt, fl.add(v, fl.exactly(eps)));
  for (std::size_t i = 0; i < x.size(); ++i)
    out[i] = fl.mac(fl.mul(c[i], r), fl.exactly(gamma[i]), fl.exactly(beta[i]));
}

/// v = fl(sum x x / n), r = fl(rsqrt(fl(v + eps))), out_i = fl(fl(x_i r) gamma_i).
template <OutputArithmetic F>
void rms_norm_row(const F& fl, std::span<const typename F::Value> x, std::span<const double> gamma,
                  double eps, std::span<typename F::Value> out) {
  using Value = typename F::Value;
  const Value n = fl.exactly(static_cast<double>(x.size()));
  const Value v = fl.div(fl.dot(x, x), n);
  const Value r = fl.function(Function::rsqrt, fl.add(v, fl.exactly(eps)));
  for (std::size_t i = 0; i < x.size(); ++i) out[i] = fl.mul(fl.mul(x[i], r), fl.exactly(gamma[i]));
}

/// out(i, j) = finish(fl, i, j, sum over k of x(i, k) b(k, j)), for the outputs and terms that
/// exist; column(j) has b(0, j), b(1, j), ..
template <class Outputs, class Value, class Column, class Terms, class Exists, class Finish>
void product(const Outputs& outputs, std::size_t threads, MatrixView<const Value> x,
             const Column& column, const Terms& terms, const Exists& exists, MatrixView<Value> out,
             const Finish& finish, std::optional<double> tensor = {}) {
  for_each_index(out.cols, threads, [&](std::size_t j) {
    const std::vector<Value> b = column(j);
    for (std::size_t i = 0; i < out.rows; ++i) {
      if (!exists(i, j)) continue;
      const auto fl = outputs(i, j);
      const std::size_t n = terms(i);
      out(i, j) =
          finish(fl, j, fl.dot(x.row(i).first(n), std::span<const Value>(b).first(n), tensor));
    }
  });
}

inline constexpr auto every_output = [](std::size_t, std::size_t) { return true; };

/// out(i, :) = x(i, :) W + bias; weight(k, j) is an element of W. An empty bias is none.
template <class Outputs, class Value, class Weight>
void linear(const Outputs& outputs, std::size_t threads, MatrixView<const Value> x,
            const Weight& weight, std::span<const double> bias, MatrixView<Value> out) {
  const auto column = [&](std::size_t j) {
    std::vector<Value> b;
    for (std::size_t k = 0; k < x.cols; ++k) b.push_back(outputs(0, j).exactly(weight(k, j)));
    return b;
  };
  const auto add_bias = [&](const auto& fl, std::size_t j, Value sum) {
    return bias.empty() ? std::move(sum) : fl.add(sum, fl.exactly(bias[j]));
  };
  std::optional<double> tensor;  // the largest weight
  if (outputs.reads_tensor()) {
    std::vector<double> weights;
    for (std::size_t k = 0; k < x.cols; ++k)
      for (std::size_t j = 0; j < out.cols; ++j) weights.push_back(weight(k, j));
    tensor = largest_finite(std::span<const double>(weights));
  }
  product(
      outputs, threads, x, column, [&](std::size_t) { return x.cols; }, every_output, out, add_bias,
      tensor);
}

/// out(i, j) = fl(q_i . k_j / sqrt d) where j is causal; sqrt d is rounded RNE to binary64. Then
/// it is divided by `divisor`, but for 1.
template <class Outputs, class Value>
void scores(const Outputs& outputs, std::size_t threads, MatrixView<const Value> q,
            MatrixView<const Value> k, double divisor, MatrixView<Value> out) {
  const Causal causal{k.rows - q.rows};
  Number root(53);
  mpfr_sqrt_ui(root.get(), q.cols, MPFR_RNDN);
  const double scale = to_binary64(root);
  const auto column = [&](std::size_t j) {
    std::vector<Value> b;
    for (const Value& value : k.row(j)) b.push_back(copy_of(value));
    return b;
  };
  const auto divide = [&](const auto& fl, std::size_t, const Value& sum) {
    Value score = fl.div(sum, fl.exactly(scale));
    return divisor == 1.0 ? std::move(score) : fl.div(score, fl.exactly(divisor));
  };
  product(
      outputs, threads, q, column, [&](std::size_t) { return q.cols; },
      [&](std::size_t i, std::size_t j) { return j < causal.entries(i); }, out, divide);
}

/// out(i, :) = sum over the causal k of z(i, k) v(k, :).
template <class Outputs, class Value>
void values(const Outputs& outputs, std::size_t threads, MatrixView<const Value> z,
            MatrixView<const Value> v, MatrixView<Value> out) {
  const Causal causal{z.cols - z.rows};
  const auto column = [&](std::size_t j) {
    std::vector<Value> b;
    for (std::size_t k = 0; k < v.rows; ++k) b.push_back(copy_of(v(k, j)));
    return b;
  };
  const auto as_it_is = [](const auto&, std::size_t, Value sum) { return sum; };
  product(
      outputs, threads, z, column, [&](std::size_t i) { return causal.entries(i); }, every_output,
      out, as_it_is);
}

/// Row i of z is softmax of the entries of row i of y.
template <class Outputs, class Value>
void softmax(const Outputs& outputs, std::size_t threads, MatrixView<const Value> y,
             MatrixView<Value> z, Entries entries = Entries::causal) {
  for_each_index(y.rows, threads, [&](std::size_t i) {
    const std::size_t n = entries_of_row(entries, y, i);
    softmax_row(outputs(i, 0), y.row(i).first(n), z.row(i).first(n));
  });
}

template <class Outputs, class Value>
void layer_norm(const Outputs& outputs, std::size_t threads, MatrixView<const Value> x,
                std::span<const double> gamma, std::span<const double> beta, double eps,
                MatrixView<Value> out) {
  for_each_index(x.rows, threads, [&](std::size_t i) {
    layer_norm_row(outputs(i, 0), x.row(i), gamma, beta, eps, out.row(i));
  });
}

template <class Outputs, class Value>
void rms_norm(const Outputs& outputs, std::size_t threads, MatrixView<const Value> x,
              std::span<const double> gamma, double eps, MatrixView<Value> out) {
  for_each_index(x.rows, threads, [&](std::size_t i) {
    rms_norm_row(outputs(i, 0), x.row(i), gamma, eps, out.row(i));
  });
}

/// out(i, j) = entry(fl, i, j).
template <class Outputs, class Value, class Entry>
void elementwise(const Outputs& outputs, std::size_t threads, MatrixView<Value> out,
                 const Entry& entry) {
  for_each_index(out.rows, threads, [&](std::size_t i) {
    for (std::size_t j = 0; j < out.cols; ++j) out(i, j) = entry(outputs(i, j), i, j);
  });
}

/// out(t, :) = fl(tokens[token t] + positions[first + t]), or fl(tokens[token t]).
template <class Outputs, class Value>
void embed(const Outputs& outputs, std::size_t threads, const EmbeddingWeights& weights,
           std::span<const TokenId> tokens, std::size_t first, MatrixView<Value> out) {
  elementwise(outputs, threads, out, [&](const auto& fl, std::size_t t, std::size_t i) {
    const Value token = fl.exactly(static_cast<double>(weights.tokens(tokens[t], i)));
    if (weights.positions.rows() == 0) return fl.mul(token, fl.exactly(1.0));
    return fl.add(token, fl.exactly(static_cast<double>(weights.positions(first + t, i))));
  });
}

template <class Outputs, class Value>
void residual(const Outputs& outputs, std::size_t threads, MatrixView<const Value> x,
              MatrixView<const Value> y, MatrixView<Value> out) {
  elementwise(outputs, threads, out, [&](const auto& fl, std::size_t i, std::size_t j) {
    return fl.add(x(i, j), y(i, j));
  });
}

template <class Outputs, class Value>
void elementwise_product(const Outputs& outputs, std::size_t threads, MatrixView<const Value> x,
                         MatrixView<const Value> y, MatrixView<Value> out) {
  elementwise(outputs, threads, out, [&](const auto& fl, std::size_t i, std::size_t j) {
    return fl.mul(x(i, j), y(i, j));
  });
}

/// The pair a, b of components j and j + d/2 of a head at a position becomes fl(fl(a c) - fl(b s)),
/// fl(fl(b c) + fl(a s)), c and s rounded RNE to the format.
template <class Outputs, class Value>
void rope(const Outputs& outputs, std::size_t threads, const Rope& frequencies, std::size_t d,
          std::size_t first, MatrixView<const Value> x, MatrixView<Value> out) {
  const Rotations rotations(frequencies, d);
  for_each_index(out.rows, threads, [&](std::size_t t) {
    for (std::size_t j = 0; j < d / 2; ++j) {
      const auto [c, s] = rotations.at<Value>(first + t, j, outputs.arithmetic.mac.format);
      for (std::size_t a = j; a < out.cols; a += d) {
        const std::size_t b = a + d / 2;
        const auto left = outputs(t, a), right = outputs(t, b);
        const Value a_c = left.mul(x(t, a), c);
        const Value b_s = left.mul(x(t, b), s);
        out(t, a) = left.sub(a_c, b_s);
        const Value b_c = right.mul(x(t, b), c);
        const Value a_s = right.mul(x(t, a), s);
        out(t, b) = right.add(b_c, a_s);
      }
    }
  });
}

constexpr Function function_of(Activation activation) {
  switch (activation) {
    case Activation::gelu_new:
      return Function::gelu_tanh;
    case Activation::gelu:
      return Function::gelu_erf;
    case Activation::silu:
      return Function::silu;
    case Activation::relu:
      return Function::relu;
  }
  contract_violated("activate: a known activation");
}

template <class Outputs, class Value>
void activate(const Outputs& outputs, std::size_t threads, Activation activation,
              MatrixView<const Value> x, MatrixView<Value> out) {
  const Function f = function_of(activation);
  elementwise(outputs, threads, out, [&](const auto& fl, std::size_t i, std::size_t j) {
    return fl.function(f, x(i, j));
  });
}

}  // namespace lamp::mpfr::steps
