// The common case of ErrorStatistics::add, vectorised: whole blocks of components that all have a
// relative error.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/matrix.hpp"

namespace lamp {

/// Bin 0 counts relative errors of exactly 0; bin b >= 1 those with 2^(b - 1 + lowest) <=
/// abs(relative error) / u < 2 times that, the first and last of them also what lies beyond.
struct ErrorBins {
  static constexpr int lowest = -64;
  static constexpr std::size_t count = 129;
  /// Lower edge of a bin, in units of u.
  static double edge(std::size_t bin);
};

/// Running maxima, and sums of squares by column mod 8: every target adds in this order.
struct ErrorSums {
  static constexpr std::size_t lanes = 8;
  double max_abs = 0.0, max_rel = 0.0;
  std::array<double, lanes> squares_abs{}, squares_rel{};
};

/// One histogram for each lane, so that equal bins in a row do not wait for each other.
using LaneBins = std::array<std::array<std::uint64_t, ErrorBins::count>, ErrorSums::lanes>;

/// Compares values x with r, both of one shape with contiguous rows; with `causal` only the first i
/// + 1 columns of row i. A component is regular where x - r is finite, r is not 0, and abs(x) >=
/// smallest_normal > 0. units = 1 / u, a power of two from 1 to 2^53.
struct ErrorRows {
  MatrixView<const double> x, r;
  bool causal = false;
  double smallest_normal = 0.0, units = 1.0;
  [[nodiscard]] std::size_t length(std::size_t row) const { return causal ? row + 1 : x.cols; }
};

/// A block: 8 columns from `column`, a multiple of 8, on; the last of a row may be shorter.
struct ErrorBlock {
  std::size_t row = 0, column = 0;
};

/// Takes the blocks from `first` on, row by row, as long as all components of a block are regular.
/// Returns the first block that it did not take; row x.rows where it took all.
ErrorBlock add_regular_blocks(const ErrorRows& rows, ErrorBlock first, ErrorSums& sums,
                              LaneBins& bins);

}  // namespace lamp
