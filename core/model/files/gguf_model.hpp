// A model in a GGUF file, in the terms of a network: what its config.json would say, its tensors
// under their published names and in their published layout, and its tokenizer.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/model/files/config.hpp"
#include "core/model/files/gguf.hpp"
#include "core/model/files/safetensors.hpp"

namespace lamp {

/// Read are the architectures gpt2 and llama. Numbers that GGUF keeps in binary32 are those that
/// their shortest decimals stand for: 1e-5, as in config.json.
class GgufModel {
 public:
  static Result<GgufModel> open(const std::filesystem::path& file);

  [[nodiscard]] std::string path() const { return gguf_.path(); }
  /// The text of config.json.
  [[nodiscard]] const std::string& config() const { return config_; }
  /// By published name, without the network's prefix; they have no bytes.
  [[nodiscard]] const std::map<std::string, Tensor, std::less<>>& tensors() const {
    return tensors_;
  }
  /// The elements of a tensor, in its shape. Pre: one of tensors().
  [[nodiscard]] Result<void> read(const Tensor& tensor, std::span<float> out) const;
  [[nodiscard]] Result<void> hash(Sha256& hash) const { return gguf_.hash(hash); }
  [[nodiscard]] Result<void> unchanged() const { return gguf_.unchanged(); }

 private:
  explicit GgufModel(Gguf gguf) : gguf_(std::move(gguf)) {}

  Gguf gguf_;
  std::string config_;
  std::map<std::string, Tensor, std::less<>> tensors_;
  struct Source {
    const GgufTensor* tensor = nullptr;
    bool transposed = false;
    std::size_t head_rows = 0;  // of a head whose rows rotary positions have reordered; 0: none
  };
  std::map<const Tensor*, Source> sources_;
};

/// The config of the model at a path: of a GGUF, or of the folder's config.json.
Result<ModelConfig> read_config_of_model(const std::filesystem::path& path);

/// The text of tokenizer.json that the metadata of a GGUF stand for: byte-level BPE (model gpt2),
/// words cut as `pre` says. Null where they name no tokens.
Result<nlohmann::json> gguf_tokenizer(const Gguf& gguf);

}  // namespace lamp
