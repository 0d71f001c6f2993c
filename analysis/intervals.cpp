#include "analysis/intervals.hpp"

#include <mpfr.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "analysis/not_finite.hpp"
#include "core/base/contract.hpp"

namespace lamp {
namespace {

/// Correctly rounded: libm's is not the same everywhere.
double arc_tangent(double x) {
  mpfr_t y;
  mpfr_init2(y, 53);
  mpfr_set_d(y, x, MPFR_RNDN);
  mpfr_atan(y, y, MPFR_RNDN);
  const double rounded = mpfr_get_d(y, MPFR_RNDN);
  mpfr_clear(y);
  return rounded;
}

/// P(|T| <= t): with tan theta = t / sqrt(freedom) a finite sum over powers of cos theta.
double probability_within(double t, std::size_t freedom) {
  const double n = static_cast<double>(freedom), length = std::sqrt(n + t * t);
  const double cosine = std::sqrt(n) / length, sine = t / length, squared = cosine * cosine;
  const bool even = freedom % 2 == 0;
  double term = even ? 1.0 : cosine, sum = freedom > 1 ? term : 0.0;
  for (std::size_t k = even ? 2 : 3; k < freedom; k += 2) {
    term *= squared * (static_cast<double>(k - 1) / static_cast<double>(k));
    sum += term;
  }
  if (even) return sum * sine;
  return (arc_tangent(t / std::sqrt(n)) + sum * sine) * (2.0 / std::numbers::pi);
}

}  // namespace

double t_quantile(double confidence, std::size_t freedom) {
  expects(confidence > 0.0 && confidence < 1.0, "t_quantile: a confidence between 0 and 1");
  expects(freedom >= 1, "t_quantile: a degree of freedom");
  double low = 0.0, high = 1.0;
  while (probability_within(high, freedom) < confidence) low = high, high *= 2.0;
  for (double middle = 0.0; middle = low + (high - low) / 2.0, low < middle && middle < high;)
    (probability_within(middle, freedom) < confidence ? low : high) = middle;
  return low;
}

double MeanInterval::relative_error() const {
  return half_width == 0.0 ? 0.0 : half_width / std::abs(mean);
}

MeanInterval t_interval(std::span<const double> values, double quantile) {
  const auto is_finite = [](double x) { return std::isfinite(x); };
  if (values.empty() || !std::all_of(values.begin(), values.end(), is_finite))
    return {not_a_number, not_a_number};
  const double n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  if (values.size() == 1) return {mean, not_a_number};
  if (std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end())
    return {values.front(), 0.0};  // which a rounded mean may miss
  double squares = 0.0;
  for (const double x : values) squares += (x - mean) * (x - mean);
  return {mean, quantile * std::sqrt(squares / (n - 1.0) / n)};
}

std::vector<std::size_t> round_ends(std::size_t first, std::size_t limit) {
  expects(first >= 1 && limit >= 1, "round_ends: at least one value");
  std::vector<std::size_t> ends;
  for (std::size_t end = first; end < limit; end += (end + 3) / 4) ends.push_back(end);
  ends.push_back(limit);
  return ends;
}

}  // namespace lamp
