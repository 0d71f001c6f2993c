// The weights of a network in the form the forward pass uses.
#pragma once

#include <filesystem>
#include <map>
#include <utility>
#include <variant>
#include <vector>

#include "core/arith/gemm/gemm.hpp"
#include "core/base/index.hpp"
#include "core/base/matrix.hpp"
#include "core/base/sha256.hpp"
#include "core/model/files/config.hpp"
#include "core/model/networks/network.hpp"
#include "core/model/site.hpp"

namespace lamp {

struct Linear {
  PackedMatrix weight;       // (in, out)
  std::vector<double> bias;  // (out), or empty: none is added
};

struct LayerNormWeights {
  std::vector<double> gamma, beta;  // (n_embd)
};

struct RmsNormWeights {
  std::vector<double> gamma;  // (n_embd)
};

struct EmbeddingWeights {
  Matrix<float> tokens;     // (vocab_size, n_embd)
  Matrix<float> positions;  // (n_positions, n_embd), or empty: the network has none
};

/// The weights of one site in one layer; std::monostate where its operation has none.
using SiteWeights =
    std::variant<std::monostate, EmbeddingWeights, LayerNormWeights, RmsNormWeights, Linear>;

class Weights {
 public:
  /// Adds the weights of the site's next layer.
  void add(Site site, SiteWeights weights) { by_site_[site].push_back(std::move(weights)); }
  /// Calls change(SiteWeights&) for those of every site in every layer.
  template <class Change>
  void for_each(Change&& change) {
    for (auto& [site, layers] : by_site_)
      for (SiteWeights& weights : layers) change(weights);
  }
  void reserve(Site site, std::size_t layers) { by_site_[site].reserve(layers); }
  /// Pre: the site's operation has weights of this type.
  template <class Of>
  [[nodiscard]] const Of& at(Site site, Layer layer = Layer{}) const {
    const auto found = by_site_.find(site);
    expects(found != by_site_.end() && layer.value < found->second.size(),
            "Weights: a site of the network, and a layer of it");
    const SiteWeights& weights = found->second[layer.value];
    expects(std::holds_alternative<Of>(weights),
            "Weights: of the kind that the site's operation takes");
    return std::get<Of>(weights);
  }

 private:
  std::map<Site, std::vector<SiteWeights>> by_site_;  // by layer
};

/// A model folder: config.json and model.safetensors, validated against each other.
struct Model {
  ModelConfig config;
  Weights weights;
  /// Sites whose bias (beta) the checkpoint leaves out, where their network has one: none is added.
  std::vector<Site> without_bias{};
  bool tie_overruled = false;  // config.json ties the head, the checkpoint has another one
  Digest content{};  // SHA-256 over config.json's meaning and the bytes of model.safetensors, or of
                     // its shards in the order of their names; never over paths
};

/// Reads an HF folder of one of networks(), or a GGUF (files/gguf_model.hpp). Names with or without
/// the network's prefix
/// (`transformer.`); the tensors that it ignores (GPT-2's masks) may be there; a head equal to the
/// token vectors counts as tied, another one unties; a tied head may stand for the token vectors;
/// any other extra, missing or mis-shaped tensor is an error that names it and the shape it should
/// have. NaN or Inf weights are an error naming tensor and index.
Result<Model> read_model(const std::filesystem::path& folder);

/// The same without reading an element of any tensor, whatever the size of the file: a model that
/// has no weights and whose content is 0. Every error of read_model that config.json and the header
/// of model.safetensors show. A head counts as untied, whatever its bits.
Result<Model> read_model_without_weights(const std::filesystem::path& folder);

}  // namespace lamp
