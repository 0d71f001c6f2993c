// Random and adversarial binary64 operands for tests; Philox, so that a failing case is named by
// its seed and index.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/base/philox.hpp"

namespace lamp::test {

class Random {
 public:
  explicit Random(std::uint32_t seed) : seed_(seed) {}

  std::uint32_t word() {
    if (next_ == 4) words_ = philox4x32({counter_++, 0, 0, 0}, {seed_, 0}), next_ = 0;
    return words_[next_++];
  }
  std::uint64_t word64() { return (std::uint64_t{word()} << 32) | word(); }
  std::uint32_t below(std::uint32_t n) {
    return static_cast<std::uint32_t>((std::uint64_t{word()} * n) >> 32);
  }
  int between(int low, int high) {
    return low + static_cast<int>(below(static_cast<std::uint32_t>(high - low + 1)));
  }
  double uniform() { return static_cast<double>(word64() >> 11) * 0x1p-53; }  // [0, 1)
  double symmetric() { return 2.0 * uniform() - 1.0; }                        // [-1, 1)
  double bits64() { return std::bit_cast<double>(word64()); }                 // any pattern
  /// A number with `bits` significant bits and exponent in [low, high]; short significands make
  /// ties common.
  double with_exponent(int low, int high, int bits = 53) {
    const std::uint64_t significand = (word64() >> 11 | (std::uint64_t{1} << 52)) >> (53 - bits);
    const double magnitude =
        std::ldexp(static_cast<double>(significand), between(low, high) - bits + 1);
    return (word() & 1U) != 0 ? -magnitude : magnitude;
  }

 private:
  std::uint32_t seed_;
  std::uint32_t counter_ = 0;
  std::array<std::uint32_t, 4> words_{};
  std::size_t next_ = 4;
};

/// Values every operation must be tried on.
inline constexpr std::array special_values{0.0,
                                           -0.0,
                                           1.0,
                                           -1.0,
                                           0x1p-1074,
                                           -0x1p-1074,
                                           0x1p-1022,
                                           0x1.fffffffffffffp+1023,
                                           -0x1.fffffffffffffp+1023,
                                           std::numeric_limits<double>::infinity(),
                                           -std::numeric_limits<double>::infinity(),
                                           std::numeric_limits<double>::quiet_NaN(),
                                           0x1p-126,
                                           0x1p-149,
                                           -0x1p-150,
                                           0x1.fffffep+127,
                                           0x1.ffffffp+127,
                                           65504.0,
                                           65520.0};

}  // namespace lamp::test
