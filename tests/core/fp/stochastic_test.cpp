// Stochastic rounding: how many of all draws go away, by integers; how often random draws do,
// within a derived bound; and the bits of MPFR with the same draw.
#include "core/fp/stochastic.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "core/mpfr/functions.hpp"
#include "core/mpfr/operations.hpp"
#include "tests/support/agreement.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/formats.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

using test::same_bits;

/// The word whose top bits are R; what is below must not matter.
Draw draw_of(std::uint32_t r_value, int r, std::uint32_t below) {
  const std::uint32_t mask = r == 32 ? 0 : ~std::uint32_t{0} >> r;
  return {.word = r_value << (32 - r) | (below & mask), .bits = r};
}

/// Six standard deviations of a binomial count: exceeded with probability below 2e-9.
double six_sigma(double n, double probability) {
  return 6.0 * std::sqrt(n * probability * (1.0 - probability));
}

}  // namespace

TEST_CASE("SR: of all 2^r draws exactly floor(2^r f) go away from zero", "[fp][stochastic]") {
  test::Random random(1);
  constexpr int digits = 12;  // f = k / 2^12
  const FloatFormat f8{.p = 8, .emin = -126, .emax = 127};
  long failures = 0;
  for (const int r : {1, 2, 3, 5, 8})
    for (std::uint32_t k = 0; k < 1U << digits; k += 7) {
      const double low =
          std::ldexp(128 + static_cast<double>(random.below(128)), random.between(-100, 100) - 7);
      const double spacing = std::ldexp(1.0, std::ilogb(low) - 7),
                   x = low + spacing * static_cast<double>(k) / (1U << digits);
      std::uint32_t away = 0;
      for (std::uint32_t value = 0; value < 1U << r; ++value) {  // NOLINT: r is at most 8
        const double y = round(x, f8, Rounding::sr, draw_of(value, r, random.word()));
        failures += y != low && y != low + spacing;
        failures += !same_bits(round(-x, f8, Rounding::sr, draw_of(value, r, random.word())), -y);
        away += y != low ? 1 : 0;
      }
      failures += away != (k << r >> digits);
    }
  CHECK(failures == 0);
}

TEST_CASE(
    "SR: exactly floor(2^r f) of all draws also in the subnormals, without them, and at overflow",
    "[fp][stochastic]") {
  const FloatFormat gradual{.p = 4, .emin = -3, .emax = 3},
      flushing{.p = 4, .emin = -3, .emax = 3, .subnormals = false};
  const auto away = [](double x, const FloatFormat& f, double high) {
    int count = 0;
    for (std::uint32_t value = 0; value < 256; ++value)
      count += round(x, f, Rounding::sr, draw_of(value, 8, 0)) == high ? 1 : 0;
    return count;
  };
  CHECK(away(0x1p-6 * 0.25, gradual, 0x1p-6) == 64);    // f = 1/4 between 0 and xmins
  CHECK(away(0x1p-6 * 5.75, gradual, 0x6p-6) == 192);   // f = 3/4 between 5 xmins and 6 xmins
  CHECK(away(0x1p-3 * 0.125, flushing, 0x1p-3) == 32);  // f = 1/8 between 0 and xmin
  CHECK(away(15.0 + 0.75, gradual, HUGE_VAL) ==
        192);  // between xmax = 15 and 16, which is overflow
  CHECK(away(16.0, gradual, HUGE_VAL) == 256);
  CHECK(away(0x1p-1000, gradual, 0x1p-6) == 0);  // floor(2^8 f) = 0: never away
  CHECK(away(0x1p-14, gradual, 0x1p-6) == 1);    // f = 2^-8
  CHECK(away(std::nextafter(0x1p-14, 0.0), gradual, 0x1p-6) == 0);
  CHECK(away(1.25, gradual, 1.375) == 0);  // exact
}

