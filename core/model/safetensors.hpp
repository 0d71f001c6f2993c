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

namespace lamp {

enum class TensorType : std::uint8_t { f32, f16, bf16, other };  // other: known to the format, not to us (I64, BOOL, U8, ..)

struct Tensor {
  TensorType type = TensorType::f32;
  std::string type_name;
  std::vector<std::size_t> shape;
  std::span<const std::byte> bytes;
  [[nodiscard]] std::size_t size() const;  // product of shape
};

class Safetensors {
 public:
  static Result<Safetensors> open(const std::filesystem::path& file);
  [[nodiscard]] const std::map<std::string, Tensor, std::less<>>& tensors() const { return tensors_; }
  [[nodiscard]] std::span<const std::byte> file_bytes() const;

 private:
  struct Mapping;
  std::shared_ptr<Mapping> mapping_;
  std::map<std::string, Tensor, std::less<>> tensors_;
};

/// Elements in order, converted exactly (binary16 and bfloat16 are subsets of binary32).
std::vector<float> to_binary32(const Tensor& tensor);

}  // namespace lamp
