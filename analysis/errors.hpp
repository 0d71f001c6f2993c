// Rounding errors component by component, and what is kept of them: counts, maxima, root mean
// squares, and a histogram by powers of two in units of u (method.md section 5). All of it merges
// exactly or is computed in one fixed order.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "analysis/error_blocks.hpp"
#include "core/base/matrix.hpp"
#include "core/fp/format.hpp"

namespace lamp {

/// Errors x - r of computed values x against reference values r. A component is counted in exactly
/// one of: nan (x or r is NaN), inf (x or r is infinite), zero (r is 0), underflow (x is 0 or
/// subnormal in the site's format, r is not 0), count (all others). Absolute errors are taken over
/// zero, underflow and count; relative ones, and those in units of u, over count.
class ErrorStatistics {
 public:
  /// u and the subnormal range are those of `format`. Pre: fits_binary64(format).
  explicit ErrorStatistics(const FloatFormat& format);

  /// Adds components row by row; squares are summed by column mod 8, and those sums pairwise: one
  /// order everywhere. x and r have one shape and contiguous rows. `causal`: only the first i + 1
  /// columns of row i count.
  void add(MatrixView<const double> x, MatrixView<const double> r, bool causal = false);
  /// One row.
  void add(std::span<const double> x, std::span<const double> r);

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t nan() const { return nan_; }
  [[nodiscard]] std::uint64_t inf() const { return inf_; }
  [[nodiscard]] std::uint64_t zero() const { return zero_; }
  [[nodiscard]] std::uint64_t underflow() const { return underflow_; }
  /// Maxima and root mean squares are NaN where there is nothing to take them over.
  [[nodiscard]] double max_abs() const;
  [[nodiscard]] double rms_abs() const;
  [[nodiscard]] double max_rel() const;
  [[nodiscard]] double rms_rel() const;
  [[nodiscard]] double max_u() const;  // abs(x - r) / (u abs(r))
  [[nodiscard]] double rms_u() const;
  [[nodiscard]] const std::array<std::uint64_t, ErrorBins::count>& bins() const { return bins_; }

 private:
  void add_one(double x, double r, std::size_t lane);
  double smallest_normal_, units_;  // units_ = 1 / u
  std::uint64_t count_ = 0, nan_ = 0, inf_ = 0, zero_ = 0, underflow_ = 0;
  ErrorSums sums_;
  std::array<std::uint64_t, ErrorBins::count> bins_{};
};

}  // namespace lamp
