// THE rounding routine and the operations against MPFR, against the processor, and against laws.
// Every comparison is of bits.
#include "core/fp/rounding.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "core/fp/vector_rounding.hpp"
#include "core/mpfr/operations.hpp"
#include "tests/support/agreement.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/formats.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

using test::Agreement;
using test::deterministic_modes;
using test::every_neighbourhood;
using test::operand;
using test::same_bits;

constexpr double inf = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("round: small formats agree with MPFR around every number and midpoint, all modes",
          "[fp][round]") {
  Agreement agreement;
  for (const FloatFormat& f : test::small_formats) every_neighbourhood(f, agreement);
  agreement.require(40000);
}

TEST_CASE("round: RNE and the other modes agree with MPFR around every binary16 number",
          "[fp][round][exhaustive]") {
  Agreement agreement;
  every_neighbourhood(binary16, agreement);
  every_neighbourhood(
      {.p = 11, .emin = -14, .emax = 15, .subnormals = false, .overflow = Overflow::largest},
      agreement);
  agreement.require(4000000);
}

TEST_CASE("round_values: the bits of round, all formats and modes, any length, in place",
          "[fp][round]") {
  test::Random random(6);
  const auto compare = [&](const FloatFormat& f, std::size_t n) {
    std::vector<double> x(n), y(n);
    for (double& value : x) {
      const int bits = random.below(2) == 0 ? random.between(1, std::min(53, f.p + 2)) : 53;
      const int low = std::max(-1074, f.emin - f.p - 1), high = std::min(1023, f.emax + 1);
      value = random.below(9) == 0 ? test::special_values[random.below(19)]
                                   : random.with_exponent(low, high, bits);
    }
    for (const Rounding mode : deterministic_modes) {
      round_values(x, y, f, mode);
      std::vector<double> in_place = x;
      round_values(in_place, in_place, f, mode);
      for (std::size_t i = 0; i < n; ++i) {
        REQUIRE(same_bits(y[i], round(x[i], f, mode)));
        REQUIRE(same_bits(in_place[i], y[i]));
      }
    }
  };
  for (const FloatFormat& f : test::small_formats) compare(f, 3000);
  for (const FloatFormat& f : test::large_formats)
    for (const std::size_t n : {0U, 1U, 7U, 8U, 3001U}) compare(f, n);
}

TEST_CASE("round: special values as the format says", "[fp][round]") {
  const FloatFormat &fn = e4m3fn, &mx = e3m2fn;
  const FloatFormat ue4m3 = *parse_format("ue4m3"), fnuz = *parse_format("e4m3fnuz");
  CHECK(same_bits(round(448.0, fn), 448.0));
  CHECK(same_bits(round(464.0, fn), 448.0));  // the tie to the lost code 480 goes to the even 448
  CHECK(std::isnan(round(464.1, fn)));
  CHECK(same_bits(round(1e9, fn, Rounding::rtz), 448.0));
  CHECK(std::isnan(round(inf, fn, Rounding::rtz)));
  CHECK(same_bits(round(-inf, mx), -28.0));
  CHECK(same_bits(round(-1e9, mx, Rounding::rtp), -28.0));
  CHECK(std::isnan(round(std::nan(""), mx)));
  CHECK(std::isnan(round(-1e-30, ue4m3)));
  CHECK(std::isnan(round(-inf, ue4m3)));
  CHECK(same_bits(round(-0.0, ue4m3), 0.0));
  CHECK(same_bits(round(-1e-30, fnuz), 0.0));
  CHECK(same_bits(round(-1e-30, e5m2), -0.0));
  CHECK(same_bits(round(65520.0, binary16), inf));
  CHECK(same_bits(round(65520.0, binary16, Rounding::rtn), 65504.0));
  CHECK(same_bits(round(-65520.0, binary16, Rounding::rtn), -inf));
  CHECK(same_bits(round(3.0, {.p = 1, .emin = -4, .emax = 4}),
                  4.0));  // p = 1: the tie to the larger magnitude
}

TEST_CASE("add, sub, mul, div, sqrt: all pairs of small formats agree with MPFR, all modes",
          "[fp][operations]") {
  Agreement agreement;
  for (const FloatFormat& f : {test::e3m2, e4m3fn, e5m2,
                               FloatFormat{.p = 3, .emin = -2, .emax = 3, .subnormals = false}}) {
    const std::vector<double> values = test::all_values(f);
    for (const Rounding mode : deterministic_modes)
      for (const double a : values) {
        agreement.root(a, f, mode);
        for (const double b : values) agreement.binary(a, b, f, mode);
      }
  }
  agreement.require(2000000);
}

