#include "core/model/ops/sites.hpp"

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "core/arith/elementwise.hpp"
#include "core/arith/gemm/gemm.hpp"
#include "core/arith/gemm/marks.hpp"
#include "core/arith/row_dots.hpp"
#include "core/arith/stochastic.hpp"
#include "core/model/ops/rope_table.hpp"
#include "core/mpfr/sites.hpp"

namespace lamp {
namespace {

bool all_rows_binary32(MatrixView<const double> x) {
  for (std::size_t i = 0; i < x.rows; ++i)
    if (!all_binary32(x.row(i))) return false;
  return true;
}

/// The draws of an output go on after those of its sum.
std::uint32_t first_step_after_sum(const Arithmetic& arithmetic, std::size_t terms) {
  return is_stochastic(arithmetic) ? steps_of_sum(arithmetic, terms) : 0;
}

/// The position of the first row of a (rows, n) matrix of causal entries.
template <class T>
std::size_t earlier_positions(MatrixView<T> x) {
  expects(x.cols >= x.rows, "sites: (rows, n) causal entries, rows <= n");
  return x.cols - x.rows;
}

Function function_of(Activation activation) {
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

/// abs(x). Entries that are not causal are unspecified, and stay so.
Matrix<double> magnitudes(MatrixView<const double> x) {
  Matrix<double> m(x.rows, x.cols);
  for (std::size_t i = 0; i < x.rows; ++i)
    for (std::size_t j = 0; j < x.cols; ++j) m(i, j) = std::abs(x(i, j));
  return m;
}

bool is_binary32(double x) { return all_binary32({&x, 1}); }

/// Whether it matters that operands are binary32 numbers: only arithmetic in binary32 has an
/// evaluator of its own for them.
bool asks_for_binary32(const Arithmetic& arithmetic) { return arithmetic.mac.format == binary32; }

}  // namespace

void embed(const Arithmetic& arithmetic, const EmbeddingWeights& weights,
           std::span<const TokenId> tokens, MatrixView<double> out, std::size_t first) {
  if (is_unlimited(arithmetic)) return mpfr::embed(arithmetic, weights, tokens, out, first);
  expects(
      out.rows == tokens.size() && out.cols == weights.tokens.cols() &&
          (weights.positions.flat().empty() || first + tokens.size() <= weights.positions.rows()),
      "embed: shapes agree");
  const bool has_positions = !weights.positions.flat().empty();
  const Elementwise by(arithmetic, true);
  std::vector<double> position(has_positions ? out.cols : 0);
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    expects(tokens[t] < weights.tokens.rows(), "embed: token id < vocab_size");
    const std::span<double> x = out.row(t);
    std::ranges::copy(weights.tokens.row(tokens[t]), x.begin());
    if (!has_positions) {
      by.round(x, x, {.row = t});
      continue;
    }
    std::ranges::copy(weights.positions.row(first + t), position.begin());
    by.add(x, position, x, {.row = t});
  }
}

namespace {

/// fl(1 / sqrt(v + eps)), v = fl(sums[t] / n), of every row: to `sums`.
void inverse_deviations(const GeneralArithmetic& fl, std::size_t n, double eps,
                        std::span<double> sums) {
  for (double& sum : sums) {
    const double variance = fl.div(sum, static_cast<double>(n));
    sum = fl.function(Function::rsqrt, fl.add(variance, eps));
  }
}

}  // namespace

void layer_norm(const Arithmetic& arithmetic, const LayerNormWeights& weights, double eps,
                MatrixView<const double> x, MatrixView<double> out) {
  if (is_unlimited(arithmetic)) return mpfr::layer_norm(arithmetic, weights, eps, x, out);
  if (is_stochastic(arithmetic)) {
    const auto output = stochastic_outputs(arithmetic);
    for (std::size_t t = 0; t < x.rows; ++t) {
      const StochasticArithmetic fl = output(t, 0);  // one evaluator a row
      layer_norm_row(fl, fl, arithmetic, x.row(t), weights.gamma, weights.beta, eps, out.row(t));
    }
    return;
  }
  const bool fits = asks_for_binary32(arithmetic) && all_rows_binary32(x) &&
                    all_binary32(weights.gamma) && all_binary32(weights.beta);
  const GeneralArithmetic fl(arithmetic.mac);
  const Elementwise by(arithmetic, fits);
  std::vector<double> of_rows(x.rows);
  row_sums(arithmetic, x, of_rows);
  for (std::size_t t = 0; t < x.rows; ++t)
    by.sub(x.row(t), fl.div(of_rows[t], static_cast<double>(x.cols)), out.row(t));
  row_dots(arithmetic, out, out, of_rows);
  inverse_deviations(fl, x.cols, eps, of_rows);
  for (std::size_t t = 0; t < x.rows; ++t) {
    by.mul(out.row(t), of_rows[t], out.row(t));
    by.mac(out.row(t), weights.gamma, weights.beta, out.row(t));
  }
}

void rms_norm(const Arithmetic& arithmetic, const RmsNormWeights& weights, double eps,
              MatrixView<const double> x, MatrixView<double> out) {
  if (is_unlimited(arithmetic)) return mpfr::rms_norm(arithmetic, weights, eps, x, out);
  if (is_stochastic(arithmetic)) {
    const auto output = stochastic_outputs(arithmetic);
    for (std::size_t t = 0; t < x.rows; ++t) {
      const StochasticArithmetic fl = output(t, 0);  // one evaluator a row
      rms_norm_row(fl, fl, arithmetic, x.row(t), weights.gamma, eps, out.row(t));
    }
    return;
  }
  const bool fits =
      asks_for_binary32(arithmetic) && all_rows_binary32(x) && all_binary32(weights.gamma);
  const Elementwise by(arithmetic, fits);
  std::vector<double> of_rows(x.rows);
  row_dots(arithmetic, x, x, of_rows);
  inverse_deviations(GeneralArithmetic(arithmetic.mac), x.cols, eps, of_rows);
  for (std::size_t t = 0; t < x.rows; ++t) {
    by.mul(x.row(t), of_rows[t], out.row(t));
    by.mul(out.row(t), weights.gamma, out.row(t));
  }
}

namespace {

/// Adds the bias of a linear layer to the sums, of inputs of `terms` components, in the rows that
/// are wanted(t).
template <class Wanted>
void add_bias(const Arithmetic& arithmetic, const Linear& layer, std::size_t terms,
              MatrixView<double> out, const Wanted& wanted) {
  expects(layer.bias.empty() || layer.bias.size() == out.cols, "linear: one bias an output");
  if (layer.bias.empty()) return;
  const bool fits = contains(binary32, arithmetic.mac.format) && all_binary32(layer.bias);
  const Elementwise by(arithmetic, fits, first_step_after_sum(arithmetic, terms));
  for (std::size_t t = 0; t < out.rows; ++t)
    if (wanted(t)) by.add(out.row(t), layer.bias, out.row(t), {.row = t});
}

}  // namespace

void linear(const Arithmetic& arithmetic, const Linear& layer, MatrixView<const double> x,
            MatrixView<double> out) {
  if (is_unlimited(arithmetic)) return mpfr::linear(arithmetic, layer, x, out);
  gemm(arithmetic, x, layer.weight, out);
  add_bias(arithmetic, layer, x.cols, out, [](std::size_t) { return true; });
}

void linear_of_marked(const Arithmetic& arithmetic, const Linear& layer, MatrixView<const double> x,
                      Marks marks, MatrixView<double> out) {
  if (is_unlimited(arithmetic)) return mpfr::linear(arithmetic, layer, x, out);
  gemm_of_marked(arithmetic, x, layer.weight, marks, out);
  add_bias(arithmetic, layer, x.cols, out,
           [&](std::size_t t) { return has_mark(marks, t, 0, marks.cols); });
}

void scores(const Arithmetic& arithmetic, MatrixView<const double> q, MatrixView<const double> k,
            MatrixView<double> out, double divisor) {
  thread_local PackedMatrix packed;
  packed.assign(k.transposed());
  scores(arithmetic, q, packed, out, divisor);
}

void scores(const Arithmetic& arithmetic, MatrixView<const double> q, const PackedMatrix& k,
            MatrixView<double> out, double divisor) {
  if (is_unlimited(arithmetic)) {
    Matrix<double> keys(k.cols(), k.rows());
    for (std::size_t j = 0; j < k.cols(); ++j)
      for (std::size_t c = 0; c < k.rows(); ++c) keys(j, c) = k.at(c, j);
    return mpfr::scores(arithmetic, q, std::as_const(keys).view(), out, divisor);
  }
  const Shape shape(Shape::lower_output, earlier_positions(out));
  gemm(arithmetic, q, k, out, shape);
  const double scale = std::sqrt(static_cast<double>(q.cols));
  const bool fits = contains(binary32, arithmetic.mac.format) && is_binary32(scale);
  const Elementwise by(arithmetic, fits, first_step_after_sum(arithmetic, q.cols));
  for (std::size_t i = 0; i < out.rows; ++i) {
    const std::span<double> y = out.row(i).first(shape.columns(i, out.cols));
    by.div(y, scale, y, {.row = i});
    if (divisor != 1.0) by.div(y, divisor, y, {.row = i, .step = 1});
  }
}

void score_bounds(MatrixView<const double> q, MatrixView<const double> k, MatrixView<double> out,
                  double divisor) {
  scores(fused(binary64), magnitudes(q).view(), magnitudes(k).view(), out, divisor);
}

void value_bounds(MatrixView<const double> z, MatrixView<const double> v, MatrixView<double> out) {
  values(fused(binary64), magnitudes(z).view(), magnitudes(v).view(), out);
}

void linear_bounds(const Linear& layer, MatrixView<const double> x, MatrixView<double> out) {
  Matrix<double> w(layer.weight.rows(), layer.weight.cols());
  for (std::size_t k = 0; k < w.rows(); ++k)
    for (std::size_t j = 0; j < w.cols(); ++j) w(k, j) = std::abs(layer.weight.at(k, j));
  gemm(fused(binary64), magnitudes(x).view(), std::as_const(w).view(), out);
}

namespace {

/// sums[k] = add(sums[k], w(k, j)), j ascending, from 0; several rows take turns, so that their
/// additions do not wait for each other. Beyond the last column there are zeros, which must change
/// no sum.
template <class Add>
void fold_rows(const PackedMatrix& w, std::vector<double>& sums, const Add& add) {
  constexpr std::size_t columns = PackedMatrix::panel_cols, together = 8;
  sums.assign(w.rows(), 0.0);
  const auto fold_panel = [&](const auto* panel) {
    for (std::size_t k0 = 0; k0 < sums.size(); k0 += together) {
      const std::span<double> some =
          std::span(sums).subspan(k0, std::min(together, sums.size() - k0));
      for (std::size_t j = 0; j < columns; ++j)
        for (std::size_t r = 0; r < some.size(); ++r)
          some[r] = add(some[r], static_cast<double>(panel[(k0 + r) * columns + j]));
    }
  };
  for (std::size_t q = 0; q < w.panels(); ++q)
    if (w.is_binary32())
      fold_panel(w.panel32(q));
    else
      fold_panel(w.panel64(q));
}

}  // namespace

void absolute_sums(const PackedMatrix& w, std::vector<double>& sums) {
  fold_rows(w, sums, [](double sum, double x) { return sum + std::abs(x); });
}

void row_norms(const PackedMatrix& w, std::vector<double>& norms) {
  fold_rows(w, norms, [](double sum, double x) { return std::fma(x, x, sum); });
  for (double& norm : norms) norm = std::sqrt(norm);
}

namespace {

/// Softmax of the rows of y, row i at output row `first` + i, of which all or the first
/// shape.terms(i) entries: as softmax_row, every operation for all rows.
void softmax_of_rows(const Arithmetic& arithmetic, MatrixView<const double> y, MatrixView<double> z,
                     Shape shape, std::size_t first) {
  if (is_stochastic(arithmetic)) {
    const auto output = stochastic_outputs(arithmetic);
    for (std::size_t i = 0; i < y.rows; ++i) {
      const std::size_t n = shape.terms(i, y.cols);
      softmax_row(output(first + i, 0), arithmetic, y.row(i).first(n), z.row(i).first(n));
    }
    return;
  }
  const std::array by{Elementwise(arithmetic, false), Elementwise(arithmetic, true)};
  for (std::size_t i = 0; i < y.rows; ++i) {
    const std::span<const double> from = y.row(i).first(shape.terms(i, y.cols));
    const std::span<double> to = z.row(i).first(from.size());
    expects(!from.empty(), "softmax: at least one entry");
    const double largest = largest_or_nan(from);
    if (std::isnan(largest)) {
      std::ranges::fill(to, largest);
      continue;
    }
    const bool fits = asks_for_binary32(arithmetic) && all_binary32(from);
    by[fits ? 1 : 0].sub(from, largest, to);
    by[0].function(Function::exp, to, to);
  }
  std::vector<double> sums(y.rows);
  row_sums(arithmetic, z, sums, shape);
  for (std::size_t i = 0; i < y.rows; ++i) {
    const std::span<double> row = z.row(i).first(shape.terms(i, y.cols));
    by[asks_for_binary32(arithmetic) ? 1 : 0].div(row, sums[i], row);
  }
}

}  // namespace

void softmax_of_row(const Arithmetic& arithmetic, std::span<const double> y, std::span<double> z,
                    std::size_t row) {
  expects(y.size() == z.size(), "softmax_of_row: equal lengths");
  softmax_of_rows(arithmetic, {y.data(), 1, y.size(), y.size()}, {z.data(), 1, z.size(), z.size()},
                  Shape::full, row);
}

void softmax(const Arithmetic& arithmetic, MatrixView<const double> y, MatrixView<double> z,
             Entries entries) {
  if (is_unlimited(arithmetic)) return mpfr::softmax(arithmetic, y, z, entries);
  constexpr std::size_t together = 32;  // rows whose sums are taken at once, near in the cache
  for (std::size_t i = 0; i < y.rows; i += together) {
    const std::size_t rows = std::min(together, y.rows - i);
    const Shape shape = entries == Entries::causal
                            ? Shape(Shape::lower_operand, earlier_positions(y) + i)
                            : Shape(Shape::full);
    softmax_of_rows(arithmetic, y.row_block(i, rows), z.row_block(i, rows), shape, i);
  }
}

void values(const Arithmetic& arithmetic, MatrixView<const double> z, MatrixView<const double> v,
            MatrixView<double> out) {
  if (is_unlimited(arithmetic)) return mpfr::values(arithmetic, z, v, out);
  gemm(arithmetic, z, v, out, Shape(Shape::lower_operand, earlier_positions(z)));
}

void residual(const Arithmetic& arithmetic, MatrixView<const double> x, MatrixView<const double> y,
              MatrixView<double> out) {
  if (is_unlimited(arithmetic)) return mpfr::residual(arithmetic, x, y, out);
  expects(x.rows == y.rows && x.cols == y.cols && x.rows == out.rows && x.cols == out.cols,
          "residual: shapes agree");
  for (std::size_t t = 0; t < x.rows; ++t) {  // looked at and added while the row is near
    const std::span<const double> left = x.row(t), right = y.row(t);
    const std::span<double> sum = out.row(t);
    const bool fits = asks_for_binary32(arithmetic) && all_binary32(left) && all_binary32(right);
    Elementwise(arithmetic, fits).add(left, right, sum, {.row = t});
  }
}

void product(const Arithmetic& arithmetic, MatrixView<const double> x, MatrixView<const double> y,
             MatrixView<double> out) {
  if (is_unlimited(arithmetic)) return mpfr::product(arithmetic, x, y, out);
  expects(x.rows == y.rows && x.cols == y.cols && x.rows == out.rows && x.cols == out.cols,
          "product: shapes agree");
  const bool fits = asks_for_binary32(arithmetic) && all_rows_binary32(x) && all_rows_binary32(y);
  const Elementwise by(arithmetic, fits);
  for (std::size_t t = 0; t < x.rows; ++t) by.mul(x.row(t), y.row(t), out.row(t), {.row = t});
}

void rope(const Arithmetic& arithmetic, const Rope& frequencies, std::size_t d_head,
          std::size_t first, MatrixView<const double> x, MatrixView<double> out) {
  if (is_unlimited(arithmetic)) return mpfr::rope(arithmetic, frequencies, d_head, first, x, out);
  expects(x.rows == out.rows && x.cols == out.cols && d_head % 2 == 0 && x.cols % d_head == 0,
          "rope: shapes agree, an even number of components a head");
  if (x.cols == 0) return;
  thread_local RopeTable table;
  table.assign(frequencies, d_head, first + x.rows);
  const std::size_t half = d_head / 2;
  const bool fits = asks_for_binary32(arithmetic) && all_rows_binary32(x);
  const Elementwise by(arithmetic, fits);
  // Component j of a head's first half is x_j cos - x_(half + j) sin, of its second half x_(half +
  // j) cos + x_j sin: a whole row at a time, every number beside the one that it is turned with.
  std::vector<double> cosines(x.cols), sines(x.cols), turned_with(x.cols), product(x.cols);
  for (std::size_t t = 0; t < x.rows; ++t) {
    table.round(first + t, arithmetic.mac.format, std::span(cosines).first(half),
                std::span(sines).first(half));
    for (std::size_t j = half; j < x.cols; j += half) {
      std::copy_n(cosines.begin(), half, cosines.begin() + static_cast<std::ptrdiff_t>(j));
      std::copy_n(sines.begin(), half, sines.begin() + static_cast<std::ptrdiff_t>(j));
    }
    const std::span<const double> row = x.row(t);
    for (std::size_t head = 0; head < x.cols; head += d_head) {
      std::ranges::copy(row.subspan(head + half, half),
                        turned_with.begin() + static_cast<std::ptrdiff_t>(head));
      std::ranges::copy(row.subspan(head, half),
                        turned_with.begin() + static_cast<std::ptrdiff_t>(head + half));
    }
    const auto at = [&](std::uint32_t step) { return Place{.row = t, .column = 0, .step = step}; };
    by.mul(row, cosines, out.row(t), at(0));
    by.mul(turned_with, sines, product, at(1));
    for (std::size_t head = 0; head < x.cols; head += d_head)
      for (double& y : std::span(product).subspan(head, half)) y = -y;
    by.add(out.row(t), product, out.row(t), at(2));
  }
}

void activate(const Arithmetic& arithmetic, Activation activation, MatrixView<const double> x,
              MatrixView<double> out) {
  if (is_unlimited(arithmetic)) return mpfr::activate(arithmetic, activation, x, out);
  expects(x.rows == out.rows && x.cols == out.cols, "activate: shapes agree");
  const Function f = function_of(activation);
  const Elementwise by(arithmetic);
  for (std::size_t t = 0; t < x.rows; ++t) by.function(f, x.row(t), out.row(t), {.row = t});
}

}  // namespace lamp
