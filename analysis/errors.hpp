// Rounding errors component by component, and what is kept of them: counts, maxima, root mean squares, and a histogram by powers
// of two in units of u (method.md section 5). All of it merges exactly or is computed in one fixed order.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/fp/format.hpp"

namespace lamp {

/// Bin 0 counts relative errors of exactly 0; bin b >= 1 those with 2^(b - 1 + lowest) <= abs(relative error) / u < 2 times that,
/// the first and last of them also what lies beyond.
struct ErrorBins {
  static constexpr int lowest = -64;
  static constexpr std::size_t count = 129;
  /// Lower edge of a bin, in units of u.
  static double edge(std::size_t bin);
};

/// Errors x - r of computed values x against reference values r. A component is counted in exactly one of: nan (x or r is NaN), inf
/// (x or r is infinite), zero (r is 0), underflow (x is 0 or subnormal in the site's format, r is not 0), count (all others).
/// Absolute errors are taken over zero, underflow and count; relative ones, and those in units of u, over count.
class ErrorStatistics {
 public:
  /// Adds components in order. x and r have one length; u and the subnormal range are those of `format`.
  void add(std::span<const double> x, std::span<const double> r, const FloatFormat& format);

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
  [[nodiscard]] std::span<const std::uint64_t, ErrorBins::count> bins() const { return bins_; }

 private:
  static constexpr std::size_t lanes = 8;  // squares are summed by index mod 8 within a call, then pairwise: one order everywhere
  std::uint64_t count_ = 0, nan_ = 0, inf_ = 0, zero_ = 0, underflow_ = 0;
  double max_abs_ = 0.0, max_rel_ = 0.0, max_u_ = 0.0;
  std::array<double, lanes> squares_abs_{}, squares_rel_{}, squares_u_{};
  std::array<std::uint64_t, ErrorBins::count> bins_{};
};

}  // namespace lamp
