// The common case of ErrorStatistics::add, vectorised: whole blocks of components that all have a relative error.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lamp {

/// Bin 0 counts relative errors of exactly 0; bin b >= 1 those with 2^(b - 1 + lowest) <= abs(relative error) / u < 2 times that,
/// the first and last of them also what lies beyond.
struct ErrorBins {
  static constexpr int lowest = -64;
  static constexpr std::size_t count = 129;
  /// Lower edge of a bin, in units of u.
  static double edge(std::size_t bin);
};

/// Running maxima, and sums of squares by index mod 8, which is the order of every target.
struct ErrorSums {
  static constexpr std::size_t lanes = 8;
  double max_abs = 0.0, max_rel = 0.0, max_u = 0.0;
  std::array<double, lanes> squares_abs{}, squares_rel{}, squares_u{};
};

/// Takes blocks of 8 components while all of a block are regular: x - r finite, r not 0, abs(x) >= smallest_normal. Returns how many
/// components that were; bins[0..) receives the ErrorBins of their abs(x - r) / abs(r) * units.
std::size_t add_regular_blocks(const double* x, const double* r, std::size_t n, double smallest_normal, double units, ErrorSums& sums,
                               std::int64_t* bins);

}  // namespace lamp
