// The operations of core/fp beside those of core/mpfr: every comparison is of bits.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "core/fp/rounding.hpp"
#include "core/mpfr/operations.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/formats.hpp"
#include "tests/support/random.hpp"

namespace lamp::test {

/// Counts the comparisons that fail and keeps the first for the report: millions of CHECKs would be
/// slow.
class Agreement {
 public:
  void compare(const char* operation, double a, double b, double c, const FloatFormat& format,
               Rounding mode, double got, double want) {
    ++compared_;
    if (same_bits(got, want)) return;
    if (failures_++ > 0) return;
    char text[400];
    std::snprintf(text, sizeof text, "%s(%a, %a, %a) in %s, %s: got %a, want %a", operation, a, b,
                  c, format_name(format).c_str(), std::string(rounding_name(mode)).c_str(), got,
                  want);
    first_ = text;
  }
  void unary(double x, const FloatFormat& f, Rounding mode) {
    compare("round", x, 0, 0, f, mode, round(x, f, mode), mpfr::round(x, f, mode));
  }
  void binary(double a, double b, const FloatFormat& f, Rounding mode) {
    compare("add", a, b, 0, f, mode, add(a, b, f, mode), mpfr::add(a, b, f, mode));
    compare("sub", a, b, 0, f, mode, sub(a, b, f, mode), mpfr::sub(a, b, f, mode));
    compare("mul", a, b, 0, f, mode, mul(a, b, f, mode), mpfr::mul(a, b, f, mode));
    compare("div", a, b, 0, f, mode, div(a, b, f, mode), mpfr::div(a, b, f, mode));
  }
  /// All operations in any mode, with one draw.
  void all(double a, double b, double c, const FloatFormat& f, Rounding mode, Draw draw) {
    compare("round", a, 0, 0, f, mode, round(a, f, mode, draw), mpfr::round(a, f, mode, draw));
    compare("add", a, b, 0, f, mode, add(a, b, f, mode, draw), mpfr::add(a, b, f, mode, draw));
    compare("sub", a, b, 0, f, mode, sub(a, b, f, mode, draw), mpfr::sub(a, b, f, mode, draw));
    compare("mul", a, b, 0, f, mode, mul(a, b, f, mode, draw), mpfr::mul(a, b, f, mode, draw));
    compare("div", a, b, 0, f, mode, div(a, b, f, mode, draw), mpfr::div(a, b, f, mode, draw));
    compare("sqrt", a, 0, 0, f, mode, sqrt(a, f, mode, draw), mpfr::sqrt(a, f, mode, draw));
    compare("fma", a, b, c, f, mode, fma(a, b, c, f, mode, draw),
            mpfr::fma(a, b, c, f, mode, draw));
  }
  void ternary(double a, double b, double c, const FloatFormat& f, Rounding mode) {
    compare("fma", a, b, c, f, mode, fma(a, b, c, f, mode), mpfr::fma(a, b, c, f, mode));
  }
  void root(double x, const FloatFormat& f, Rounding mode) {
    compare("sqrt", x, 0, 0, f, mode, sqrt(x, f, mode), mpfr::sqrt(x, f, mode));
  }
  void require(long at_least) const {
    INFO(first_);
    REQUIRE(failures_ == 0);
    REQUIRE(compared_ >= at_least);
  }
  [[nodiscard]] long failures() const { return failures_; }

 private:
  long compared_ = 0;
  long failures_ = 0;
  std::string first_;
};

/// A format's number, its neighbours among the binary64 numbers, and the midpoint to the next one
/// with its neighbours.
inline void around(double x, double next, const FloatFormat& f, Agreement& agreement) {
  const double middle = x / 2 + next / 2 == 0.0 ? next / 2 : x / 2 + next / 2;
  for (const double centre : {x, middle})
    for (const double y :
         {centre, std::nextafter(centre, HUGE_VAL), std::nextafter(centre, -HUGE_VAL)})
      for (const Rounding mode : deterministic_modes) {
        agreement.unary(y, f, mode);
        agreement.unary(-y, f, mode);
      }
}

inline void every_neighbourhood(const FloatFormat& f, Agreement& agreement) {
  const std::vector<double> numbers = positive_numbers(f);
  for (std::size_t i = 0; i + 1 < numbers.size(); ++i)
    around(numbers[i], numbers[i + 1], f, agreement);
  for (const double x : special_values)
    for (const Rounding mode : deterministic_modes) agreement.unary(x, f, mode);
}

/// Operands that hurt: short significands (ties), neighbours, cancellation, edges of the format,
/// any pattern, special values.
inline double operand(Random& random, const FloatFormat& f) {
  switch (random.below(8)) {
    case 0:
      return special_values[random.below(special_values.size())];
    case 1:
      return random.bits64();
    case 2:
      return random.with_exponent(f.emin - f.p - 1, f.emin + 1, random.between(1, 53));
    case 3:
      return random.with_exponent(f.emax - 1, std::min(f.emax + 1, 1023), random.between(1, 53));
    case 4:
      return random.with_exponent(-4, 4, std::min(53, f.p + random.between(0, 2)));
    case 5:
      return random.with_exponent(-600, 600, random.between(1, 53));
    default:
      return random.with_exponent(-30, 30, random.between(1, 53));
  }
}

}  // namespace lamp::test
