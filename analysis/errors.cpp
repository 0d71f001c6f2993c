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
  const int exponent = static_cast<int>(std::bit_cast<std::uint64_t>(error_in_u) >> 52) - 1023;  // a subnormal falls below `lowest` too
  const int bin = 1 + std::clamp(exponent - ErrorBins::lowest, 0, static_cast<int>(ErrorBins::count) - 2);
  return error_in_u == 0.0 ? 0 : static_cast<std::size_t>(bin);
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

void ErrorStatistics::add_one(double x, double r, double smallest_normal, double units, std::size_t lane) {
  const double difference = std::abs(x - r), size = std::abs(r);
  if (!(difference < std::numeric_limits<double>::infinity())) {
    ++(std::isnan(x) || std::isnan(r) ? nan_ : inf_);
    return;
  }
  sums_.max_abs = std::max(sums_.max_abs, difference);
  sums_.squares_abs[lane] += difference * difference;
  if (size == 0.0) {
    ++zero_;
    return;
  }
  if (std::abs(x) < smallest_normal) {
    ++underflow_;
    return;
  }
  ++count_;
  const double relative = difference / size, in_u = relative * units;
  sums_.max_rel = std::max(sums_.max_rel, relative);
  sums_.max_u = std::max(sums_.max_u, in_u);
  sums_.squares_rel[lane] += relative * relative;
  sums_.squares_u[lane] += in_u * in_u;
  ++bins_[0][bin_of(in_u)];
}

void ErrorStatistics::add(std::span<const double> x, std::span<const double> r, const FloatFormat& format) {
  expects(x.size() == r.size(), "ErrorStatistics: x.size() == r.size()");
  constexpr std::size_t chunk = 512;
  std::array<std::int64_t, chunk> bins;
  const double smallest_normal = xmin(format), units = 1.0 / unit_roundoff(format);
  for (std::size_t i = 0; i < x.size();) {
    const std::size_t regular = add_regular_blocks(&x[i], &r[i], std::min(chunk, x.size() - i), smallest_normal, units, sums_, bins.data());
    for (std::size_t j = 0; j < regular; j += histograms)  // `regular` is a multiple of 8
      for (std::size_t h = 0; h < histograms; ++h) ++bins_[h][static_cast<std::size_t>(bins[j + h])];
    count_ += regular;
    i += regular;
    if (regular == chunk) continue;
    for (const std::size_t end = std::min(i + ErrorSums::lanes, x.size()); i < end; ++i)
      add_one(x[i], r[i], smallest_normal, units, i % ErrorSums::lanes);
  }
}

std::array<std::uint64_t, ErrorBins::count> ErrorStatistics::bins() const {
  std::array<std::uint64_t, ErrorBins::count> sum{};
  for (const auto& histogram : bins_)
    for (std::size_t b = 0; b < sum.size(); ++b) sum[b] += histogram[b];
  return sum;
}

double ErrorStatistics::max_abs() const { return count_ + zero_ + underflow_ == 0 ? not_a_number : sums_.max_abs; }
double ErrorStatistics::rms_abs() const { return root_mean_square(total(sums_.squares_abs), count_ + zero_ + underflow_); }
double ErrorStatistics::max_rel() const { return count_ == 0 ? not_a_number : sums_.max_rel; }
double ErrorStatistics::rms_rel() const { return root_mean_square(total(sums_.squares_rel), count_); }
double ErrorStatistics::max_u() const { return count_ == 0 ? not_a_number : sums_.max_u; }
double ErrorStatistics::rms_u() const { return root_mean_square(total(sums_.squares_u), count_); }

}  // namespace lamp
