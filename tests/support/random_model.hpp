// Models of random weights, of any network: every element uniform in (-1, 1), a binary32 number,
// times a scale.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/contract.hpp"
#include "core/model/weights.hpp"
#include "tests/support/random.hpp"

namespace lamp::test {

/// scale: a power of two.
inline Model random_model(const ModelConfig& config, std::uint32_t seed = 8, float scale = 1.0F) {
  Random random(seed);
  Model model;
  model.config = config;
  const auto matrix = [&](const TensorRow& tensor) {
    Matrix<float> x(tensor.rows(config), tensor.cols == nullptr ? 1 : tensor.cols(config));
    for (float& value : x.flat()) value = scale * static_cast<float>(random.symmetric());
    return x;
  };
  const auto vector = [&](const TensorRow& tensor) {
    if (tensor.present != nullptr && !tensor.present(config)) return std::vector<double>();
    const Matrix<float> x = matrix(tensor);
    return std::vector<double>(x.flat().begin(), x.flat().end());
  };
  const auto packed = [&](const TensorRow& tensor, bool transposed) {
    const Matrix<float> x = matrix(tensor);
    return PackedMatrix(transposed ? x.view().transposed() : x.view());
  };
  const auto weights_of = [&](const SiteRow& row) -> SiteWeights {
    if (row.operation == Operation::embed) {
      Matrix<float> tokens = matrix(row.tensors[0]);
      return EmbeddingWeights{std::move(tokens), matrix(row.tensors[1])};
    }
    if (row.operation == Operation::embed_tokens)
      return EmbeddingWeights{matrix(row.tensors[0]), {}};
    if (row.operation == Operation::layer_norm) {
      std::vector<double> gamma = vector(row.tensors[0]);
      return LayerNormWeights{std::move(gamma), vector(row.tensors[1])};
    }
    if (row.operation == Operation::rms_norm) return RmsNormWeights{vector(row.tensors[0])};
    if (row.operation == Operation::linear) {
      PackedMatrix weight = packed(row.tensors[0], row.output_first);
      return Linear{std::move(weight), vector(row.tensors[1])};
    }
    if (row.operation == Operation::logits) return Linear{packed(row.tensors[0], true), {}};
    return {};
  };
  for (const SiteRow& row : config.network->sites)
    for (std::size_t l = 0; l < layers_of(config, row.site); ++l)
      model.weights.add(row.site, weights_of(row));
  return model;
}

inline const Network& network_called(std::string_view model_type) {
  for (const Network* network : networks())
    if (network->model_type == model_type) return *network;
  contract_violated("network_called: one of networks()");
}

/// 2 layers, 4 heads of 6 on 2 groups (sqrt 6 is no binary number, 24 is not n_embd), biases, and
/// frequencies of all three kinds that llama3 makes.
inline Model random_llama(std::size_t positions = 9, std::uint32_t seed = 8) {
  return random_model({.network = &network_called("llama"),
                       .vocab_size = 23,
                       .n_positions = positions,
                       .n_embd = 20,
                       .n_layer = 2,
                       .n_head = 4,
                       .n_inner = 14,
                       .layer_norm_epsilon = 0x1.4f8b588e368f1p-10,  // no binary32 number
                       .activation = Activation::silu,
                       .end_of_text = {},
                       .llama = LlamaShape{.n_kv_head = 2,
                                           .d_head = 6,
                                           .rope = {.theta = 100.0,
                                                    .scaling = Rope::Llama3{.factor = 4.0,
                                                                            .low = 1.0,
                                                                            .high = 4.0,
                                                                            .positions = 48.0}},
                                           .qkv_bias = true,
                                           .mlp_bias = true}},
                      seed);
}

}  // namespace lamp::test
