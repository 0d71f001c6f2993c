// Bits of numbers for tests: equality that tells -0 from +0 and one ulp from none, with all NaN
// equal.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <span>

namespace lamp::test {

inline bool same_bits(double x, double y) {
  return (std::isnan(x) && std::isnan(y)) ||
         std::bit_cast<std::uint64_t>(x) == std::bit_cast<std::uint64_t>(y);
}

inline bool same_bits(std::span<const double> x, std::span<const double> y) {
  if (x.size() != y.size()) return false;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!same_bits(x[i], y[i])) return false;
  return true;
}

/// The negative control of every checker: the nearest wrong answer, one ulp away (the other zero
/// for a zero).
inline double off_by_one_bit(double x) {
  if (x == 0.0 || !std::isfinite(x)) return std::isnan(x) ? 0.0 : (x == 0.0 ? -x : 0.0);
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(x) ^ 1U);
}

}  // namespace lamp::test
