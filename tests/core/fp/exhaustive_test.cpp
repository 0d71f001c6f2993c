// Operations against MPFR over whole formats: every code, every pair, every triple; and random
// formats in every mode. The default run takes the formats that differ in kind, [exhaustive] all of
// them.
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "core/fp/format.hpp"
#include "tests/support/agreement.hpp"
#include "tests/support/formats.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

using test::Agreement;
using test::deterministic_modes;
using test::same_bits;

FloatFormat named(const char* name) { return *parse_format(name); }

void every_pair(const FloatFormat& f, Agreement& agreement) {
  const std::vector<double> values = test::decoded_values(f);
  for (const Rounding mode : deterministic_modes)
    for (const double a : values)
      for (const double b : values) agreement.binary(a, b, f, mode);
}

void every_triple(const FloatFormat& f, Agreement& agreement) {
  const std::vector<double> values = test::decoded_values(f);
  for (const Rounding mode : deterministic_modes)
    for (const double a : values)
      for (const double b : values)
        for (const double c : values) agreement.ternary(a, b, c, f, mode);
}

void every_root(const FloatFormat& f, Agreement& agreement) {
  const std::vector<double> values = test::decoded_values(f);
  for (const Rounding mode : deterministic_modes)
    for (const double a : values) agreement.root(a, f, mode);
}

/// p from 1 to 53, any exponents that fit binary64, every property either way.
FloatFormat random_format(test::Random& random) {
  const auto coin = [&] { return random.below(2) == 0; };
  FloatFormat f{.p = random.between(1, 53)};
  const bool near_the_edge = random.below(4) == 0;
  f.emin = near_the_edge ? -1074 + f.p - 1 + random.between(0, 3) : random.between(-200, 5);
  f.emax = random.below(4) == 0 ? 1023 - random.between(0, 2) : f.emin + random.between(0, 300);
  f.subnormals = coin(), f.infinities = coin(), f.nan = coin(), f.signed_zero = coin(),
  f.is_unsigned = random.below(6) == 0;
  f.zero = f.subnormals || f.signed_zero || random.below(2) == 0;
  if (f.p > 1 && coin())
    f.top_codes_lost = static_cast<int>(random.below(1U << std::min(f.p - 1, 20)));
  f.overflow = f.infinities && coin() ? Overflow::infinity
               : f.nan && coin()      ? Overflow::nan
                                      : Overflow::largest;
  return f;
}

}  // namespace

TEST_CASE("round: around every code and midpoint of every format up to 8 bits, all modes",
          "[fp][round]") {
  Agreement agreement;
  for (const FloatFormat& f : test::formats_up_to(8)) test::every_neighbourhood(f, agreement);
  agreement.require(300000);
}

TEST_CASE("round: around every code and midpoint of every format up to 16 bits, all modes",
          "[fp][round][exhaustive]") {
  for (const FloatFormat& f : test::formats_up_to(16)) {
    Agreement agreement;
    test::every_neighbourhood(f, agreement);
    agreement.require(100);
  }
}

TEST_CASE("add, sub, mul, div: all pairs of codes, all modes", "[fp][operations]") {
  Agreement agreement;
  for (const char* name : {"e4m3fn", "e4m3fnuz", "e8m0fnu", "ue4m3", "e3m2fn", "e2m3fn", "e2m1fn",
                           "e3m2", "e2m1", "ue2m3"})
    every_pair(named(name), agreement);
  agreement.require(5000000);
}

TEST_CASE("add, sub, mul, div: all pairs of codes of every format up to 8 bits, all modes",
          "[fp][operations][exhaustive]") {
  for (const FloatFormat& f : test::formats_up_to(8)) {
    Agreement agreement;
    every_pair(f, agreement);
    agreement.require(100);
  }
}

TEST_CASE("fma: all triples of codes, all modes", "[fp][operations]") {
  Agreement agreement;
  for (const char* name : {"e2m1fn", "e2m1", "ue2m2", "e3m1", "e2m2"})
    every_triple(named(name), agreement);
  agreement.require(300000);
}

TEST_CASE("fma: all triples of codes of every format up to 6 bits, all modes",
          "[fp][operations][exhaustive]") {
  for (const FloatFormat& f : test::formats_up_to(6)) {
    Agreement agreement;
    every_triple(f, agreement);
    agreement.require(100);
  }
}

