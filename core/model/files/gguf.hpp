// GGUF, the file format of llama.cpp's models (versions 2 and 3, little endian): metadata and
// tensors, every count, length and range checked against the file before it is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/base/result.hpp"
#include "core/base/sha256.hpp"
#include "core/model/files/gguf_blocks.hpp"

namespace lamp {

/// A value of the metadata. Numbers are widened; a list has one type.
using GgufValue =
    std::variant<bool, std::uint64_t, std::int64_t, double, std::string, std::vector<std::int64_t>,
                 std::vector<double>, std::vector<std::string>>;

struct GgufTensor {
  const BlockType* type = nullptr;
  std::vector<std::size_t> shape;  // numbers of the last extent are neighbours
  std::uint64_t begin = 0;         // byte of the file

  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::uint64_t bytes() const { return size() / type->elements * type->bytes; }
};

/// A file that passed every check: keys and names once each, UTF-8; lists of at most 2^24 elements,
/// not nested; tensors of 1 to 4 extents above 0 and of a type that is read, rows of whole blocks,
/// aligned, within the file, none in another. Anything else is bad_data, one line naming the byte
/// offset, key or tensor, before anything of the size that the file claims is allocated.
class Gguf {
 public:
  static Result<Gguf> open(const std::filesystem::path& file);

  [[nodiscard]] std::string path() const;
  [[nodiscard]] const std::map<std::string, GgufValue, std::less<>>& metadata() const {
    return metadata_;
  }
  [[nodiscard]] const std::map<std::string, GgufTensor, std::less<>>& tensors() const {
    return tensors_;
  }
  /// Elements from number `first` on. Pre: whole blocks of a tensor of this file.
  [[nodiscard]] Result<void> read(const GgufTensor& tensor, std::size_t first,
                                  std::span<float> out) const;
  /// Appends the file's bytes.
  [[nodiscard]] Result<void> hash(Sha256& hash) const;
  /// An error when the file's size or modification time changed since `open`.
  [[nodiscard]] Result<void> unchanged() const;

 private:
  struct File;
  std::shared_ptr<const File> file_;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::map<std::string, GgufTensor, std::less<>> tensors_;
};

/// The GGUF file that holds the weights of a model at `path`: `path` itself where it ends in .gguf,
/// or the only such file of a folder without safetensors; nothing elsewhere. Several in a folder
/// are an error.
Result<std::optional<std::filesystem::path>> find_gguf(const std::filesystem::path& path);

}  // namespace lamp
