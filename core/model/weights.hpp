// The weights of a GPT-2 in the form the forward pass uses.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/arith/gemm/gemm.hpp"
#include "core/base/matrix.hpp"
#include "core/base/sha256.hpp"
#include "core/model/files/config.hpp"

namespace lamp {

struct Linear {
  PackedMatrix weight;       // (in, out)
  std::vector<double> bias;  // (out)
};

struct LayerNormWeights {
  std::vector<double> gamma, beta;  // (n_embd)
};

struct BlockWeights {
  LayerNormWeights ln_1, ln_2;
  Linear qkv, attn_proj, mlp_fc, mlp_proj;
};

struct Weights {
  Matrix<float> wte;  // (vocab_size, n_embd)
  Matrix<float> wpe;  // (n_positions, n_embd)
  std::vector<BlockWeights> blocks;
  LayerNormWeights ln_f;
  PackedMatrix head;  // (n_embd, vocab_size): wte transposed where tied
};

/// A model folder: config.json and model.safetensors, validated against each other.
struct Model {
  ModelConfig config;
  Weights weights;
  Digest content{};  // SHA-256 over config.json's meaning and model.safetensors' bytes; never over
                     // paths
};

/// Reads an HF folder. Names with or without `transformer.`; `h.N.attn.bias` and
/// `h.N.attn.masked_bias` are ignored; an `lm_head.weight` equal to wte counts as tied, another one
/// unties; any other extra, missing or mis-shaped tensor is an error that names it and the shape it
/// should have. NaN or Inf weights are an error naming tensor and index.
Result<Model> read_model(const std::filesystem::path& folder);

}  // namespace lamp
