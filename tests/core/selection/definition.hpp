// Selection a second time, straight from the definition: the whole table of costs, every prefix or
// every subset tried.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

#include "core/selection/selection.hpp"

namespace lamp::test {

__extension__ using wide = __int128;

using Marks = std::vector<std::uint8_t>;

/// The integers of a row: keys b, diagonal surplus a, tau; `refused` selects everything.
struct Integers {
  std::vector<wide> b, a;
  bool refused = false;
};

inline wide floor40(double x) { return static_cast<wide>(std::floor(std::ldexp(x, 40))); }
inline wide ceil40(double x) { return static_cast<wide>(std::ceil(std::ldexp(x, 40))); }

inline Integers integers(const SelectionSpec& spec, const std::vector<double>& z,
                         const std::vector<double>& y, const std::vector<double>& w) {
  Integers out;
  for (std::size_t j = 0; j < z.size(); ++j) {
    double weight = 1.0;
    if (spec.weights == ErrorWeights::relative) weight = std::fabs(y[j]);
    if (spec.weights == ErrorWeights::dot) weight = w[j];
    const double b =
        spec.norm == Norm::normwise1 ? 2.0 * z[j] * (1.0 - z[j]) * weight : z[j] * weight;
    const double a = spec.norm == Norm::normwise1 ? 0.0 : (1.0 - 2.0 * z[j]) * weight;
    for (const double value : {z[j], a, b})
      if (std::isnan(value) || std::fabs(value) >= 0x1p22) out.refused = true;
    out.b.push_back(out.refused ? 0 : floor40(b));
    out.a.push_back(out.refused ? 0 : floor40(a));
  }
  return out;
}

/// B of method.md section 6: what is left out; of absolute weights (componentwise) what S lacks
/// of 1.
inline wide left_by(const Integers& row, const SelectionSpec& spec, const Marks& s) {
  wide left = 0, kept = 0;
  for (std::size_t j = 0; j < s.size(); ++j) (s[j] != 0 ? kept : left) += row.b[j];
  if (spec.weights != ErrorWeights::absolute || spec.norm == Norm::normwise1) return left;
  return std::max(wide{0}, floor40(1.0) - kept);
}

/// max over the rows i of the table of what S leaves: K_ij for j not in S, K_ii = b_i + a_i. A row
/// of one, and S = all, cost 0.
inline wide cost(const Integers& row, const SelectionSpec& spec, const Marks& s) {
  const wide left = left_by(row, spec, s);
  wide worst = 0;
  if (spec.norm == Norm::normwise1) return left;
  if (s.size() == 1 || std::all_of(s.begin(), s.end(), [](std::uint8_t mark) { return mark != 0; }))
    return 0;
  for (std::size_t i = 0; i < s.size(); ++i) {
    const wide at_i = left + (s[i] != 0 ? 0 : row.a[i]);
    worst = i == 0 ? at_i : std::max(worst, at_i);
  }
  return worst;
}

/// Indices, keys descending, lower index first among equals.
inline std::vector<std::size_t> descending(const Integers& row) {
  std::vector<std::size_t> order(row.b.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t i, std::size_t j) { return row.b[i] > row.b[j]; });
  return order;
}

/// The shortest prefix with cost <= tau, by trying them all. mask as-zero: the row is padded with
/// zeros here.
inline Marks greedy(const SelectionSpec& spec, std::vector<double> z, const std::vector<double>& y,
                    const std::vector<double>& w, std::size_t row_length) {
  const std::size_t n = z.size();
  if (spec.mask == Mask::as_zero && spec.norm == Norm::componentwise) z.resize(row_length, 0.0);
  const Integers row = integers(spec, z, y, w);
  Marks s(z.size(), row.refused ? 1 : 0);
  for (std::size_t j : descending(row)) {
    if (row.refused || cost(row, spec, s) <= ceil40(*spec.tau)) break;
    s[j] = 1;
  }
  s.resize(n);
  return s;
}

/// The threshold rule of method.md section 6, O(n^3): for each t among the a, ascending, leave out
/// the most of those with a <= t. Under as-zero the masked entries have a = 1, and thresholds start
/// there.
inline Marks exact_by_thresholds(const SelectionSpec& spec, const std::vector<double>& z,
                                 const std::vector<double>& y, const std::vector<double>& w,
                                 bool masked = false) {
  const Integers row = integers(spec, z, y, w);
  const std::size_t n = z.size();
  Marks best(n, 1);
  if (row.refused || (!masked && cost(row, spec, Marks(n, 0)) <= ceil40(*spec.tau)))
    return Marks(n, row.refused ? 1 : 0);
  std::vector<std::size_t> ascending = descending(row);
  std::reverse(ascending.begin(), ascending.end());
  std::vector<wide> thresholds = row.a;
  if (masked)
    for (wide& t : thresholds) t = std::max(t, floor40(1.0));
  std::sort(thresholds.begin(), thresholds.end());
  for (const wide t : thresholds) {
    Marks s(n, 1);
    for (const std::size_t j : ascending) {
      if (row.a[j] > t) continue;
      s[j] = 0;
      if (left_by(row, spec, s) + std::max(t, wide{0}) <= ceil40(*spec.tau)) continue;
      s[j] = 1;
      break;
    }
    if (std::accumulate(s.begin(), s.end(), 0) < std::accumulate(best.begin(), best.end(), 0))
      best = s;
  }
  return best;
}

/// Size of the smallest subset with cost <= tau, over all 2^n.
inline int smallest(const SelectionSpec& spec, const std::vector<double>& z,
                    const std::vector<double>& y, const std::vector<double>& w) {
  const Integers row = integers(spec, z, y, w);
  const std::size_t n = z.size();
  int best = static_cast<int>(n);
  for (std::size_t subset = 0; subset < std::size_t{1} << n; ++subset) {
    Marks s(n);
    for (std::size_t j = 0; j < n; ++j) s[j] = static_cast<std::uint8_t>((subset >> j) & 1U);
    const int size = std::accumulate(s.begin(), s.end(), 0);
    if (size < best && cost(row, spec, s) <= ceil40(*spec.tau)) best = size;
  }
  return best;
}

}  // namespace lamp::test
