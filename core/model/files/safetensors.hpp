// The safetensors file format: memory-mapped, every byte range validated before any of it is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/matrix.hpp"
#include "core/base/result.hpp"
#include "core/base/sha256.hpp"

namespace lamp {

enum class TensorType : std::uint8_t {
  f32,
  f16,
  bf16,
  f64,
  blocks,  // of a GGUF, which reads them itself
  other    // known to the format, not to us (I64, BOOL, U8, ..)
};

struct Tensor {
  TensorType type = TensorType::f32;
  std::string type_name;
  std::vector<std::size_t> shape;
  std::span<const std::byte> bytes;
  [[nodiscard]] std::size_t size() const;  // product of shape
};

/// A file that passed every check of the format: 8 bytes of header length (little endian, at most
/// 100,000,000, within the file), a JSON object without duplicate keys, tensors of known dtype
/// whose sizes are shape times dtype and which cover the rest of the file from its first byte to
/// its last without hole or overlap. Anything else is bad_data, one line naming the byte offset or
/// the tensor, before anything of the size that the file claims is allocated.
///
/// A file that is shortened while it is open: the views (`Tensor::bytes`, `file_bytes`) are of the
/// mapping, so touching them past the new end is SIGBUS; they are for files that nobody writes to.
/// `read` and `hash` take the same bytes through the system call instead and return an error; what
/// loads a model uses those only.
class Safetensors {
 public:
  static Result<Safetensors> open(const std::filesystem::path& file);
  [[nodiscard]] const std::map<std::string, Tensor, std::less<>>& tensors() const {
    return tensors_;
  }
  [[nodiscard]] std::span<const std::byte> file_bytes() const;

  /// to_binary32 of a tensor of this file into `out`, safe against truncation (ExitCode::io).
  /// Pre: out.size() == tensor.size() and the type is not other.
  [[nodiscard]] Result<void> read(const Tensor& tensor, std::span<float> out) const;
  /// Appends the whole file's bytes to `hash`, safe against truncation.
  [[nodiscard]] Result<void> hash(Sha256& hash) const;
  /// An error when the file's size or modification time changed since `open`: call it after the
  /// last `read`.
  [[nodiscard]] Result<void> unchanged() const;

 private:
  struct Mapping;
  std::shared_ptr<Mapping> mapping_;
  std::map<std::string, Tensor, std::less<>> tensors_;
};

/// Elements in order: binary16 and bfloat16, subsets of binary32, exactly; binary64 rounded RNE.
std::vector<float> to_binary32(const Tensor& tensor);

}  // namespace lamp
