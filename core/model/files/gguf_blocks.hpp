// The element types of GGUF tensors that are read: plain numbers, and blocks of neighbours of a row
// that share a scale.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lamp {

/// Blocks of `elements` numbers in `bytes` bytes each. With codes q and binary16 numbers d, m of a
/// block, an element in binary32 is
///   Q8_0: q d, q of 8 bits       Q4_0: (q - 8) d        Q4_1: q d + m, both q of 4 bits
///   Q6_K: (d s) (q - 32), q of 6 bits, s of 8 bits for each 16 elements.
/// Products have at most 11 + 7 + 5 bits (or a power of 2), so they are exact; the sum of Q4_1 is
/// rounded once, RNE. No order of evaluation gives other bits, fused or not. Subnormal results do
/// not occur.
/// Source: ggml (ggml-quants.c, dequantize_row_*).
struct BlockType {
  std::uint32_t code;  // in the file
  std::string_view name;
  std::size_t elements, bytes;
  /// Whole blocks. Pre: as many numbers as the bytes hold.
  void (*decode)(std::span<const std::byte> blocks, std::span<float> out);
};

std::span<const BlockType> block_types();
/// Null: not read.
const BlockType* find_block_type(std::uint32_t code);
/// What ggml calls a code, or its number: for messages.
std::string block_type_name(std::uint32_t code);

}  // namespace lamp
