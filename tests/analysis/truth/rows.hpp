// Rows of scores for the tests of local truth, and its definition in long double.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "analysis/truth/local.hpp"
#include "core/base/matrix.hpp"
#include "tests/support/random.hpp"

namespace lamp::test {

inline constexpr double inf = std::numeric_limits<double>::infinity();
inline constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

struct ScoreRows {
  std::vector<double> low, high;
};

/// Scores of about `spread`, the low ones off by about `error`, all multiples of 2^-20: their
/// differences are exact.
inline ScoreRows score_rows(Random& random, std::size_t n, double spread, double error) {
  const auto rounded = [](double x) { return std::nearbyint(std::ldexp(x, 20)) * 0x1p-20; };
  ScoreRows rows;
  for (std::size_t j = 0; j < n; ++j) {
    rows.high.push_back(rounded(spread * random.symmetric()));
    rows.low.push_back(rows.high[j] + rounded(error * random.symmetric()));
  }
  return rows;
}

/// Values in [1/2, 3/2]: no cancellation in o.
inline Matrix<double> positive_values(Random& random, std::size_t n, std::size_t d) {
  Matrix<double> v(n, d);
  for (double& x : v.flat()) x = 0.5 + random.uniform();
  return v;
}

/// The textbook's formulas in long double, each row with its own maximum; finite scores only.
inline truth::RowErrors exact_errors(const ScoreRows& rows, const Matrix<double>& v,
                                     const std::vector<std::uint8_t>& selected) {
  using Long = long double;
  const std::size_t n = rows.low.size();
  const auto softmax = [](const std::vector<double>& y) {
    const double most = *std::max_element(y.begin(), y.end());
    std::vector<Long> z;
    Long sum = 0.0L;
    for (const double score : y) sum += z.emplace_back(std::exp(Long(score - most)));
    for (Long& each : z) each /= sum;
    return z;
  };
  std::vector<double> mixed = rows.low;
  for (std::size_t j = 0; j < n; ++j)
    if (selected[j] != 0) mixed[j] = rows.high[j];
  const std::vector<Long> z = softmax(mixed), reference = softmax(rows.high);
  Long rel = 0.0L, l1 = 0.0L, squares = 0.0L, difference_squares = 0.0L;
  for (std::size_t j = 0; j < n; ++j) {
    rel = std::max(rel, std::abs(z[j] - reference[j]) / reference[j]);
    l1 += std::abs(z[j] - reference[j]);
  }
  for (std::size_t c = 0; c < v.cols(); ++c) {
    Long o = 0.0L, mixed_o = 0.0L;
    for (std::size_t j = 0; j < n; ++j)
      o += reference[j] * Long(v(j, c)), mixed_o += z[j] * Long(v(j, c));
    squares += o * o, difference_squares += (mixed_o - o) * (mixed_o - o);
  }
  return {static_cast<double>(rel), static_cast<double>(l1),
          static_cast<double>(std::sqrt(difference_squares / squares))};
}

inline std::vector<std::uint8_t> marks(std::uint32_t set, std::size_t n) {
  std::vector<std::uint8_t> selected(n);
  for (std::size_t j = 0; j < n; ++j) selected[j] = set >> j & 1U;
  return selected;
}

/// A bound on the relative error of a computed z or its ratio to z_ref, where differences of scores
/// are exact: exp is off by 2 u, a sum by (n - 1) u, and so are both rows; some operations more.
inline double few_roundings(std::size_t n) { return 4.0 * static_cast<double>(n + 6) * 0x1p-53; }

}  // namespace lamp::test
