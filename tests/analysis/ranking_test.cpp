// Rankings against their definitions, pair by pair.
#include "analysis/ranking.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/support/bits.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

using test::same_bits;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

int sign(double a, double b) { return a < b ? -1 : a > b ? 1 : 0; }

/// Concordant less discordant pairs, and the pairs that differ on either side.
double tau_by_pairs(const std::vector<double>& x, const std::vector<double>& y) {
  std::int64_t sum = 0, differ_x = 0, differ_y = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      const int of_x = sign(x[i], x[j]), of_y = sign(y[i], y[j]);
      sum += of_x * of_y, differ_x += of_x * of_x, differ_y += of_y * of_y;
    }
  return static_cast<double>(sum) /
         std::sqrt(static_cast<double>(differ_x) * static_cast<double>(differ_y));
}

/// 1 + the number below + half the number of others that are equal.
std::vector<double> ranks_by_pairs(const std::vector<double>& x) {
  std::vector<double> ranks;
  for (const double a : x) {
    double rank = 0.5;
    for (const double b : x) rank += b < a ? 1.0 : a == b ? 0.5 : 0.0;
    ranks.push_back(rank);
  }
  return ranks;
}

/// The textbook's correlation of two vectors, in binary64.
double correlation(const std::vector<double>& x, const std::vector<double>& y) {
  const auto n = static_cast<double>(x.size());
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / n,
               mean_y = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xy = 0.0, xx = 0.0, yy = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean_x) * (y[i] - mean_y);
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
  }
  return xy / std::sqrt(xx * yy);
}

bool constant(const std::vector<double>& x) {
  return std::all_of(x.begin(), x.end(), [&](double value) { return value == x[0]; });
}

std::vector<double> values(test::Random& random, std::size_t n, std::uint32_t different) {
  std::vector<double> x;
  for (std::size_t i = 0; i < n; ++i) {
    x.push_back(different == 0 ? random.symmetric() : random.below(different));
    if (x.back() == 0.0 && random.below(2) == 0) x.back() = -0.0;
    if (different == 3 && x.back() == 2.0) x.back() = random.below(2) == 0 ? inf : -inf;
  }
  return x;
}

}  // namespace

TEST_CASE("ranking: by hand", "[ranking]") {
  const std::vector<double> x{1.0, 2.0, 3.0, 4.0, 5.0}, y{1.0, 3.0, 2.0, 5.0, 4.0};
  CHECK(kendall_tau_b(x, y) == 0.6);  // (8 - 2) / 10
  CHECK(spearman(x, y) == 0.8);       // 1 - 6 4 / (5 24)
  const std::vector<double> tied{1.0, 1.0, 2.0}, rising{1.0, 2.0, 3.0};
  CHECK(kendall_tau_b(tied, rising) == 2.0 / std::sqrt(6.0));
  CHECK(average_ranks(std::vector<double>{7.0, -inf, 7.0, nan_value, -0.0, 0.0}) ==
        std::vector<double>{5.5, 2.0, 5.5, 1.0, 3.5, 3.5});
}

TEST_CASE("ranking: correlations are those of their definitions", "[ranking]") {
  test::Random random(1);
  for (std::size_t n = 3; n < 70; ++n)
    for (const std::uint32_t different : {0U, 2U, 3U, 10U}) {
      const std::vector<double> x = values(random, n, different),
                                y = values(random, n, random.below(2) == 0 ? different : 5);
      CHECK(average_ranks(x) == ranks_by_pairs(x));
      if (constant(x) || constant(y)) continue;
      CHECK(same_bits(kendall_tau_b(x, y), tau_by_pairs(x, y)));
      // the ranks and their means are exact, and so are the sums: the same roundings
      CHECK(same_bits(spearman(x, y), correlation(ranks_by_pairs(x), ranks_by_pairs(y))));
      CHECK(kendall_tau_b(x, x) == 1.0);
      CHECK(spearman(x, x) == 1.0);
      std::vector<double> reversed = x;
      for (double& value : reversed) value = -value;
      CHECK(kendall_tau_b(x, reversed) == -1.0);
      CHECK(spearman(x, reversed) == -1.0);
    }
}