TEST_CASE("fma: all triples of e3m2fn agree with MPFR, all modes", "[fp][operations]") {
  Agreement agreement;
  const std::vector<double> values = test::all_values(e3m2fn);
  for (const Rounding mode : deterministic_modes)
    for (const double a : values)
      for (const double b : values)
        for (const double c : values) agreement.ternary(a, b, c, e3m2fn, mode);
  agreement.require(6 * 60 * 60 * 60);
}

TEST_CASE("all operations: random and adversarial operands agree with MPFR", "[fp][operations]") {
  Agreement agreement;
  test::Random random(1);
  for (int i = 0; i < 120000; ++i) {
    const bool large = random.below(4) != 0;
    const FloatFormat& f = large ? test::large_formats[random.below(test::large_formats.size())]
                                 : test::small_formats[random.below(test::small_formats.size())];
    const Rounding mode = deterministic_modes[random.below(deterministic_modes.size())];
    const double a = operand(random, f), b = operand(random, f);
    double c = operand(random, f);
    if (random.below(3) == 0) c = -a * b;  // cancellation up to the product's last bits
    if (random.below(8) == 0) c = std::nextafter(-a * b, 0.0);
    agreement.unary(a, f, mode);
    agreement.binary(a, b, f, mode);
    agreement.binary(a, random.below(2) == 0 ? std::nextafter(-a, inf) : -a, f, mode);
    agreement.ternary(a, b, c, f, mode);
    agreement.root(a, f, mode);
  }
  agreement.require(1000000);
}

TEST_CASE("fma: products of binary32 numbers (the fast path) agree with MPFR", "[fp][operations]") {
  Agreement agreement;
  test::Random random(2);
  for (int i = 0; i < 100000; ++i) {
    const FloatFormat& f = test::large_formats[random.below(test::large_formats.size())];
    const Rounding mode = deterministic_modes[random.below(deterministic_modes.size())];
    const int range = random.below(2) == 0 ? 3 : 500;
    const double a = random.with_exponent(-range, range, 24),
                 b = random.with_exponent(-range, range, random.between(1, 24));
    const double c =
        random.below(4) == 0 ? -a * b : random.with_exponent(-range, range, random.between(1, 53));
    agreement.ternary(a, b, c, f, mode);
    agreement.binary(a, b, f, mode);
  }
  agreement.require(500000);
}

TEST_CASE("operations at p = 53 and p = 24 are the processor's", "[fp][operations]") {
  test::Random random(3);
  long failures = 0;
  for (int i = 0; i < 200000; ++i) {
    const double a = operand(random, binary64), b = operand(random, binary64),
                 c = operand(random, binary64);
    failures += !same_bits(add(a, b, binary64), a + b) + !same_bits(sub(a, b, binary64), a - b) +
                !same_bits(mul(a, b, binary64), a * b) + !same_bits(div(a, b, binary64), a / b) +
                !same_bits(fma(a, b, c, binary64), std::fma(a, b, c)) +
                !same_bits(sqrt(a, binary64), std::sqrt(a));
    const auto x = static_cast<float>(a), y = static_cast<float>(operand(random, binary32)),
               z = static_cast<float>(operand(random, binary32));
    const auto wide = [](float value) { return static_cast<double>(value); };
    failures += !same_bits(round(a, binary32), wide(x)) +
                !same_bits(add(wide(x), wide(y), binary32), wide(x + y)) +
                !same_bits(mul(wide(x), wide(y), binary32), wide(x * y)) +
                !same_bits(div(wide(x), wide(y), binary32), wide(x / y)) +
                !same_bits(fma(wide(x), wide(y), wide(z), binary32), wide(std::fma(x, y, z))) +
                !same_bits(sqrt(wide(x), binary32), wide(std::sqrt(x)));
  }
  CHECK(failures == 0);
}

TEST_CASE("fma: one rounding of the exact value, where two roundings differ", "[fp][operations]") {
  const double a = 1 + 0x1p-7, b = 1.5,
               c = -0x1p-60;  // the exact sum lies just below a tie at p = 8
  CHECK(same_bits(fma(a, b, c, ps(7)), 0x1.82p0));
  CHECK(same_bits(round(fma(a, b, c, binary32), ps(7)), 0x1.84p0));
  CHECK(same_bits(fma(a, b, c, ps(7)), mpfr::fma(a, b, c, ps(7))));
  CHECK(same_bits(fma(0x1p1000, 0x1p1000, -inf, binary64),
                  -inf));  // a finite product beside an infinity
  CHECK(same_bits(fma(0x1p1000, 0x1p1000, -0x1p1000, binary64, Rounding::rtz),
                  0x1.fffffffffffffp+1023));
  CHECK(same_bits(fma(0x1p-1074, 0x1p-1074, 1.0, binary64, Rounding::rtp), 1 + 0x1p-52));
  CHECK(same_bits(fma(0x1p-1074, -0x1p-1074, 0.0, binary64), -0.0));
}

