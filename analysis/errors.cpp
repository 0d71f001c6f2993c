#include "analysis/errors.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "analysis/not_finite.hpp"
#include "core/base/contract.hpp"

namespace lamp {
namespace {

std::size_t bin_of(double error_in_u) {
  const int exponent = static_cast<int>(std::bit_cast<std::uint64_t>(error_in_u) >> 52) -
                       1023;  // a subnormal falls below `lowest` too
  const int bin =
      1 + std::clamp(exponent - ErrorBins::lowest, 0, static_cast<int>(ErrorBins::count) - 2);
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

double ErrorBins::edge(std::size_t bin) {
  return bin == 0 ? 0.0 : std::ldexp(1.0, lowest + static_cast<int>(bin) - 1);
}

ErrorStatistics::ErrorStatistics(const FloatFormat& format)
    : smallest_normal_(xmin(format)), units_(1.0 / unit_roundoff(format)) {}

void ErrorStatistics::add_one(double x, double r, std::size_t lane) {
  const double difference = std::abs(x - r), size = std::abs(r);
  if (!(difference < positive_infinity)) {
    ++(std::isnan(x) || std::isnan(r) ? nan_ : inf_);
    return;
  }
  sums_.max_abs = std::max(sums_.max_abs, difference);
  sums_.squares_abs[lane] += difference * difference;
  if (size == 0.0) {
    ++zero_;
    return;
  }
  if (std::abs(x) < smallest_normal_) {
    ++underflow_;
    return;
  }
  ++count_;
  const double relative = difference / size;
  sums_.max_rel = std::max(sums_.max_rel, relative);
  sums_.squares_rel[lane] += relative * relative;
  ++bins_[bin_of(relative * units_)];
}

void ErrorStatistics::add(MatrixView<const double> x, MatrixView<const double> r, bool causal) {
  expects(x.rows == r.rows && x.cols == r.cols && (!causal || x.rows <= x.cols),
          "ErrorStatistics: x and r of one shape");
  const ErrorRows rows{
      .x = x, .r = r, .causal = causal, .smallest_normal = smallest_normal_, .units = units_};
  LaneBins regular{};
  for (ErrorBlock at; at.row < x.rows;) {
    at = add_regular_blocks(rows, at, sums_, regular);
    if (at.row == x.rows) break;
    const std::size_t end = std::min(at.column + ErrorSums::lanes, rows.length(at.row));
    for (; at.column < end; ++at.column)
      add_one(x(at.row, at.column), r(at.row, at.column), at.column % ErrorSums::lanes);
  }
  for (const auto& lane : regular)
    for (std::size_t b = 0; b < lane.size(); ++b) bins_[b] += lane[b], count_ += lane[b];
}

void ErrorStatistics::add(std::span<const double> x, std::span<const double> r) {
  expects(x.size() == r.size(), "ErrorStatistics: x.size() == r.size()");
  add(MatrixView<const double>(x.data(), 1, x.size(), x.size()),
      MatrixView<const double>(r.data(), 1, r.size(), r.size()));
}

double ErrorStatistics::max_abs() const {
  return count_ + zero_ + underflow_ == 0 ? not_a_number : sums_.max_abs;
}
double ErrorStatistics::rms_abs() const {
  return root_mean_square(total(sums_.squares_abs), count_ + zero_ + underflow_);
}
double ErrorStatistics::max_rel() const { return count_ == 0 ? not_a_number : sums_.max_rel; }
double ErrorStatistics::rms_rel() const {
  return root_mean_square(total(sums_.squares_rel), count_);
}
// Units of u are a power of two away: relative errors in them, their squares (0 or at least 2^-108)
// and the sums of these are scaled exactly, or infinite where they would have become so one by one.
double ErrorStatistics::max_u() const { return max_rel() * units_; }
double ErrorStatistics::rms_u() const {
  std::array<double, ErrorSums::lanes> squares = sums_.squares_rel;
  for (double& sum : squares) sum *= units_ * units_;
  return root_mean_square(total(squares), count_);
}

}  // namespace lamp