TEST_CASE("sqrt: every code of binary16, bfloat16 and the formats up to 8 bits, all modes",
          "[fp][operations]") {
  Agreement agreement;
  for (const FloatFormat& f : {binary16, bfloat16}) every_root(f, agreement);
  for (const FloatFormat& f : test::formats_up_to(8)) every_root(f, agreement);
  agreement.require(800000);
}

TEST_CASE("sqrt: every code of every format up to 16 bits, all modes",
          "[fp][operations][exhaustive]") {
  for (const FloatFormat& f : test::formats_up_to(16)) {
    Agreement agreement;
    every_root(f, agreement);
    agreement.require(10);
  }
}

TEST_CASE("all operations, all eight modes: random formats, random and adversarial operands",
          "[fp][operations]") {
  Agreement agreement;
  test::Random random(11);
  for (int i = 0; i < 60000; ++i) {
    const FloatFormat f = random_format(random);
    REQUIRE(fits_binary64(f));
    const auto mode = static_cast<Rounding>(random.below(8));
    const Draw draw{.word = random.word(), .bits = random.between(1, 32)};
    const double a = test::operand(random, f);
    double b = test::operand(random, f), c = test::operand(random, f);
    if (random.below(4) == 0)
      b = random.below(2) == 0 ? -a : std::nextafter(-a, 0.0);  // cancellation
    if (random.below(3) == 0) c = random.below(2) == 0 ? -a * b : std::nextafter(-a * b, HUGE_VAL);
    if (random.below(8) == 0)
      c = std::ldexp(-a * b, random.between(-60, 60));  // far apart: the sticky bit
    agreement.all(a, b, c, f, mode, draw);
    const double tie = test::operand(random, f),
                 number = round(tie, f, Rounding::rtz);  // a number and the midpoint above it
    if (std::isfinite(number)) {
      agreement.all(number, b, c, f, mode, draw);
      agreement.all(
          number,
          std::ldexp(1.0, std::max(std::ilogb(number == 0.0 ? xmins(f) : number) - f.p, -1074)), c,
          f, mode, draw);
    }
  }
  agreement.require(1000000);
}

TEST_CASE("p = 1: ties go to the larger magnitude, between 0 and xmin to 0", "[fp][round]") {
  for (const bool subnormals : {true, false}) {
    const FloatFormat f{.p = 1, .emin = -4, .emax = 4, .subnormals = subnormals};
    for (int e = -4; e < 4; ++e) {
      const double tie = 1.5 * pow2(e);
      CHECK(round(tie, f) == pow2(e + 1));
      CHECK(mpfr::round(tie, f) == pow2(e + 1));
      CHECK(round(-tie, f) == -pow2(e + 1));
      CHECK(round(tie, f, Rounding::rna) == pow2(e + 1));
    }
    CHECK(same_bits(round(0x1p-5, f), 0.0));
    CHECK(same_bits(mpfr::round(0x1p-5, f), 0.0));
    CHECK(same_bits(round(-0x1p-5, f), -0.0));
    CHECK(round(std::nextafter(0x1p-5, 1.0), f) == 0x1p-4);
    CHECK(round(0x1p-5, f, Rounding::rna) == 0x1p-4);
    CHECK(round(24.0, f) == HUGE_VAL);  // the tie to 2^5 above xmax
    CHECK(round(std::nextafter(24.0, 0.0), f) == 16.0);
  }
}

TEST_CASE("e8m0fnu: an exact zero is NaN, underflow is xmin in every mode", "[fp][round]") {
  const FloatFormat f = named("e8m0fnu");
  for (const Rounding mode : deterministic_modes) {
    CHECK(std::isnan(round(0.0, f, mode)));
    CHECK(std::isnan(add(1.0, -1.0, f, mode)));
    CHECK(std::isnan(round(-1.0, f, mode)));
    CHECK(round(0x1p-140, f, mode) == 0x1p-127);
    CHECK(round(0x1.8p-128, f, mode) == 0x1p-127);
    CHECK(mpfr::round(0x1p-140, f, mode) == 0x1p-127);
    CHECK(std::isnan(mpfr::round(-0.0, f, mode)));
  }
  CHECK(round(0x1.8p-127, f) == 0x1p-126);
  CHECK(round(0x1.7p-127, f) == 0x1p-127);
  CHECK(std::isnan(round(0x1.8p127, f)));
  CHECK(round(0x1.8p127, f, Rounding::rtz) == 0x1p127);
  CHECK(std::isnan(round(HUGE_VAL, f)));
}

}  // namespace lamp
