// The files of one checkpoint: model.safetensors, the shards that model.safetensors.index.json
// names, or one GGUF.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/base/sha256.hpp"
#include "core/model/files/gguf_model.hpp"
#include "core/model/files/safetensors.hpp"

namespace lamp {

class TensorFiles {
 public:
  /// Where the folder has model.safetensors, that alone. Else the shards: the index is a JSON
  /// object with a "weight_map" {"tensor": "FILE.safetensors"}, files of the same folder; every
  /// tensor is in the file that the index says, in no other, and the files have no more. A
  /// checkpoint in a form that is not read (PyTorch's pickles, Flax, TensorFlow, adapters) is
  /// bad_data, with the command that makes safetensors of it where there is one. A path to a GGUF
  /// is that file; a folder whose only weights are one, too.
  static Result<TensorFiles> open(const std::filesystem::path& folder);
  /// The GGUF, which is its own config.json; null where the files are safetensors.
  [[nodiscard]] const GgufModel* gguf() const { return gguf_.get(); }

  /// Of all files.
  [[nodiscard]] const std::map<std::string, const Tensor*, std::less<>>& tensors() const {
    return tensors_;
  }
  /// model.safetensors, the index or the GGUF: what messages name.
  [[nodiscard]] const std::string& path() const { return path_; }
  /// As Safetensors::read. Pre: one of tensors().
  [[nodiscard]] Result<void> read(const Tensor& tensor, std::span<float> out) const;
  /// Appends the bytes of each file, in the order of their names.
  [[nodiscard]] Result<void> hash(Sha256& hash) const;
  [[nodiscard]] Result<void> unchanged() const;

 private:
  Result<void> add(const std::filesystem::path& file);
  Result<void> add_shards(const std::filesystem::path& index);

  std::string path_;
  std::shared_ptr<const GgufModel> gguf_;
  std::map<std::string, Safetensors> files_;  // by name
  std::map<std::string, const Tensor*, std::less<>> tensors_;
  std::map<const Tensor*, const Safetensors*> file_of_;
};

}  // namespace lamp
