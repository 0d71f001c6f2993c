#include "analysis/truth/local.hpp"

#include <array>
#include <catch2/catch.hpp>

#include "tests/analysis/truth/rows.hpp"
#include "tests/support/bits.hpp"

namespace lamp::truth {
namespace {

using test::inf;
using test::nan_value;
using test::same_bits;

void check_near(double computed, double exact, double tolerance) {
  CHECK(std::abs(computed - exact) <= tolerance * (1.0 + exact));
}

void check_all(const RowErrors& errors, double expected) {
  CHECK(same_bits(errors.rel, expected));
  CHECK(same_bits(errors.l1, expected));
  CHECK(same_bits(errors.values, expected));
}

}  // namespace

TEST_CASE("local truth: by hand", "[truth]") {
  // z = (1, 0) instead of (1/2, 1/2)
  const std::array<double, 2> low{0.0, -inf}, high{0.0, 0.0}, values{1.0, 3.0};
  const LocalRow row(low, high, {values.data(), 2, 1, 1});
  CHECK(row.sum_reference() == 2.0);
  const RowErrors none = row.errors(std::array<std::uint8_t, 2>{0, 0});
  CHECK(none.rel == 1.0);
  CHECK(none.l1 == 1.0);
  CHECK(none.values == 0.5);  // do = 1/2 1 - 1/2 3, o = 2
  check_all(row.errors(std::array<std::uint8_t, 2>{0, 7}), 0.0);
  CHECK(row.one_low().rel == std::vector<double>{0.0, 1.0});
  CHECK(row.one_high().l1 == std::vector<double>{1.0, 0.0});
  // the recomputed row has z = (1, 0): component 1 has no relative error
  const LocalRow swapped(high, low, {values.data(), 2, 1, 1});
  const RowErrors both = swapped.errors(std::array<std::uint8_t, 2>{0, 0});
  CHECK(both.rel == 0.5);
  CHECK(both.l1 == 1.0);
  CHECK(both.values == 1.0);  // do = -1/2 1 + 1/2 3, o = 1
}

TEST_CASE("local truth: the order of its sums", "[truth]") {
  // exp(-37) = 0.77 u: 1 does not see it, but it sees the sum of two
  const auto sum = [](const std::vector<double>& y) { return LocalRow(y, y).sum_reference(); };
  CHECK(sum({0.0, -37.0, -37.0, -37.0}) == 1.0 + 0x1p-52);  // (1 + e) + (e + e)
  CHECK(sum({-37.0, -37.0, 0.0, -37.0}) == 1.0 + 0x1p-52);
  CHECK(sum({-37.0, -37.0, 0.0}) == 1.0);                          // e + (e + 1)
  CHECK(sum({-37.0, 0.0, -37.0, -37.0, -37.0}) == 1.0 + 0x1p-52);  // (e + 1) + ((e + e) + e)
  // o = 1 + 2^-53 + 2^-53 + 0 = 1, ascending; do = 3 of both
  const std::vector<double> low{0.0, -inf, -inf, -inf}, high(4);
  const std::vector<double> values{4.0, 0x1p-51, 0x1p-51, 0.0};
  const LocalRow row(low, high, {values.data(), 4, 1, 1});
  CHECK(row.errors(std::vector<std::uint8_t>(4)).values == 3.0);
}

TEST_CASE("local truth: within roundings of the textbook's formulas", "[truth]") {
  test::Random random(1);
  for (const std::size_t n : {1U, 2U, 3U, 7U, 20U, 65U})
    for (const double error : {0x1p-12, 0.1, 3.0}) {
      const test::ScoreRows rows = test::score_rows(random, n, 6.0, error);
      const Matrix<double> v = test::positive_values(random, n, 5);
      const LocalRow row(rows.low, rows.high, v.view());
      for (int trial = 0; trial < 20; ++trial) {
        std::vector<std::uint8_t> selected(n);
        for (std::uint8_t& mark : selected) mark = random.below(3) != 0;
        const RowErrors errors = row.errors(selected);
        const RowErrors exact = test::exact_errors(rows, v, selected);
        check_near(errors.rel, exact.rel, test::few_roundings(n));
        check_near(errors.l1, exact.l1, test::few_roundings(n));
        check_near(errors.values, exact.values, 2.0 * test::few_roundings(n));
      }
      check_all(row.errors(std::vector<std::uint8_t>(n, 1)), 0.0);
    }
}

TEST_CASE("local truth: only one low, only one recomputed", "[truth]") {
  test::Random random(2);
  constexpr std::size_t n = 9;
  const test::ScoreRows rows = test::score_rows(random, n, 4.0, 0.5);
  const Matrix<double> v = test::positive_values(random, n, 3);
  const LocalRow row(rows.low, rows.high, v.view());
  const ErrorLists low = row.one_low(), high = row.one_high();
  REQUIRE((low.rel.size() == n && low.l1.size() == n && low.values.size() == n));
  REQUIRE((high.rel.size() == n && high.l1.size() == n && high.values.size() == n));
  for (std::size_t j = 0; j < n; ++j) {
    std::vector<double> one_low = rows.high, one_high = rows.low;
    one_low[j] = rows.low[j], one_high[j] = rows.high[j];
    const std::vector<std::uint8_t> none(n);
    // the same mixed row, made otherwise: its M may differ, so equal up to roundings
    const RowErrors a = LocalRow(one_low, rows.high, v.view()).errors(none),
                    b = LocalRow(one_high, rows.high, v.view()).errors(none);
    check_near(low.rel[j], a.rel, test::few_roundings(n));
    check_near(low.l1[j], a.l1, test::few_roundings(n));
    check_near(low.values[j], a.values, test::few_roundings(n));
    check_near(high.rel[j], b.rel, test::few_roundings(n));
    check_near(high.l1[j], b.l1, test::few_roundings(n));
    check_near(high.values[j], b.values, test::few_roundings(n));
  }
}

TEST_CASE("local truth: a common shift costs nothing, unless it is mixed", "[truth]") {
  const std::vector<double> high{0.0, 1.0, -2.0, 0.5}, low{0.25, 1.25, -1.75, 0.75};
  const LocalRow row(low, high);
  CHECK(row.errors(std::vector<std::uint8_t>(4)).rel <= test::few_roundings(4));
  for (const double error : row.one_high().rel) CHECK(error > 0.05);
}

TEST_CASE("local truth: rows of none, of one, of equal scores", "[truth]") {
  const LocalRow none({}, {});
  CHECK(none.errors({}).rel == 0.0);
  CHECK(none.errors({}).l1 == 0.0);
  CHECK(std::isnan(none.errors({}).values));  // no v
  CHECK(none.one_low().rel.empty());
  const double two = 2.0, other = 5.0, value = -1.0;
  const LocalRow one({&other, 1}, {&two, 1}, {&value, 1, 1, 1});
  for (const std::uint8_t mark : std::array<std::uint8_t, 2>{0, 1})
    check_all(one.errors({&mark, 1}), 0.0);
  const std::vector<double> equal(7, 3.0);
  const LocalRow same(equal, equal);
  for (std::uint32_t set = 0; set < 128; ++set) {
    CHECK(same.errors(test::marks(set, 7)).rel == 0.0);
    CHECK(same.errors(test::marks(set, 7)).l1 == 0.0);
  }
  const std::vector<double> zeros(2);
  const LocalRow nothing(std::vector<double>{1.0, 2.0}, std::vector<double>{1.0, 1.0},
                         {zeros.data(), 2, 1, 1});
  CHECK(nothing.errors(std::vector<std::uint8_t>(2)).values == 0.0);  // do = 0 although o = 0
}

TEST_CASE("local truth: NaN and infinite scores", "[truth]") {
  const std::vector<double> good{0.0, 1.0, 2.0}, ones(3, 1.0);
  const MatrixView<const double> v(ones.data(), 3, 1, 1);
  const std::vector<std::uint8_t> all(3, 1), first{1, 0, 0}, others{0, 1, 1};
  for (const double bad : {nan_value, inf}) {
    const std::vector<double> y{bad, 1.0, 2.0};
    const LocalRow low(y, good, v), high(good, y, v);
    check_all(low.errors(first), 0.0);  // the other two are the same in both rows
    check_all(low.errors(others), inf);
    CHECK(low.one_high().rel == std::vector<double>{0.0, inf, inf});
    CHECK(!high.regular());
    check_all(high.errors(all), inf);
    check_all(high.errors(others), inf);
  }
  const std::vector<double> minus{-inf, 1.0, 2.0}, nowhere(3, -inf);
  const LocalRow masked(good, minus, v);
  const RowErrors kept = masked.errors(others);  // z_0 = e^-2 / s instead of 0
  const double z = 1.0 / (1.0 + std::exp(1.0) + std::exp(2.0));
  check_near(kept.rel, z, 0x1p-50);  // of component 0 not counted
  check_near(kept.l1, 2.0 * z, 0x1p-50);
  check_all(LocalRow(good, nowhere, v).errors(all), inf);
  check_all(LocalRow(nowhere, nowhere, v).errors(all), inf);
  check_all(LocalRow(nowhere, good, v).errors(std::vector<std::uint8_t>(3)), inf);
  CHECK(LocalRow(nowhere, good).errors(others).l1 == LocalRow(minus, good).errors(others).l1);
  const std::vector<double> bad_v{1.0, nan_value, 1.0};
  const LocalRow nan_values(good, good, {bad_v.data(), 3, 1, 1});
  CHECK(nan_values.errors(all).rel == 0.0);
  CHECK(nan_values.errors(all).values == inf);
}

TEST_CASE("local truth: scores far apart", "[truth]") {
  // z_ref = 0 by underflow of e, and of the quotient e / s
  const std::vector<double> high{0.0, -800.0, -745.0, 0.0}, low{0.0, -3.0, -inf, 0.0};
  const LocalRow row(low, high);
  CHECK(row.e_reference()[2] == 0x1p-1074);
  CHECK(row.z_reference()[2] == 0.0);
  const RowErrors errors = row.errors(std::vector<std::uint8_t>(4));
  CHECK(errors.rel < 0.1);
  CHECK(errors.rel > 0.02);
  // a row that lies more than 693 below the other is no probability beside it
  const std::vector<double> above(2, 0.0), near_edge(2, -693.0), below(2, -694.0);
  CHECK(LocalRow(near_edge, above).errors(std::vector<std::uint8_t>(2)).rel < 1e-12);
  CHECK(LocalRow(below, above).errors(std::vector<std::uint8_t>(2)).rel == inf);
  CHECK(LocalRow(below, above).errors(std::vector<std::uint8_t>(2, 1)).rel == 0.0);
  CHECK(LocalRow(above, below).errors(std::vector<std::uint8_t>(2, 1)).rel == inf);
}

}  // namespace lamp::truth
