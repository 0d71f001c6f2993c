// The weights of a GPT-2 as matrices of the oracle's scalar: exactly the model's numbers.
#pragma once

#include <cstddef>
#include <vector>

#include "analysis/oracle/operations.hpp"
#include "core/model/weights.hpp"

namespace lamp::oracle {

template <class T>
struct Gain {
  Row<T> gamma, beta;  // (n_embd)
};

template <class T>
struct Affine {
  Matrix<T> weight;  // (in, out)
  Row<T> bias;       // (out)
};

template <class T>
struct LayerWeights {
  Gain<T> ln_1;
  Affine<T> qkv, attn_proj;
  Gain<T> ln_2;
  Affine<T> mlp_fc, mlp_proj;
};

template <class T>
struct Weights {
  /// Pre: the model's network is gpt2.
  explicit Weights(const Model& model);

  std::size_t heads;
  T eps;  // config.json's binary64 number
  Activation activation;
  std::vector<double> divisors;  // of the scores of each layer, after sqrt d_head
  Matrix<T> tokens, positions;   // (vocab_size, n_embd), (n_positions, n_embd)
  std::vector<LayerWeights<T>> layers;
  Gain<T> ln_f;
  Matrix<T> head;  // (n_embd, vocab_size); the token vectors where tied

  [[nodiscard]] Index width() const { return tokens.cols(); }
  [[nodiscard]] Index d_head() const { return width() / static_cast<Index>(heads); }
};

template <class T, class At>
Matrix<T> matrix_of(std::size_t rows, std::size_t cols, const At& at) {
  Matrix<T> out(rows, cols);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < cols; ++j)
      out(static_cast<Index>(i), static_cast<Index>(j)) = T(static_cast<double>(at(i, j)));
  return out;
}

template <class T>
Row<T> row_of(const std::vector<double>& x) {
  return matrix_of<T>(1, x.size(), [&](std::size_t, std::size_t j) { return x[j]; });
}

template <class T>
Weights<T>::Weights(const Model& model)
    : heads(model.config.n_head),
      eps(model.config.layer_norm_epsilon),
      activation(model.config.activation) {
  expects(model.config.network->model_type == "gpt2", "oracle::Weights: a GPT-2");
  const auto gain = [&](Site site, Layer layer) {
    const LayerNormWeights& w = model.weights.at<LayerNormWeights>(site, layer);
    return Gain<T>{row_of<T>(w.gamma), row_of<T>(w.beta)};
  };
  const auto affine = [&](Site site, Layer layer) {
    const Linear& w = model.weights.at<Linear>(site, layer);
    const auto at = [&](std::size_t k, std::size_t j) { return w.weight.at(k, j); };
    return Affine<T>{matrix_of<T>(w.weight.rows(), w.weight.cols(), at), row_of<T>(w.bias)};
  };
  const EmbeddingWeights& embedding = model.weights.at<EmbeddingWeights>(Site::embed);
  tokens = matrix_of<T>(embedding.tokens.rows(), embedding.tokens.cols(), embedding.tokens);
  positions =
      matrix_of<T>(embedding.positions.rows(), embedding.positions.cols(), embedding.positions);
  for (std::size_t l = 0; l < model.config.n_layer; ++l) {
    divisors.push_back(model.config.score_divisor(Layer{l}));
    layers.push_back({gain(Site::ln_1, Layer{l}), affine(Site::qkv, Layer{l}),
                      affine(Site::attn_proj, Layer{l}), gain(Site::ln_2, Layer{l}),
                      affine(Site::mlp_fc, Layer{l}), affine(Site::mlp_proj, Layer{l})});
  }
  ln_f = gain(Site::ln_f, Layer{});
  head = affine(Site::logits, Layer{}).weight;
}

}  // namespace lamp::oracle
