#include "core/mpfr/sites.hpp"

#include <type_traits>

#include "core/mpfr/outputs.hpp"
#include "core/mpfr/steps.hpp"

namespace lamp::mpfr {
namespace {

template <class Value>
Matrix<Value> lifted(MatrixView<const double> x) {
  Matrix<Value> y;
  y.reshape(x.rows, x.cols);
  for (std::size_t i = 0; i < x.rows; ++i)
    for (std::size_t j = 0; j < x.cols; ++j) {
      if constexpr (std::is_same_v<Value, double>)
        y(i, j) = x(i, j);
      else
        y(i, j) = Number::exactly(x(i, j));
    }
  return y;
}

/// compute(outputs, y) with y of out's shape in the arithmetic's own values; then out = y where it
/// exists: of a causal site j <= i and what comes before row 0.
template <class Compute>
void evaluate_site(const Arithmetic& arithmetic, MatrixView<double> out, bool causal,
                   const Compute& compute) {
  const ExponentRange range = ExponentRange::widest_of_all();
  const auto with = [&](const auto& outputs) {
    using Value = typename std::decay_t<decltype(outputs)>::Value;
    Matrix<Value> y;
    y.reshape(out.rows, out.cols);
    compute(outputs, y.view());
    for (std::size_t i = 0; i < out.rows; ++i) {
      const std::size_t n = causal ? steps::Causal{out.cols - out.rows}.entries(i) : out.cols;
      for (std::size_t j = 0; j < n; ++j) out(i, j) = to_binary64(y(i, j));
    }
  };
  if (is_unlimited(arithmetic))
    with(UnlimitedOutputs{arithmetic});
  else
    with(RoundedOutputs{arithmetic});
}

template <class Value>
MatrixView<const Value> of(const Matrix<Value>& x) {
  return x.view();
}

constexpr std::size_t one_thread = 1;

}  // namespace

void embed(const Arithmetic& arithmetic, const Weights& weights, std::span<const TokenId> tokens,
           MatrixView<double> out, std::size_t first) {
  evaluate_site(arithmetic, out, false, [&](const auto& outputs, auto y) {
    steps::elementwise(outputs, one_thread, y, [&](const auto& fl, std::size_t t, std::size_t i) {
      return fl.add(fl.exactly(static_cast<double>(weights.wte(tokens[t], i))),
                    fl.exactly(static_cast<double>(weights.wpe(first + t, i))));
    });
  });
}

void layer_norm(const Arithmetic& arithmetic, const LayerNormWeights& weights, double eps,
                MatrixView<const double> x, MatrixView<double> out) {
  evaluate_site(arithmetic, out, false, [&]<class Value>(const auto& outputs, MatrixView<Value> y) {
    const Matrix<Value> in = lifted<Value>(x);
    steps::layer_norm(outputs, one_thread, of(in), weights.gamma, weights.beta, eps, y);
  });
}

void linear(const Arithmetic& arithmetic, const Linear& layer, MatrixView<const double> x,
            MatrixView<double> out) {
  evaluate_site(arithmetic, out, false, [&]<class Value>(const auto& outputs, MatrixView<Value> y) {
    const Matrix<Value> in = lifted<Value>(x);
    const auto weight = [&](std::size_t k, std::size_t j) { return layer.weight.at(k, j); };
    steps::linear(outputs, one_thread, of(in), weight, layer.bias, y);
  });
}

void scores(const Arithmetic& arithmetic, MatrixView<const double> q, MatrixView<const double> k,
            MatrixView<double> out) {
  evaluate_site(arithmetic, out, true, [&]<class Value>(const auto& outputs, MatrixView<Value> y) {
    const Matrix<Value> queries = lifted<Value>(q), keys = lifted<Value>(k);
    steps::scores(outputs, one_thread, of(queries), of(keys), y);
  });
}

void softmax(const Arithmetic& arithmetic, MatrixView<const double> y, MatrixView<double> z) {
  evaluate_site(arithmetic, z, true, [&]<class Value>(const auto& outputs, MatrixView<Value> out) {
    const Matrix<Value> in = lifted<Value>(y);
    steps::softmax(outputs, one_thread, of(in), out);
  });
}

void values(const Arithmetic& arithmetic, MatrixView<const double> z, MatrixView<const double> v,
            MatrixView<double> out) {
  evaluate_site(arithmetic, out, false, [&]<class Value>(const auto& outputs, MatrixView<Value> y) {
    const Matrix<Value> probabilities = lifted<Value>(z), v_values = lifted<Value>(v);
    steps::values(outputs, one_thread, of(probabilities), of(v_values), y);
  });
}

void residual(const Arithmetic& arithmetic, MatrixView<const double> x, MatrixView<const double> y,
              MatrixView<double> out) {
  evaluate_site(arithmetic, out, false, [&](const auto& outputs, auto sum) {
    steps::elementwise(outputs, one_thread, sum, [&](const auto& fl, std::size_t i, std::size_t j) {
      return fl.add(fl.exactly(x(i, j)), fl.exactly(y(i, j)));
    });
  });
}

void gelu(const Arithmetic& arithmetic, Activation activation, MatrixView<const double> x,
          MatrixView<double> out) {
  const Function f = activation == Activation::gelu_new ? Function::gelu_tanh : Function::gelu_erf;
  evaluate_site(arithmetic, out, false, [&](const auto& outputs, auto y) {
    steps::elementwise(outputs, one_thread, y, [&](const auto& fl, std::size_t i, std::size_t j) {
      return fl.function(f, fl.exactly(x(i, j)));
    });
  });
}

void logits(const Arithmetic& arithmetic, const Weights& weights, MatrixView<const double> x,
            MatrixView<double> out) {
  evaluate_site(arithmetic, out, false, [&]<class Value>(const auto& outputs, MatrixView<Value> y) {
    const Matrix<Value> in = lifted<Value>(x);
    steps::linear(
        outputs, one_thread, of(in),
        [&](std::size_t k, std::size_t v) { return weights.head.at(k, v); }, {}, y);
  });
}

}  // namespace lamp::mpfr
