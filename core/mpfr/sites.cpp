#include "core/mpfr/sites.hpp"

#include <type_traits>

#include "core/mpfr/outputs.hpp"
#include "core/mpfr/steps.hpp"

namespace lamp::mpfr {
namespace {

/// x in the arithmetic's own values, exactly.
template <class Outputs>
Matrix<typename Outputs::Value> lifted(const Outputs& outputs, MatrixView<const double> x) {
  Matrix<typename Outputs::Value> y;
  y.reshape(x.rows, x.cols);
  for (std::size_t i = 0; i < x.rows; ++i)
    for (std::size_t j = 0; j < x.cols; ++j) y(i, j) = outputs(i, j).exactly(x(i, j));
  return y;
}

/// compute(outputs, y) with y of out's shape in the arithmetic's own values; then out = y in the
/// site's entries: causal ones are j <= i and what comes before row 0.
template <class Compute>
void evaluate_site(const Arithmetic& arithmetic, MatrixView<double> out, Entries entries,
                   const Compute& compute) {
  const ExponentRange range = ExponentRange::widest_of_all();
  const auto with = [&](const auto& outputs) {
    using Value = typename std::decay_t<decltype(outputs)>::Value;
    Matrix<Value> y;
    y.reshape(out.rows, out.cols);
    compute(outputs, y.view());
    for (std::size_t i = 0; i < out.rows; ++i) {
      const std::size_t n = steps::entries_of_row(entries, out, i);
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

void embed(const Arithmetic& arithmetic, const EmbeddingWeights& weights,
           std::span<const TokenId> tokens, MatrixView<double> out, std::size_t first) {
  evaluate_site(arithmetic, out, Entries::all, [&](const auto& outputs, auto y) {
    steps::embed(outputs, one_thread, weights, tokens, first, y);
  });
}

void layer_norm(const Arithmetic& arithmetic, const LayerNormWeights& weights, double eps,
                MatrixView<const double> x, MatrixView<double> out) {
  evaluate_site(
      arithmetic, out, Entries::all, [&]<class Value>(const auto& outputs, MatrixView<Value> y) {
        const Matrix<Value> in = lifted(outputs, x);
        steps::layer_norm(outputs, one_thread, of(in), weights.gamma, weights.beta, eps, y);
      });
}

void rms_norm(const Arithmetic& arithmetic, const RmsNormWeights& weights, double eps,
              MatrixView<const double> x, MatrixView<double> out) {
  evaluate_site(arithmetic, out, Entries::all,
                [&]<class Value>(const auto& outputs, MatrixView<Value> y) {
                  const Matrix<Value> in = lifted(outputs, x);
                  steps::rms_norm(outputs, one_thread, of(in), weights.gamma, eps, y);
                });
}

void linear(const Arithmetic& arithmetic, const Linear& layer, MatrixView<const double> x,
            MatrixView<double> out) {
  evaluate_site(
      arithmetic, out, Entries::all, [&]<class Value>(const auto& outputs, MatrixView<Value> y) {
        const Matrix<Value> in = lifted(outputs, x);
        const auto weight = [&](std::size_t k, std::size_t j) { return layer.weight.at(k, j); };
        steps::linear(outputs, one_thread, of(in), weight, layer.bias, y);
      });
}

void scores(const Arithmetic& arithmetic, MatrixView<const double> q, MatrixView<const double> k,
            MatrixView<double> out, double divisor) {
  evaluate_site(arithmetic, out, Entries::causal,
                [&]<class Value>(const auto& outputs, MatrixView<Value> y) {
                  const Matrix<Value> queries = lifted(outputs, q), keys = lifted(outputs, k);
                  steps::scores(outputs, one_thread, of(queries), of(keys), divisor, y);
                });
}

void softmax(const Arithmetic& arithmetic, MatrixView<const double> y, MatrixView<double> z,
             Entries entries) {
  evaluate_site(arithmetic, z, entries,
                [&]<class Value>(const auto& outputs, MatrixView<Value> out) {
                  const Matrix<Value> in = lifted(outputs, y);
                  steps::softmax(outputs, one_thread, of(in), out, entries);
                });
}

void values(const Arithmetic& arithmetic, MatrixView<const double> z, MatrixView<const double> v,
            MatrixView<double> out) {
  evaluate_site(
      arithmetic, out, Entries::all, [&]<class Value>(const auto& outputs, MatrixView<Value> y) {
        const Matrix<Value> probabilities = lifted(outputs, z), v_values = lifted(outputs, v);
        steps::values(outputs, one_thread, of(probabilities), of(v_values), y);
      });
}

void residual(const Arithmetic& arithmetic, MatrixView<const double> x, MatrixView<const double> y,
              MatrixView<double> out) {
  evaluate_site(arithmetic, out, Entries::all,
                [&]<class Value>(const auto& outputs, MatrixView<Value> sum) {
                  const Matrix<Value> left = lifted(outputs, x), right = lifted(outputs, y);
                  steps::residual(outputs, one_thread, of(left), of(right), sum);
                });
}

void product(const Arithmetic& arithmetic, MatrixView<const double> x, MatrixView<const double> y,
             MatrixView<double> out) {
  evaluate_site(arithmetic, out, Entries::all,
                [&]<class Value>(const auto& outputs, MatrixView<Value> products) {
                  const Matrix<Value> left = lifted(outputs, x), right = lifted(outputs, y);
                  steps::elementwise_product(outputs, one_thread, of(left), of(right), products);
                });
}

void rope(const Arithmetic& arithmetic, const Rope& frequencies, std::size_t d_head,
          std::size_t first, MatrixView<const double> x, MatrixView<double> out) {
  evaluate_site(arithmetic, out, Entries::all,
                [&]<class Value>(const auto& outputs, MatrixView<Value> y) {
                  const Matrix<Value> in = lifted(outputs, x);
                  steps::rope(outputs, one_thread, frequencies, d_head, first, of(in), y);
                });
}

void activate(const Arithmetic& arithmetic, Activation activation, MatrixView<const double> x,
              MatrixView<double> out) {
  evaluate_site(arithmetic, out, Entries::all,
                [&]<class Value>(const auto& outputs, MatrixView<Value> y) {
                  const Matrix<Value> in = lifted(outputs, x);
                  steps::activate(outputs, one_thread, activation, of(in), y);
                });
}

}  // namespace lamp::mpfr