TEST_CASE("an exact zero sum is +0, in RTN -0, unless all terms are zeros of one sign",
          "[fp][operations]") {
  for (const Rounding mode : deterministic_modes) {
    const double zero = mode == Rounding::rtn ? -0.0 : 0.0;
    CHECK(same_bits(add(1.5, -1.5, ps(7), mode), zero));
    CHECK(same_bits(sub(1.5, 1.5, ps(7), mode), zero));
    CHECK(same_bits(add(0.0, -0.0, ps(7), mode), zero));
    CHECK(same_bits(add(-0.0, -0.0, ps(7), mode), -0.0));
    CHECK(same_bits(add(0.0, 0.0, ps(7), mode), 0.0));
    CHECK(same_bits(fma(1.5, 2.0, -3.0, ps(7), mode), zero));
    CHECK(same_bits(fma(-0.0, 2.0, -0.0, ps(7), mode), -0.0));
    CHECK(same_bits(fma(-0.0, 2.0, 0.0, ps(7), mode), zero));
    CHECK(same_bits(add(1.5, -1.5, *parse_format("e4m3fnuz"), mode), 0.0));
  }
}

TEST_CASE("representable: the numbers of a format and what round returns", "[fp][law]") {
  test::Random random(4);
  for (const FloatFormat& f : test::small_formats) {
    for (const double x : test::positive_numbers(f)) {
      CHECK(representable(x, f) == (x <= xmax(f) && (x > 0.0 || f.zero)));
      if (x > 0.0) CHECK(representable(-x, f) == (x <= xmax(f) && !f.is_unsigned));
      if (x > 0.0)
        CHECK_FALSE(
            representable(std::nextafter(x, inf), FloatFormat{.p = 10, .emin = -100, .emax = 100}));
    }
    CHECK(representable(inf, f) == f.infinities);
    CHECK(representable(std::nan(""), f) == f.nan);
    CHECK(representable(-0.0, f) == f.signed_zero);
  }
  long failures = 0;
  for (int i = 0; i < 50000; ++i) {
    const FloatFormat& f = test::large_formats[random.below(test::large_formats.size())];
    const Rounding mode = deterministic_modes[random.below(deterministic_modes.size())];
    const double x = operand(random, f), y = round(x, f, mode);
    failures += !representable(y, f) || !same_bits(round(y, f, mode), y);  // idempotent
    const Rounding mirrored = mode == Rounding::rtp   ? Rounding::rtn
                              : mode == Rounding::rtn ? Rounding::rtp
                                                      : mode;
    failures += !same_bits(round(-x, f, mirrored), -y);
    if (f.overflow == Overflow::infinity)
      failures += round(x, f, Rounding::rtn) > x || round(x, f, Rounding::rtp) < x;
  }
  CHECK(failures == 0);
}

TEST_CASE("negative control: the comparison sees -0, NaN, one ulp and a second rounding",
          "[fp][control]") {
  CHECK_FALSE(same_bits(0.0, -0.0));
  CHECK_FALSE(same_bits(1.0, std::nan("")));
  CHECK_FALSE(same_bits(1.5, test::off_by_one_bit(1.5)));
  Agreement agreement;
  test::Random random(5);
  for (int i = 0; i < 20000; ++i) {
    const double a = random.with_exponent(-2, 2), b = random.with_exponent(-2, 2);
    agreement.compare("add", a, b, 0, ps(22), Rounding::rne, round(add(a, b, binary32), ps(22)),
                      mpfr::add(a, b, ps(22)));
  }
  CHECK(agreement.failures() > 0);
}

TEST_CASE("rounding modes: names there and back", "[fp]") {
  for (const char* name : {"RNE", "RNA", "RTZ", "RTP", "RTN", "RTO", "SR", "SRE"}) {
    REQUIRE(parse_rounding(name).has_value());
    CHECK(rounding_name(*parse_rounding(name)) == name);
  }
  CHECK_FALSE(parse_rounding("rne").has_value());
  CHECK_FALSE(parse_rounding("").has_value());
}

}  // namespace lamp
