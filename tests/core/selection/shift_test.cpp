// The shift of a mixed row, from numbers whose mean and spread are known.
#include "core/selection/shift.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

using namespace lamp;

namespace {

using Shifts = std::optional<double>;

/// high - low of the members of S, with a component outside of S before each that must not matter.
Shifts shift(Shift kind, const std::vector<double>& differences) {
  std::vector<double> low, high;
  std::vector<std::uint8_t> marks;
  for (const double d : differences) {
    low.insert(low.end(), {5.0, 8.0});
    high.insert(high.end(), {std::numeric_limits<double>::quiet_NaN(), 8.0 + d});
    marks.insert(marks.end(), {0, 1});
  }
  return shift_of(kind, low, high, marks);
}

}  // namespace

TEST_CASE("shift: the mean over S of recomputed - low", "[lamp]") {
  CHECK(shift(Shift::mean, {0.5, 1.5, -0.5}) == 0.5);
  CHECK(shift(Shift::mean, {-3.0}) == -3.0);
  CHECK(shift(Shift::mean, {1.0, -1.0}) == 0.0);
  CHECK(shift(Shift::mean, {}) == std::nullopt);
  CHECK(shift(Shift::none, {0.5, 1.5}) == std::nullopt);
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), HUGE_VAL, -HUGE_VAL})
    for (const Shift kind : {Shift::mean, Shift::adaptive})
      CHECK(shift(kind, {1.0, bad, 1.0}) == std::nullopt);
  const double huge = std::numeric_limits<double>::max();
  CHECK(shift_of(Shift::mean, std::vector{0.0, 0.0}, std::vector{huge, huge},
                 std::vector<std::uint8_t>{1, 1}) == std::nullopt);  // the sum overflows
}

TEST_CASE("shift: index ascending, one rounding an addition", "[lamp]") {
  const double half_ulp = 0x1p-53;
  const std::vector<double> zero(3, 0.0);
  const std::vector<std::uint8_t> marks(3, 1);
  CHECK(shift_of(Shift::mean, zero, std::vector{1.0, half_ulp, half_ulp}, marks) == 1.0 / 3.0);
  CHECK(shift_of(Shift::mean, zero, std::vector{half_ulp, half_ulp, 1.0}, marks) ==
        (1.0 + 0x1p-52) / 3.0);
}

TEST_CASE("shift: adaptive asks for three members and a mean above its standard error", "[lamp]") {
  CHECK(shift(Shift::adaptive, {1.0, 1.0}) == std::nullopt);
  CHECK(shift(Shift::adaptive, {1.0, 1.0, 1.0}) == 1.0);
  CHECK(shift(Shift::adaptive, {-1.0, -1.0, -1.0}) == -1.0);
  CHECK(shift(Shift::adaptive, {0.0, 1.0, 2.0}) == 1.0);                 // sd 1, error 1 / sqrt 3
  CHECK(shift(Shift::adaptive, {-1.0, 1.0, 3.0}) == std::nullopt);       // sd 2, error 2 / sqrt 3
  CHECK(shift(Shift::adaptive, {-2.0, 2.0, 2.0, 2.0}) == std::nullopt);  // sd 2, error 1: not above
  CHECK(shift(Shift::adaptive, {-1.75, 2.0, 2.0, 2.0}) == 1.0625);       // sd 1.875, error 0.9375
  CHECK(shift(Shift::adaptive, {0.0, 0.0, 0.0}) == std::nullopt);
}
