#include "analysis/errors.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/base/contract.hpp"

namespace lamp {
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

std::size_t bin_of(double error_in_u) {
  if (error_in_u == 0.0) return 0;
  const int exponent = static_cast<int>(std::bit_cast<std::uint64_t>(error_in_u) >> 52) - 1023;  // a subnormal falls below `lowest` too
  return 1 + static_cast<std::size_t>(std::clamp(exponent - ErrorBins::lowest, 0, static_cast<int>(ErrorBins::count) - 2));
}

/// Pairwise over the lanes: s_l + s_(l + w) for w = 4, 2, 1.
template <std::size_t n>
double total(std::array<double, n> lane) {
  for (std::size_t width = n / 2; width > 0; width /= 2)
    for (std::size_t l = 0; l < width; ++l) lane[l] += lane[l + width];
  return lane[0];
}

double root_mean_square(double sum_of_squares, std::uint64_t n) {
  return n == 0 ? not_a_number : std::sqrt(sum_of_squares / static_cast<double>(n));
}

}  // namespace

double ErrorBins::edge(std::size_t bin) { return bin == 0 ? 0.0 : std::ldexp(1.0, lowest + static_cast<int>(bin) - 1); }

void ErrorStatistics::add(std::span<const double> x, std::span<const double> r, const FloatFormat& format) {
  expects(x.size() == r.size(), "ErrorStatistics: x.size() == r.size()");
  const double smallest_normal = xmin(format), units = 1.0 / unit_roundoff(format);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double difference = std::abs(x[i] - r[i]), size = std::abs(r[i]);
    if (!(difference < std::numeric_limits<double>::infinity())) [[unlikely]] {
      ++(std::isnan(x[i]) || std::isnan(r[i]) ? nan_ : inf_);
      continue;
    }
    max_abs_ = std::max(max_abs_, difference);
    squares_abs_[i % lanes] += difference * difference;
    if (size == 0.0) [[unlikely]] {
      ++zero_;
      continue;
    }
    if (std::abs(x[i]) < smallest_normal) [[unlikely]] {
      ++underflow_;
      continue;
    }
    ++count_;
    const double relative = difference / size, in_u = relative * units;
    max_rel_ = std::max(max_rel_, relative);
    max_u_ = std::max(max_u_, in_u);
    squares_rel_[i % lanes] += relative * relative;
    squares_u_[i % lanes] += in_u * in_u;
    ++bins_[bin_of(in_u)];
  }
}

double ErrorStatistics::max_abs() const { return count_ + zero_ + underflow_ == 0 ? not_a_number : max_abs_; }
double ErrorStatistics::rms_abs() const { return root_mean_square(total(squares_abs_), count_ + zero_ + underflow_); }
double ErrorStatistics::max_rel() const { return count_ == 0 ? not_a_number : max_rel_; }
double ErrorStatistics::rms_rel() const { return root_mean_square(total(squares_rel_), count_); }
double ErrorStatistics::max_u() const { return count_ == 0 ? not_a_number : max_u_; }
double ErrorStatistics::rms_u() const { return root_mean_square(total(squares_u_), count_); }

}  // namespace lamp
