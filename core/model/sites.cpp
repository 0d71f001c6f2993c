#include "core/model/sites.hpp"

#include "core/arith/gemm.hpp"

namespace lamp {
namespace {

bool all_binary32(MatrixView<const double> x) {
  for (std::size_t i = 0; i < x.rows; ++i)
    if (!lamp::all_binary32(x.row(i))) return false;
  return true;
}

bool is_binary32(double x) { return lamp::all_binary32({&x, 1}); }

}  // namespace

void embed(const Arithmetic& arithmetic, const Weights& weights, std::span<const TokenId> tokens, MatrixView<double> out) {
  expects(out.rows == tokens.size() && out.cols == weights.wte.cols() && tokens.size() <= weights.wpe.rows(), "embed: shapes agree");
  visit_arithmetic(arithmetic.mac, true, [&](const auto& fl) {
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      expects(tokens[t] < weights.wte.rows(), "embed: token id < vocab_size");
      const std::span<const float> token = weights.wte.row(tokens[t]), position = weights.wpe.row(t);
      const std::span<double> x = out.row(t);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = fl.add(static_cast<double>(token[i]), static_cast<double>(position[i]));
    }
  });
}

void layer_norm(const Arithmetic& arithmetic, const LayerNormWeights& weights, double eps, MatrixView<const double> x,
                MatrixView<double> out) {
  const bool fits = all_binary32(x) && lamp::all_binary32(weights.gamma) && lamp::all_binary32(weights.beta);
  const GeneralArithmetic fl_any(arithmetic.mac);
  visit_arithmetic(arithmetic.mac, fits, [&](const auto& fl) {
    for (std::size_t t = 0; t < x.rows; ++t)
      layer_norm_row(fl, fl_any, arithmetic, x.row(t), weights.gamma, weights.beta, eps, out.row(t));
  });
}

void linear(const Arithmetic& arithmetic, const Linear& layer, MatrixView<const double> x, MatrixView<double> out) {
  expects(layer.bias.size() == out.cols, "linear: one bias an output");
  gemm(arithmetic, x, layer.weight, out);
  const bool fits = contains(binary32, arithmetic.mac.format) && lamp::all_binary32(layer.bias);
  visit_arithmetic(arithmetic.mac, fits, [&](const auto& fl) {
    for (std::size_t t = 0; t < out.rows; ++t) {
      const std::span<double> y = out.row(t);
      for (std::size_t i = 0; i < y.size(); ++i) y[i] = fl.add(y[i], layer.bias[i]);
    }
  });
}

void scores(const Arithmetic& arithmetic, MatrixView<const double> q, MatrixView<const double> k, MatrixView<double> out) {
  gemm(arithmetic, q, k.transposed(), out, Shape::lower_output);
  const double scale = std::sqrt(static_cast<double>(q.cols));
  const bool fits = contains(binary32, arithmetic.mac.format) && is_binary32(scale);
  visit_arithmetic(arithmetic.mac, fits, [&](const auto& fl) {
    for (std::size_t i = 0; i < out.rows; ++i)
      for (double& y : out.row(i).first(i + 1)) y = fl.div(y, scale);
  });
}

void softmax_of_row(const Arithmetic& arithmetic, std::span<const double> y, std::span<double> z) {
  visit_arithmetic(arithmetic.mac, lamp::all_binary32(y), [&](const auto& fl) { softmax_row(fl, arithmetic, y, z); });
}

void softmax(const Arithmetic& arithmetic, MatrixView<const double> y, MatrixView<double> z) {
  for (std::size_t i = 0; i < y.rows; ++i) softmax_of_row(arithmetic, y.row(i).first(i + 1), z.row(i).first(i + 1));
}

void values(const Arithmetic& arithmetic, MatrixView<const double> z, MatrixView<const double> v, MatrixView<double> out) {
  gemm(arithmetic, z, v, out, Shape::lower_operand);
}

void residual(const Arithmetic& arithmetic, MatrixView<const double> x, MatrixView<const double> y, MatrixView<double> out) {
  visit_arithmetic(arithmetic.mac, all_binary32(x) && all_binary32(y), [&](const auto& fl) {
    for (std::size_t t = 0; t < x.rows; ++t) {
      const std::span<const double> left = x.row(t), right = y.row(t);
      const std::span<double> sum = out.row(t);
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = fl.add(left[i], right[i]);
    }
  });
}

void gelu(const Arithmetic& arithmetic, Activation activation, MatrixView<const double> x, MatrixView<double> out) {
  const Function f = activation == Activation::gelu_new ? Function::gelu_tanh : Function::gelu_erf;
  visit_arithmetic(arithmetic.mac, true, [&](const auto& fl) {  // a function of one operand: the engines agree on any
    for (std::size_t t = 0; t < x.rows; ++t) fl.function(f, x.row(t), out.row(t));
  });
}

void logits(const Arithmetic& arithmetic, const Weights& weights, MatrixView<const double> x, MatrixView<double> out) {
  gemm(arithmetic, x, weights.head, out);
}

}  // namespace lamp
