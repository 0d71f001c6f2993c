// Exact results of operations, unpacked, and their one rounding. Internal to core/fp.
#pragma once

#include <bit>
#include <cstdint>

#include "core/fp/rounding.hpp"

namespace lamp {

__extension__ typedef unsigned __int128 uint128;

/// (significand + sticky * d) 2^exponent with some 0 < d < 1, negated if `negative`. A significand
/// that comes with a sticky bit has at least 86 bits, so that the sticky bit lies below the 32
/// random bits under every format's last place.
struct Unpacked {
  uint128 significand = 0;
  int exponent = 0;
  bool negative = false;
  bool sticky = false;
};

constexpr int bit_length(std::uint64_t x) { return 64 - std::countl_zero(x); }

constexpr int bit_length(uint128 x) {
  const auto high = static_cast<std::uint64_t>(x >> 64);
  return high != 0 ? 64 + bit_length(high) : bit_length(static_cast<std::uint64_t>(x));
}

/// A finite nonzero binary64 number.
inline Unpacked unpack(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const auto field = static_cast<int>(bits >> 52 & 0x7ff);
  const std::uint64_t fraction = bits & ((std::uint64_t{1} << 52) - 1);
  return {.significand = field == 0 ? fraction : fraction | std::uint64_t{1} << 52,
          .exponent = (field == 0 ? 1 : field) - 1075,
          .negative = bits >> 63 != 0};
}

/// THE rounding: a nonzero exact value to `format` by `mode`. Pre: fits_binary64(format).
double round_unpacked(const Unpacked& x, const FloatFormat& format, Rounding mode, Draw draw = {});

}  // namespace lamp
