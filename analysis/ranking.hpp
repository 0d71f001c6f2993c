// How well one ranking of scores predicts another (method.md section 7): rank correlations, sets of
// equal size, and what a budget spent by a ranking catches.
//
// A ranking is descending: of equal values (+0 and -0 are equal) the lower index comes first, NaN
// last. Correlations give equal values the mean of their ranks, and are NaN where either side has a
// NaN or is constant, and for n < 3. Their counts are exact integers, so a correlation takes six
// roundings (three integers to binary64, product, root, quotient); of a ranking with itself it is
// exactly 1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lamp {

/// Ranks 1 .. n ascending, of equal values the mean; multiples of 1/2, exact. NaN rank below
/// all else.
std::vector<double> average_ranks(std::span<const double> x);

/// Spearman's rho: the correlation of the average ranks. O(n log n).
double spearman(std::span<const double> x, std::span<const double> y);

/// Kendall's tau-b: (concordant - discordant pairs) / sqrt(pairs that differ in x times pairs that
/// differ in y). O(n log n). Source: Knight, JASA 61 (1966).
double kendall_tau_b(std::span<const double> x, std::span<const double> y);

/// Indices of the ranking.
std::vector<std::uint32_t> descending(std::span<const double> scores);

/// Marks, 0 or 1, of the first k of the ranking. Pre: k <= scores.size().
std::vector<std::uint8_t> top(std::span<const double> scores, std::size_t k);

/// A set against the true one. With c common members of sets of a and b members out of n:
/// precision c/a, recall c/b, jaccard c/(a + b - c), chance a/n, which is the recall expected of a
/// random set of a members; NaN where the divisor is 0. Where a = b, precision = recall.
struct Overlap {
  double precision, recall, jaccard, chance;
};

/// Bytes, not 0 where in the set; both of n.
Overlap overlap(std::span<const std::uint8_t> selected, std::span<const std::uint8_t> truth);

/// Against the first k of the true ranking, k the size of the selected set.
Overlap overlap_with_top(std::span<const std::uint8_t> selected, std::span<const double> truth);

/// What is caught of the benefits when the first k of a ranking are chosen: caught[i] for the i-th
/// budget, summed in the order of the ranking from +0; total is summed by index from +0. Benefits
/// may be negative; a NaN among those chosen makes the sum NaN.
struct BudgetCurve {
  std::vector<double> caught;
  double total = 0.0;
  /// caught / total; NaN where total is not above 0.
  [[nodiscard]] std::vector<double> shares() const;
};

/// scores, benefits: n of each, pooled over what the budget is for. counts: the budgets, each at
/// most n, in any order. The best curve of all is that of the benefits themselves.
BudgetCurve budget_curve(std::span<const double> scores, std::span<const double> benefits,
                         std::span<const std::size_t> counts);

}  // namespace lamp
