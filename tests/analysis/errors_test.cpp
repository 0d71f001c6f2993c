#include <catch2/catch.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "analysis/errors.hpp"
#include "tests/support/bits.hpp"

namespace lamp {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

}  // namespace

TEST_CASE("errors: each component is counted in one place", "[errors]") {
  ErrorStatistics s;
  //                                  count  nan        nan        inf   inf   inf  zero underflow  underflow  count
  const std::vector<double> x{1.0 + 0x1p-8, nan_value, 1.0, inf, 1.0, -inf, 0.25, 0.0, -0x1p-15, 2.0};
  const std::vector<double> r{1.0, 1.0, nan_value, 1.0, -inf, -inf, 0.0, 0x1p-16, -0x1p-14, 2.0};
  s.add(x, r, binary16);
  CHECK(s.count() == 2);
  CHECK(s.nan() == 2);
  CHECK(s.inf() == 3);
  CHECK(s.zero() == 1);
  CHECK(s.underflow() == 2);
  CHECK(s.max_abs() == 0.25);
  CHECK(s.max_rel() == 0x1p-8);
  CHECK(s.max_u() == 8.0);  // u = 2^-11
  CHECK(s.rms_rel() == std::sqrt(0x1p-16 / 2.0));
  CHECK(s.bins()[0] == 1);
  CHECK(s.bins()[1 + 3 - ErrorBins::lowest] == 1);
  CHECK(ErrorBins::edge(1 + 3 - ErrorBins::lowest) == 8.0);
}

TEST_CASE("errors: inf - inf of equal signs is an infinite component, not a NaN", "[errors]") {
  ErrorStatistics s;
  s.add(std::array{inf}, std::array{inf}, binary32);
  CHECK(s.inf() == 1);
  CHECK(s.nan() == 0);
}

TEST_CASE("errors: nothing counted looks like no number", "[errors]") {
  ErrorStatistics s;
  s.add({}, {}, binary32);
  for (const double x : {s.max_abs(), s.rms_abs(), s.max_rel(), s.rms_rel(), s.max_u(), s.rms_u()}) CHECK(std::isnan(x));
  s.add(std::array{0.5}, std::array{0.0}, binary32);
  CHECK(s.max_abs() == 0.5);
  CHECK(std::isnan(s.max_rel()));
}

TEST_CASE("errors: edges of the bins", "[errors]") {
  ErrorStatistics s;
  const double u = 0x1p-24;
  for (const double in_u : {1.0, 2.0 - 0x1p-10, 2.0, 0x1p-64, 0x1p-70, 0x1p63, 0x1p90})
    s.add(std::array{1.0 + in_u * u}, std::array{1.0}, binary32);  // 1 + tiny rounds to 1: those errors are 0
  CHECK(s.bins()[0] == 2);
  CHECK(s.bins()[65] == 2);
  CHECK(s.bins()[66] == 1);
  CHECK(s.bins()[128] == 2);
  CHECK(s.count() == 7);
  ErrorStatistics tiny;
  tiny.add(std::array{0x1p-99}, std::array{0x1p-99 * (1 + 0x1p-52)}, ps(1));  // 2^-52 / 2^-2, cut off below by no bin here
  CHECK(tiny.bins()[1 - 50 - ErrorBins::lowest] + tiny.bins()[1 - 51 - ErrorBins::lowest] == 1);
}

TEST_CASE("errors: one order of summation, whatever the splitting into calls of 8", "[errors]") {
  std::vector<double> x, r;
  for (int i = 0; i < 64; ++i) x.push_back(1.0 + 0x1p-20 * i * i), r.push_back(1.0);
  ErrorStatistics whole, parts;
  whole.add(x, r, binary32);
  for (std::size_t i = 0; i < 64; i += 8) parts.add(std::span(x).subspan(i, 8), std::span(r).subspan(i, 8), binary32);
  CHECK(test::same_bits(whole.rms_rel(), parts.rms_rel()));
  CHECK(!test::same_bits(whole.rms_rel(), test::off_by_one_bit(parts.rms_rel())));
}

}  // namespace lamp
