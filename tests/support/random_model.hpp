// Models of random weights, of any network: every element uniform in (-1, 1), a binary32 number,
// times a scale.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/contract.hpp"
#include "core/model/weights.hpp"
#include "experiments/bench/random_model.hpp"
#include "tests/support/random.hpp"

namespace lamp::test {

/// scale: a power of two.
inline Model random_model(const ModelConfig& config, std::uint32_t seed = 8, float scale = 1.0F) {
  Random random(seed);
  const auto element = [&] { return scale * static_cast<float>(random.symmetric()); };
  return experiments::bench::random_model(config, element, element);
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
