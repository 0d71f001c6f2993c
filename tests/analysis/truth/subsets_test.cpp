#include "analysis/truth/subsets.hpp"

#include <hwy/highway.h>
#include <array>
#include <bit>
#include <catch2/catch.hpp>

#include "tests/analysis/truth/rows.hpp"
#include "tests/core/selection/only_targets.hpp"
#include "tests/support/bits.hpp"

namespace lamp::truth {
namespace {

using test::inf;
using test::nan_value;
using test::same_bits;

constexpr std::array both{SetError::rel, SetError::l1};

double error_of(const LocalRow& row, std::uint32_t set, SetError error) {
  const RowErrors errors = row.errors(test::marks(set, row.size()));
  return error == SetError::rel ? errors.rel : errors.l1;
}

/// Every set of a part by itself, ascending; the first of the best stays.
BestSets one_by_one(const LocalRow& row, SetError error, SubsetPart part = {}) {
  BestSets best;
  for (std::uint32_t k = 0; k <= row.size(); ++k) {
    best.error.push_back(inf);
    best.set.push_back((std::uint32_t{1} << k) - 1);
  }
  for (std::uint32_t set = 0; set < std::uint32_t{1} << row.size(); ++set) {
    const std::uint32_t upper = set >> row.size() / 2;
    if (upper < part.first || upper >= part.last) continue;
    const auto k = static_cast<std::size_t>(std::popcount(set));
    const double here = error_of(row, set, error);
    if (here < best.error[k]) best.error[k] = here, best.set[k] = set;
  }
  return best;
}

bool same(const BestSets& a, const BestSets& b) {
  return same_bits(a.error, b.error) && a.set == b.set;
}

/// Rows in which sets tie, overflow, underflow or are no probability, by `kind`.
test::ScoreRows odd_rows(test::Random& random, std::size_t n, std::uint32_t kind) {
  test::ScoreRows rows = test::score_rows(random, n, kind == 1 ? 300.0 : 5.0, 0.5);
  double top = 0.0;
  for (const double score : rows.high) top = std::max(top, score);
  for (std::size_t j = 0; j < n; ++j) {
    if (kind == 2) rows.high[j] = random.below(2), rows.low[j] = random.below(3);  // ties
    if (kind == 3) rows.low[j] = rows.high[j];
    if (kind == 4 && random.below(4) == 0)
      rows.low[j] = std::array{nan_value, inf, -inf, -800.0, 1e308}[random.below(5)];
    if (kind == 5) rows.low[j] = rows.high[j];
    if (kind == 5 && random.below(3) == 0) {  // e = 0, or so small that z = 0
      rows.high[j] = random.below(3) == 0 ? -inf : top - 745.0;
      if (random.below(2) == 0) rows.low[j] = -inf;
    }
    if (kind == 6) rows.low[j] -= 691.0 + random.below(6);  // sums on either side of 2^-1000
  }
  if (kind == 7 && n > 0) rows.high[random.below(static_cast<std::uint32_t>(n))] = nan_value;
  return rows;
}

}  // namespace

TEST_CASE("subsets: the best of all sets, one by one, on every instruction set", "[truth][law]") {
  for (std::size_t n = 0; n <= 9; ++n)
    for (std::uint32_t kind = 0; kind < 8; ++kind) {
      test::Random random(static_cast<std::uint32_t>(10 * n) + kind);
      const test::ScoreRows rows = odd_rows(random, n, kind);
      const LocalRow row(rows.low, rows.high);
      for (const SetError error : both) {
        const BestSets expected = one_by_one(row, error);
        for (const std::int64_t target : test::targets()) {
          const test::OnlyTargets only(target);
          INFO(hwy::TargetName(target) << " n " << n << " kind " << kind);
          CHECK(same(best_sets(row, error), expected));
        }
      }
    }
}

TEST_CASE("subsets: any parts, in any order, give what the whole does", "[truth][law]") {
  test::Random random(3);
  for (const std::size_t n : {1U, 2U, 8U, 13U})
    for (const std::uint32_t kind : {0U, 2U, 4U}) {
      const test::ScoreRows rows = odd_rows(random, n, kind);
      const LocalRow row(rows.low, rows.high);
      const std::uint32_t end = std::uint32_t{1} << (n - n / 2);
      for (const SetError error : both)
        for (int trial = 0; trial < 4; ++trial) {
          const std::uint32_t cut = random.below(end + 1),
                              second = cut + random.below(end + 1 - cut);
          const BestSets part = best_sets(row, error, {cut, second});
          if (n <= 8) CHECK(same(part, one_by_one(row, error, {cut, second})));
          BestSets merged = best_sets(row, error, {.first = second});
          merged.merge(part);
          merged.merge(best_sets(row, error, {0, cut}));
          CHECK(same(merged, best_sets(row, error)));
        }
    }
}

TEST_CASE("subsets: within roundings of the textbook's formulas", "[truth]") {
  test::Random random(4);
  constexpr std::size_t n = 10;
  const test::ScoreRows rows = test::score_rows(random, n, 5.0, 0.5);
  const LocalRow row(rows.low, rows.high);
  std::array<double, n + 1> rel, l1;
  rel.fill(inf), l1.fill(inf);
  for (std::uint32_t set = 0; set < std::uint32_t{1} << n; ++set) {
    const auto k = static_cast<std::size_t>(std::popcount(set));
    const RowErrors exact = test::exact_errors(rows, {}, test::marks(set, n));
    rel[k] = std::min(rel[k], exact.rel), l1[k] = std::min(l1[k], exact.l1);
  }
  const BestSets best_rel = best_sets(row, SetError::rel), best_l1 = best_sets(row, SetError::l1);
  for (std::size_t k = 0; k <= n; ++k) {
    CHECK(std::abs(best_rel.error[k] - rel[k]) <= test::few_roundings(n) * (1.0 + rel[k]));
    CHECK(std::abs(best_l1.error[k] - l1[k]) <= test::few_roundings(n) * (1.0 + l1[k]));
  }
}

TEST_CASE("subsets: long rows", "[truth]") {
  test::Random random(5);
  constexpr std::size_t n = 16;
  const test::ScoreRows rows = test::score_rows(random, n, 5.0, 0.5);
  const LocalRow row(rows.low, rows.high);
  for (const SetError error : both) {
    const BestSets best = best_sets(row, error);
    for (const std::int64_t target : test::targets()) {
      const test::OnlyTargets only(target);
      INFO(hwy::TargetName(target));
      CHECK(same(best_sets(row, error), best));
    }
    REQUIRE(best.error.size() == n + 1);
    CHECK(best.error[n] == 0.0);
    for (std::size_t k = 0; k <= n; ++k) {
      CHECK(std::popcount(best.set[k]) == static_cast<int>(k));
      CHECK(same_bits(error_of(row, best.set[k], error), best.error[k]));
    }
    for (int trial = 0; trial < 2000; ++trial) {
      const std::uint32_t set = random.below(std::uint32_t{1} << n);
      CHECK(best.error[static_cast<std::size_t>(std::popcount(set))] <= error_of(row, set, error));
    }
  }
}

TEST_CASE("subsets: the smallest set within a tolerance", "[truth]") {
  const BestSets best{.error = {inf, 0.5, 0.75, 0.0}, .set = {0, 4, 3, 7}};
  CHECK(best.smallest(0.75) == 1);  // larger sets may be worse
  CHECK(best.smallest(0.5) == 1);
  CHECK(best.smallest(0.25) == 3);
  CHECK(best.smallest(inf) == 0);
  CHECK(!best.smallest(nan_value));
  const std::vector<double> scores{0.0, nan_value};
  CHECK(!best_sets(LocalRow(scores, scores), SetError::rel).smallest(1e300));
}

}  // namespace lamp::truth
