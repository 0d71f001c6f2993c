#include "core/model/files/gguf_blocks.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "core/model/files/half.hpp"

namespace lamp {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is little endian");

using Bytes = std::span<const std::byte>;

std::uint16_t code_at(Bytes bytes, std::size_t at) {
  std::uint16_t code = 0;
  std::memcpy(&code, &bytes[at], sizeof code);
  return code;
}
float half_at(Bytes bytes, std::size_t at) { return from_binary16(code_at(bytes, at)); }
int unsigned_at(Bytes bytes, std::size_t at) { return std::to_integer<int>(bytes[at]); }
float signed_at(Bytes bytes, std::size_t at) {
  return static_cast<float>(std::to_integer<std::int8_t>(bytes[at]));
}
/// The low or high four bits of a byte.
int nibble(Bytes bytes, std::size_t at, bool high) {
  return high ? unsigned_at(bytes, at) >> 4 : unsigned_at(bytes, at) & 15;
}

void decode_f32(Bytes bytes, std::span<float> out) {
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
}
void decode_f16(Bytes bytes, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = from_binary16(code_at(bytes, 2 * i));
}
void decode_bf16(Bytes bytes, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = from_bfloat16(code_at(bytes, 2 * i));
}

/// block(bytes of a block, its elements) for each.
template <std::size_t size, std::size_t elements, class Block>
void each_block(Bytes bytes, std::span<float> out, const Block& block) {
  for (; !out.empty(); bytes = bytes.subspan(size), out = out.subspan(elements))
    block(bytes.first(size), out.first(elements));
}

/// d, 32 codes.
void decode_q8_0(Bytes bytes, std::span<float> out) {
  each_block<34, 32>(bytes, out, [](Bytes block, std::span<float> y) {
    const float d = half_at(block, 0);
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = signed_at(block, 2 + i) * d;
  });
}

/// d, 16 bytes; elements i and i + 16 share byte i.
void decode_q4_0(Bytes bytes, std::span<float> out) {
  each_block<18, 32>(bytes, out, [](Bytes block, std::span<float> y) {
    const float d = half_at(block, 0);
    for (std::size_t i = 0; i < y.size(); ++i)
      y[i] = static_cast<float>(nibble(block, 2 + i % 16, i >= 16) - 8) * d;
  });
}

/// d, m, 16 bytes as in Q4_0.
void decode_q4_1(Bytes bytes, std::span<float> out) {
  each_block<20, 32>(bytes, out, [](Bytes block, std::span<float> y) {
    const float d = half_at(block, 0), m = half_at(block, 2);
    for (std::size_t i = 0; i < y.size(); ++i)
      y[i] = static_cast<float>(nibble(block, 4 + i % 16, i >= 16)) * d + m;
  });
}

/// 128 bytes of low halves, 64 of high quarters, 16 scales, d. Element 128 h + 32 p + i, p < 4, i <
/// 32, has its low bits in byte 64 h + 32 (p mod 2) + i, in the half p / 2 of it, and its high ones
/// in byte 32 h + i, at bit 2 p.
void decode_q6_k(Bytes bytes, std::span<float> out) {
  each_block<210, 256>(bytes, out, [](Bytes block, std::span<float> y) {
    const Bytes low = block.first(128), high = block.subspan(128, 64), scales = block.subspan(192);
    const float d = half_at(block, 208);
    for (std::size_t e = 0; e < y.size(); ++e) {
      const std::size_t h = e / 128, p = e / 32 % 4, i = e % 32;
      const int q = nibble(low, 64 * h + 32 * (p % 2) + i, p >= 2) |
                    ((unsigned_at(high, 32 * h + i) >> (2 * p)) & 3) << 4;
      y[e] = d * signed_at(scales, e / 16) * static_cast<float>(q - 32);
    }
  });
}

constexpr std::array<BlockType, 7> types{{{0, "F32", 1, 4, decode_f32},
                                          {1, "F16", 1, 2, decode_f16},
                                          {30, "BF16", 1, 2, decode_bf16},
                                          {8, "Q8_0", 32, 34, decode_q8_0},
                                          {2, "Q4_0", 32, 18, decode_q4_0},
                                          {3, "Q4_1", 32, 20, decode_q4_1},
                                          {14, "Q6_K", 256, 210, decode_q6_k}}};

constexpr std::array<std::pair<std::uint32_t, std::string_view>, 19> others{{{6, "Q5_0"},
                                                                             {7, "Q5_1"},
                                                                             {9, "Q8_1"},
                                                                             {10, "Q2_K"},
                                                                             {11, "Q3_K"},
                                                                             {12, "Q4_K"},
                                                                             {13, "Q5_K"},
                                                                             {15, "Q8_K"},
                                                                             {16, "IQ2_XXS"},
                                                                             {17, "IQ2_XS"},
                                                                             {18, "IQ3_XXS"},
                                                                             {19, "IQ1_S"},
                                                                             {20, "IQ4_NL"},
                                                                             {21, "IQ3_S"},
                                                                             {22, "IQ2_S"},
                                                                             {23, "IQ4_XS"},
                                                                             {28, "F64"},
                                                                             {29, "IQ1_M"},
                                                                             {39, "MXFP4"}}};

}  // namespace

std::span<const BlockType> block_types() { return types; }

const BlockType* find_block_type(std::uint32_t code) {
  const auto found =
      std::find_if(types.begin(), types.end(), [&](const BlockType& t) { return t.code == code; });
  return found == types.end() ? nullptr : &*found;
}

std::string block_type_name(std::uint32_t code) {
  for (const auto& [other, name] : others)
    if (other == code) return std::string(name);
  const BlockType* type = find_block_type(code);
  return type != nullptr ? std::string(type->name) : std::to_string(code);
}

}  // namespace lamp
