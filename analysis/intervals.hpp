// The interval of a mean over sequences, and the rounds in which sequences are added until it is
// narrow enough.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace lamp {

/// t with P(|T| <= t) = confidence, T of Student's distribution with `freedom` degrees. Relative
/// error below 1e-11 up to 10,000 degrees; the same bits everywhere. Source: Abramowitz and Stegun
/// 26.7.3 and 26.7.4. Pre: 0 < confidence < 1, freedom >= 1.
double t_quantile(double confidence, std::size_t freedom);

/// mean +- half_width: Student's t interval. All NaN where a value is not finite; no half_width
/// (NaN) where there are fewer than two values.
struct MeanInterval {
  double mean = 0.0, half_width = 0.0;

  /// half_width / |mean|; 0 where all values are equal, infinite where the mean alone is 0.
  [[nodiscard]] double relative_error() const;
};

/// `quantile` is t_quantile(confidence, values.size() - 1).
MeanInterval t_interval(std::span<const double> values, double quantile);

/// How many values there are at the end of each round: `first`, then each time a quarter more,
/// rounded up, to `limit`, the last. Looking once a round, not at every value, is what keeps an
/// interval near its confidence although its narrowness ended the sampling. Pre: first >= 1,
/// limit >= 1.
std::vector<std::size_t> round_ends(std::size_t first, std::size_t limit);

}  // namespace lamp