TEST_CASE("ranking: no correlation of less than three, of constants, of NaN", "[ranking]") {
  const std::vector<double> good{1.0, 2.0, 3.0}, constants(3, 4.0), zeros{0.0, -0.0, 0.0},
      bad{1.0, nan_value, 3.0};
  for (const auto& [x, y] :
       {std::pair(std::vector<double>{}, std::vector<double>{}),
        std::pair(std::vector<double>{1.0, 2.0}, std::vector<double>{1.0, 2.0}),
        std::pair(good, constants), std::pair(zeros, good), std::pair(good, bad),
        std::pair(bad, good)}) {
    CHECK(std::isnan(spearman(x, y)));
    CHECK(std::isnan(kendall_tau_b(x, y)));
  }
}

TEST_CASE("ranking: descending, the lower index first, NaN last", "[ranking]") {
  const std::vector<double> x{nan_value, 1.0, inf, -0.0, 1.0, 0.0, -inf, nan_value};
  CHECK(descending(x) == std::vector<std::uint32_t>{2, 1, 4, 3, 5, 6, 0, 7});
  CHECK(top(x, 2) == std::vector<std::uint8_t>{0, 1, 1, 0, 0, 0, 0, 0});
  CHECK(top(x, 0) == std::vector<std::uint8_t>(8));
  CHECK(top(x, 8) == std::vector<std::uint8_t>(8, 1));
  CHECK(descending({}).empty());
}

TEST_CASE("ranking: overlap of sets", "[ranking]") {
  const std::vector<std::uint8_t> a{1, 1, 0, 9, 0, 0, 0, 0}, b{0, 1, 1, 1, 1, 0, 0, 0}, none(8);
  const Overlap both = overlap(a, b);
  CHECK(both.precision == 2.0 / 3.0);
  CHECK(both.recall == 0.5);
  CHECK(both.jaccard == 0.4);
  CHECK(both.chance == 0.375);
  CHECK(std::isnan(overlap(none, b).precision));
  CHECK(overlap(none, b).recall == 0.0);
  CHECK(std::isnan(overlap(a, none).recall));
  CHECK(std::isnan(overlap(none, none).jaccard));
  CHECK(std::isnan(overlap({}, {}).chance));
  // the true top three are 1, 0 and the first of three ties: 3
  const std::vector<double> truth{0.5, 1.0, nan_value, 0.25, 0.25, 0.25, 0.0, 0.0};
  const Overlap equal = overlap_with_top(a, truth);
  CHECK(equal.recall == 1.0);
  CHECK(equal.precision == 1.0);
  CHECK(overlap_with_top(b, truth).recall == 0.75);  // 1, 3 and 4 of 0, 1, 3, 4
}

TEST_CASE("ranking: what a budget catches", "[ranking]") {
  const std::vector<double> scores{0.1, 3.0, 2.0, 2.0}, benefits{-1.0, 4.0, 1.0, 0.5};
  const std::vector<std::size_t> counts{0, 1, 2, 4, 3};
  const BudgetCurve curve = budget_curve(scores, benefits, counts);
  CHECK(curve.caught == std::vector<double>{0.0, 4.0, 5.0, 4.5, 5.5});
  CHECK(curve.total == 4.5);
  CHECK(curve.shares()[1] == 4.0 / 4.5);
  CHECK(curve.shares()[3] == 1.0);
  for (const double total : {0.0, -1.0}) {
    const std::vector<double> harm{total, 0.0, 0.0, 0.0};
    for (const double share : budget_curve(scores, harm, counts).shares()) CHECK(std::isnan(share));
  }
  const std::vector<double> unknown{1.0, nan_value, 1.0, 1.0};
  CHECK(std::isnan(budget_curve(scores, unknown, counts).caught[1]));
  CHECK(budget_curve({}, {}, std::vector<std::size_t>{0}).caught == std::vector<double>{0.0});
  // no set of k catches more than the first k benefits
  test::Random random(2);
  const std::vector<double> of_both = values(random, 9, 4);
  const std::vector<std::size_t> four{4};
  const double best = budget_curve(of_both, of_both, four).caught[0];
  for (int trial = 0; trial < 50; ++trial)
    CHECK(budget_curve(values(random, 9, 0), of_both, four).caught[0] <= best);
}

TEST_CASE("ranking: millions of values", "[ranking][exhaustive]") {
  std::vector<double> x(3'200'000);
  std::iota(x.begin(), x.end(), 0.0);
  const std::vector<double> reversed(x.rbegin(), x.rend());
  CHECK(spearman(x, reversed) == -1.0);  // sums of n^3 / 3, between 2^63 and 2^64
  CHECK(kendall_tau_b(x, reversed) == -1.0);
}

}  // namespace lamp