TEST_CASE("SR: how often random draws go away, within the binomial's six sigma",
          "[fp][stochastic]") {
  constexpr int n = 20000;
  test::Random random(2);
  for (const int r : {1, 3, 8, 24, 32})
    for (const double f : {0.0, 1.0 / 3.0, 0.5, 0.1, 0.9, 0x1p-8, 0x1p-20, 1.0 - 0x1p-30}) {
      int away = 0;
      const double x =
          1.0 + 0x1p-7 * f;  // exact: f has at most 45 bits here, or is rounded to them
      const double fraction = (x - 1.0) * 0x1p7,
                   probability = std::floor(std::ldexp(fraction, r)) * std::ldexp(1.0, -r);
      for (int i = 0; i < n; ++i)
        away += round(x, ps(7), Rounding::sr, {.word = random.word(), .bits = r}) > 1.0 ? 1 : 0;
      INFO("r " << r << ", f " << f << ", away " << away);
      if (probability == 0.0 || probability == 1.0)
        CHECK(away == static_cast<int>(probability) * n);
      CHECK(std::abs(away - n * probability) <= six_sigma(n, probability));
    }
}

TEST_CASE("SR: the mean of the roundings is the number, RNE's is not", "[fp][stochastic][law]") {
  constexpr int n = 100000;
  test::Random random(3);
  for (const double x :
       {1.0 + 0x1p-7 / 3.0, -(1.5 + 0x1p-7 * 0.9), 0x1p-133 * 0.3, 200.0 * (1.0 + 0x1p-9)}) {
    const double low = round(x, ps(7), Rounding::rtz);
    const double spacing = std::ldexp(1.0, std::max(std::ilogb(x), -126) - 7),
                 f = std::abs(x - low) / spacing;
    double sum = 0.0;  // of roundings in units of the spacing, relative to low: integers, exact
    for (int i = 0; i < n; ++i)
      sum += std::abs(round(x, ps(7), Rounding::sr, {.word = random.word()}) - low) / spacing;
    // The bias of r = 32 bits, below n 2^-32, is far inside the bound.
    CHECK(std::abs(sum - n * f) <= six_sigma(n, f) + n * 0x1p-32);
    CHECK(std::abs(n * std::abs(round(x, ps(7)) - low) / spacing - n * f) > six_sigma(n, f));
  }
}

TEST_CASE("SRE: half of the draws go away from what is inexact, by the top bit alone",
          "[fp][stochastic]") {
  test::Random random(4);
  long failures = 0;
  int away = 0;
  constexpr int n = 20000;
  for (int i = 0; i < n; ++i) {
    const Draw draw{.word = random.word(), .bits = random.between(1, 32)};
    const double x = 1.0 + std::ldexp(1.0, -random.between(8, 52));
    const double y = round(x, ps(7), Rounding::sre, draw);
    failures += y != (draw.word >> 31 != 0 ? 1.0 + 0x1p-7 : 1.0);
    failures += round(1.5, ps(7), Rounding::sre, draw) != 1.5;
    failures += !same_bits(div(-1.0, 3.0, binary64, Rounding::sre, draw),
                           draw.word >> 31 != 0 ? -0x1.5555555555556p-2 : -0x1.5555555555555p-2);
    away += y > 1.0 ? 1 : 0;
  }
  CHECK(failures == 0);
  CHECK(std::abs(away - n * 0.5) <= six_sigma(n, 0.5));
}

TEST_CASE(
    "SR and SRE: every operation has MPFR's bits with the same draw, also at p = 53 and the edge "
    "of the draw",
    "[fp][stochastic]") {
  test::Agreement agreement;
  test::Random random(5);
  for (int i = 0; i < 40000; ++i) {
    const bool large = random.below(3) != 0;
    const FloatFormat& f = large ? test::large_formats[random.below(test::large_formats.size())]
                                 : test::small_formats[random.below(test::small_formats.size())];
    const Rounding mode = random.below(4) == 0 ? Rounding::sre : Rounding::sr;
    const double a = test::operand(random, f), b = test::operand(random, f),
                 c = random.below(3) == 0 ? -a * b : test::operand(random, f);
    // Draws near the decision: R = 2^r - floor(2^r f) and its neighbour, where f is that of a
    // division or of a sum.
    Draw draw{.word = random.word(), .bits = random.between(1, 32)};
    if (random.below(2) == 0) draw.word = random.below(2) == 0 ? 0 : ~std::uint32_t{0};
    agreement.all(a, b, c, f, mode, draw);
  }
  agreement.require(280000);
}

