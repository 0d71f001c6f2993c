// binary16 and bfloat16 codes as binary32 numbers, which hold all of theirs.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

namespace lamp {

/// A NaN stays a NaN.
inline float from_binary16(std::uint16_t code) {
  const int exponent = (code >> 10) & 31;
  const int significand = code & 0x3FF;
  const float sign = (code & 0x8000) != 0 ? -1.0F : 1.0F;
  if (exponent == 31)
    return significand == 0 ? sign * std::numeric_limits<float>::infinity()
                            : std::numeric_limits<float>::quiet_NaN();
  if (exponent == 0) return sign * static_cast<float>(significand) * 0x1p-24F;
  return sign * std::bit_cast<float>(
                    static_cast<std::uint32_t>((exponent + 127 - 15) << 23 | significand << 13));
}

inline float from_bfloat16(std::uint16_t code) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(code) << 16);
}

}  // namespace lamp