// The decision of 32 random bits under a last place at 2^-52 needs 85 bits of a quotient or root: R
// that decides is searched for.
TEST_CASE("SR: the one R where the decision of a quotient or root turns is MPFR's",
          "[fp][stochastic]") {
  test::Random random(6);
  long turns = 0;
  for (const FloatFormat& f :
       {binary64, binary32, ps(7), FloatFormat{.p = 52, .emin = -1022, .emax = 1023}}) {
    for (int i = 0; i < 300; ++i) {
      const double a = random.with_exponent(-20, 20), b = random.with_exponent(-20, 20),
                   c = random.with_exponent(-60, 20);
      const int r = random.below(2) == 0 ? 32 : random.between(1, 32);
      const auto turn = [&](auto&& operation) {  // the least R that goes away
        const double low = operation(Draw{.word = 0, .bits = r});
        std::uint64_t first = 0, last = std::uint64_t{1} << r;
        while (first < last) {
          const std::uint64_t middle = (first + last) / 2;
          if (same_bits(operation(draw_of(static_cast<std::uint32_t>(middle), r, 0)), low))
            first = middle + 1;
          else
            last = middle;
        }
        return first;
      };
      const auto both = [&](auto&& mine, auto&& theirs) {
        const std::uint64_t at = turn(mine);
        REQUIRE(at == turn(theirs));
        turns += at < std::uint64_t{1} << r ? 1 : 0;
      };
      both([&](Draw d) { return div(a, b, f, Rounding::sr, d); },
           [&](Draw d) { return mpfr::div(a, b, f, Rounding::sr, d); });
      both([&](Draw d) { return sqrt(std::abs(a), f, Rounding::sr, d); },
           [&](Draw d) { return mpfr::sqrt(std::abs(a), f, Rounding::sr, d); });
      both([&](Draw d) { return fma(a, b, c, f, Rounding::sr, d); },
           [&](Draw d) { return mpfr::fma(a, b, c, f, Rounding::sr, d); });
    }
  }
  CHECK(turns > 1000);
}

TEST_CASE("SR of elementary functions: between the neighbours, as often as the value says",
          "[fp][stochastic]") {
  test::Random random(7);
  constexpr int n = 4000;
  for (const auto& [name, f] : functions) {
    const double x = 0.7, exact = mpfr::evaluate(f, x, binary64);
    const double low = round(exact, ps(7), Rounding::rtn),
                 high = round(exact, ps(7), Rounding::rtp);
    const double probability = (exact - low) / (high - low);
    int away = 0;
    for (int i = 0; i < n; ++i) {
      const Draw draw{.word = random.word()};
      const double y = evaluate(f, x, ps(7), Rounding::sr, draw);
      REQUIRE((y == low || y == high));
      REQUIRE(same_bits(
          y, round(exact, ps(7), Rounding::sr,
                   draw)));  // 45 bits below the last place: R decides as for the real value
      away += y == high ? 1 : 0;
    }
    CHECK(std::abs(away - n * probability) <= six_sigma(n, probability) + n * 0x1p-32);
  }
  CHECK(evaluate(Function::exp, 0.0, ps(7), Rounding::sr, {.word = ~std::uint32_t{0}}) ==
        1.0);  // exact
  CHECK(evaluate(Function::exp, 0x1p-60, ps(7), Rounding::sr, {.word = ~std::uint32_t{0}}) == 1.0);
  CHECK(evaluate(Function::exp, 0x1p-60, ps(7), Rounding::sre, {.word = ~std::uint32_t{0}}) ==
        1.0 + 0x1p-7);
}

TEST_CASE("negative control: one draw less or one random bit more is seen",
          "[fp][stochastic][control]") {
  const double x = 1.0 + 0x1p-7 * 0.75;  // away iff R >= 2^r / 4
  CHECK(round(x, ps(7), Rounding::sr, draw_of(64, 8, 0)) > 1.0);
  CHECK(round(x, ps(7), Rounding::sr, draw_of(63, 8, ~std::uint32_t{0})) == 1.0);
  const double y = 1.0 + 0x1p-7 * 0x1.8p-1 - 0x1p-16;  // just below: floor(2^8 f) = 191
  CHECK(round(y, ps(7), Rounding::sr, draw_of(64, 8, ~std::uint32_t{0})) == 1.0);
  CHECK(round(y, ps(7), Rounding::sr, draw_of(65, 8, 0)) > 1.0);
}

}  // namespace lamp
