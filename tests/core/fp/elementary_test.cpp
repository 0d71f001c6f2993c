// Correct rounding of the elementary functions: every code of the 16-bit formats, random and hard
// binary32 cases, odd formats, all modes, against lamp::mpfr::evaluate; and that the arrays give
// the bits of single numbers.
#include "core/fp/elementary.hpp"

#include <hwy/targets.h>

#include <array>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "core/fp/binary64.hpp"
#include "core/fp/ziv.hpp"
#include "core/mpfr/functions.hpp"
#include "core/mpfr/operations.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/formats.hpp"
#include "tests/support/random.hpp"

namespace {

using lamp::FloatFormat;
using lamp::Function;
using lamp::Rounding;
using lamp::test::Random;
using lamp::test::same_bits;

constexpr double infinity = std::numeric_limits<double>::infinity();
using lamp::test::deterministic_modes;

/// The table of all functions must name each once, in the enumeration's order.
constexpr std::array all_functions = [] {
  std::array<Function, lamp::functions.size()> all{};
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = lamp::functions[i].value;
  return all;
}();

std::string name_of(Function f) { return std::string(lamp::name_in(lamp::functions, f)); }

/// Every stride-th code of a format, as far as it has a value.
std::vector<double> codes(const FloatFormat& format, std::size_t stride) {
  const std::vector<double> all = lamp::test::decoded_values(format);
  std::vector<double> x;
  for (std::size_t i = 0; i < all.size(); i += stride) x.push_back(all[i]);
  return x;
}

/// Number of x at which the single-number form, the array form and MPFR do not all have the same
/// bits.
std::size_t disagreements(Function f, const std::vector<double>& x, const FloatFormat& format,
                          Rounding mode) {
  std::vector<double> y(x.size());
  lamp::evaluate(f, x, y, format, mode);
  std::size_t count = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double expected = lamp::mpfr::evaluate(f, x[i], format, mode);
    if (!same_bits(y[i], expected) || !same_bits(lamp::evaluate(f, x[i], format, mode), expected))
      ++count;
  }
  return count;
}

/// Arguments at which f comes as near as binary64 allows to a midpoint (odd multiple of 2^(e-p)) of
/// precision p, or to a number of it: the first step there has no digit to spare.
std::vector<double> hard_arguments(Function f, int p, bool midpoints, int count,
                                   std::uint32_t seed) {
  Random random(seed);
  std::vector<double> x;
  while (static_cast<int>(x.size()) < count) {
    const double significand =
        std::floor((1.0 + random.uniform()) * std::ldexp(1.0, p - 1)) + (midpoints ? 0.5 : 0.0);
    const double target = std::ldexp(significand, random.between(-12, 5) - p + 1);
    // monotone for x > 0: bisection, where the target is among the values
    double low = 0x1p-40, high = 100.0;
    const bool increasing = lamp::ziv::first_step(f, low) < lamp::ziv::first_step(f, high);
    const auto below = [&](double at) {
      return (lamp::ziv::first_step(f, at) < target) == increasing;
    };
    if (!below(low) || below(high)) continue;
    while (std::nextafter(low, high) < high) {
      const double middle = low + (high - low) / 2.0;
      (below(middle) ? low : high) = middle;
    }
    x.push_back(low);
    x.push_back(high);
  }
  return x;
}

/// The same in several modes, with one evaluation on MPFR: a binary64 number rounded to odd rounds
/// to p <= 51 bits as f(x) itself does. Pre: p <= 51, and the spacing of the format is at least
/// 2^-1072.
std::size_t disagreements(Function f, const std::vector<double>& x, const FloatFormat& format,
                          std::span<const Rounding> modes) {
  std::vector<double> odd(x.size()), y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    odd[i] = lamp::mpfr::evaluate(f, x[i], lamp::binary64, Rounding::rto);
  std::size_t count = 0;
  for (const Rounding mode : modes) {
    lamp::evaluate(f, x, y, format, mode);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double expected = lamp::mpfr::round(odd[i], format, mode);
      if (!same_bits(y[i], expected) || !same_bits(lamp::evaluate(f, x[i], format, mode), expected))
        ++count;
    }
  }
  return count;
}

TEST_CASE("evaluate: RNE agrees with MPFR at every code of binary16 and bfloat16",
          "[fp][elementary][oracle]") {
  for (const FloatFormat& format : {lamp::binary16, lamp::bfloat16})
    for (const Function f : all_functions) {
      INFO(name_of(f) << " " << lamp::format_name(format));
      CHECK(disagreements(f, codes(format, 1), format, Rounding::rne) == 0);
    }
}

/// Every stride-th code of every format in every mode.
void check_codes(const std::vector<FloatFormat>& formats, std::size_t stride) {
  for (const FloatFormat& format : formats)
    for (const Function f : all_functions) {
      INFO(name_of(f) << " " << lamp::format_name(format));
      CHECK(disagreements(f, codes(format, stride), format, deterministic_modes) == 0);
    }
}

TEST_CASE("evaluate: every mode agrees with MPFR at codes of binary16 and bfloat16",
          "[fp][elementary][oracle]") {
  check_codes({lamp::binary16, lamp::bfloat16}, 97);
}

TEST_CASE("evaluate: every mode agrees with MPFR at every code of formats up to 8 bits",
          "[fp][elementary][oracle]") {
  check_codes(lamp::test::formats_up_to(8), 1);
}

TEST_CASE("evaluate: every mode agrees with MPFR at every code of formats of 9 to 16 bits",
          "[fp][elementary][exhaustive]") {
  std::vector<FloatFormat> formats = lamp::test::formats_up_to(16);
  std::erase_if(formats, [](const FloatFormat& f) { return lamp::code_bits(f) <= 8; });
  check_codes(formats, 1);
}

TEST_CASE("evaluate: the comparison in several modes sees one bit and one mode",
          "[fp][elementary][negative]") {
  constexpr double x = 0.75 + 0x1p-30;  // no number of either format, nor is f(x)
  const FloatFormat narrower{
      .p = lamp::binary16.p - 1, .emin = lamp::binary16.emin, .emax = lamp::binary16.emax};
  for (const Function f : all_functions) {
    const double odd = lamp::mpfr::evaluate(f, x, lamp::binary64, Rounding::rto);
    CHECK_FALSE(same_bits(lamp::mpfr::round(odd, lamp::binary16, Rounding::rtp),
                          lamp::evaluate(f, x, lamp::binary16, Rounding::rtn)));
    CHECK_FALSE(same_bits(lamp::mpfr::round(odd, narrower, Rounding::rto),
                          lamp::evaluate(f, x, lamp::binary16, Rounding::rto)));
  }
}

void check_binary32(int count, std::uint32_t seed) {
  for (const Function f : all_functions) {
    Random random(seed);
    std::vector<double> x;
    for (int i = 0; i < count; ++i) {
      const std::uint32_t word = random.word();
      if (i % 4 == 0)
        x.push_back(static_cast<double>(std::bit_cast<float>(word)));  // any code
      else
        x.push_back(static_cast<double>(static_cast<float>(random.with_exponent(-20, 6))));
    }
    INFO(name_of(f));
    CHECK(disagreements(f, x, lamp::binary32, Rounding::rne) == 0);
    CHECK(disagreements(f, {x.begin(), x.begin() + count / 8}, lamp::binary32,
                        deterministic_modes) == 0);
  }
}

TEST_CASE("evaluate: agrees with MPFR at random binary32 numbers", "[fp][elementary][oracle]") {
  check_binary32(25000, 11);
}

TEST_CASE("evaluate: agrees with MPFR at many random binary32 numbers",
          "[fp][elementary][exhaustive]") {
  check_binary32(1000000, 12);
}

TEST_CASE("evaluate: agrees with MPFR beside midpoints and beside numbers of the format",
          "[fp][elementary][oracle]") {
  for (const Function f : all_functions)
    for (const int mu : {7, 10, 23})
      for (const bool midpoints : {true, false}) {
        const std::vector<double> x =
            hard_arguments(f, mu + 1, midpoints, 60, static_cast<std::uint32_t>(mu));
        for (const Rounding mode : deterministic_modes) {
          INFO(name_of(f) << " ps" << mu << " " << lamp::rounding_name(mode));
          CHECK(disagreements(f, x, lamp::ps(mu), mode) == 0);
        }
      }
}

TEST_CASE("evaluate: without a bound of the first step the hard cases go wrong",
          "[fp][elementary][negative]") {
  for (const Function f : all_functions) {
    if (f == Function::relu) continue;  // its first step is exact
    int wrong = 0, wrong_with_bound = 0;
    for (const double x : hard_arguments(f, 24, true, 60, 23)) {
      const double y = lamp::ziv::first_step(f, x);
      const double expected = lamp::mpfr::evaluate(f, x, lamp::binary32);
      if (!same_bits(lamp::ziv::finish(f, x, y, lamp::binary32, Rounding::rne, 0.0), expected))
        ++wrong;
      if (!same_bits(lamp::ziv::finish(f, x, y, lamp::binary32, Rounding::rne), expected))
        ++wrong_with_bound;
    }
    INFO(name_of(f));
    CHECK(wrong > 0);
    CHECK(wrong_with_bound == 0);
  }
}

TEST_CASE("evaluate: exact results, and results just beside a number, in every mode",
          "[fp][elementary][oracle]") {
  std::vector<double> x{0.0,  -0.0, infinity, -infinity, std::numeric_limits<double>::quiet_NaN(),
                        1.0,  -1.0, 12.0,     22.5,      23.5,
                        38.5, 39.5};
  for (const int e : {-1074, -1022, -1021, -970, -200, -150, -149, -127, -126, -61,  -60, -54,
                      -53,   -30,   -2,    2,    4,    6,    10,   126,  128,  1022, 1023})
    for (const double significand :
         {1.0, 1.5, 1.0 + 0x1p-23, 1.0 + 0x1p-24, 2.0 - 0x1p-24, 1.0 + 0x1p-52})
      for (const double sign : {1.0, -1.0}) x.push_back(sign * significand * lamp::pow2(e));
  x.insert(x.end(), lamp::test::special_values.begin(), lamp::test::special_values.end());
  for (const double edge : {-103.97, -104.0, -87.3, 88.72, 88.73, -17.0, 11.09, 37.4, 37.6, -92.0,
                            -108.0, -745.2, -715.0, -751.5, -752.0, 709.8, 1e4, -1e4})
    x.push_back(edge);
  const std::array<FloatFormat, 9> formats{
      lamp::binary32,
      lamp::binary16,
      lamp::ps(1),
      FloatFormat{.p = 1, .emin = -10, .emax = 10},
      FloatFormat{.p = 4,
                  .emin = -6,
                  .emax = 8,
                  .infinities = false,
                  .top_codes_lost = 1,
                  .overflow = lamp::Overflow::nan},
      FloatFormat{.p = 3,
                  .emin = -2,
                  .emax = 4,
                  .infinities = false,
                  .nan = false,
                  .overflow = lamp::Overflow::largest},
      FloatFormat{.p = 11, .emin = -14, .emax = 15, .subnormals = false},
      FloatFormat{.p = 4,
                  .emin = -7,
                  .emax = 7,
                  .infinities = false,
                  .signed_zero = false,
                  .is_unsigned = false},
      FloatFormat{.p = 24, .emin = -1022, .emax = 1023},
  };
  for (const FloatFormat& format : formats)
    for (const Function f : all_functions)
      for (const Rounding mode : deterministic_modes) {
        INFO(name_of(f) << " " << lamp::rounding_name(mode) << " p = " << format.p
                        << " emin = " << format.emin);
        CHECK(disagreements(f, x, format, mode) == 0);
      }
}

TEST_CASE("evaluate: special values", "[fp][elementary][law]") {
  for (const Rounding mode : deterministic_modes) {
    const auto at = [&](Function f, double x) {
      return lamp::evaluate(f, x, lamp::binary32, mode);
    };
    CHECK(same_bits(at(Function::exp, 0.0), 1.0));
    CHECK(same_bits(at(Function::exp, -infinity), 0.0));
    CHECK(same_bits(at(Function::rsqrt, 4.0), 0.5));
    CHECK(same_bits(at(Function::rsqrt, 0x1p-126), 0x1p63));
    CHECK(same_bits(at(Function::rsqrt, 0.0), infinity));
    CHECK(same_bits(at(Function::rsqrt, -0.0), -infinity));
    CHECK(std::isnan(at(Function::rsqrt, -1.0)));
    for (const Function f : {Function::gelu_tanh, Function::gelu_erf, Function::silu}) {
      CHECK(same_bits(at(f, 0.0), 0.0));
      CHECK(same_bits(at(f, -0.0), -0.0));
      CHECK(same_bits(at(f, -infinity), -0.0));
      CHECK(same_bits(at(f, infinity), infinity));
    }
    for (const double x : {-infinity, -1.0, -0x1p-1074, -0.0, 0.0})
      CHECK(same_bits(at(Function::relu, x), 0.0));
    for (const double x : {0x1p-149, 1.0, infinity}) CHECK(same_bits(at(Function::relu, x), x));
    CHECK(std::isnan(at(Function::relu, std::numeric_limits<double>::quiet_NaN())));
  }
}

TEST_CASE("evaluate: arrays give the bits of single numbers on every target",
          "[fp][elementary][law]") {
  std::vector<double> x;
  Random random(5);
  for (int i = 0; i < 2000; ++i) x.push_back(random.with_exponent(-30, 8));
  for (int i = 0; i < 1000; ++i) x.push_back(random.bits64());
  x.insert(x.end(), lamp::test::special_values.begin(), lamp::test::special_values.end());
  for (const Function f : all_functions) {
    const std::vector<double> hard = hard_arguments(f, 24, true, 20, 6);
    std::vector<double> all = x;
    all.insert(all.end(), hard.begin(), hard.end());
    for (const FloatFormat& format : {lamp::binary32, lamp::binary16, lamp::ps(3), lamp::binary64,
                                      FloatFormat{.p = 30, .emin = -200, .emax = 200}}) {
      const Rounding mode = format.p == 30 ? Rounding::rtp : Rounding::rne;
      std::vector<double> expected(all.size());
      for (std::size_t i = 0; i < all.size(); ++i)
        expected[i] = lamp::evaluate(f, all[i], format, mode);
      for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
        hwy::SetSupportedTargetsForTest(target);
        hwy::GetChosenTarget().Update(target);
        INFO(name_of(f) << " p = " << format.p << " target " << hwy::TargetName(target));
        std::vector<double> y = all;
        lamp::evaluate(f, y, y, format, mode);
        CHECK(same_bits(y, expected));
        y.back() = lamp::test::off_by_one_bit(y.back());
        CHECK_FALSE(same_bits(y, expected));
      }
      hwy::SetSupportedTargetsForTest(0);
      hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    }
  }
}

TEST_CASE("evaluate: above p = 24 it is the binary64 sequence, rounded once more",
          "[fp][elementary][law]") {
  Random random(8);
  for (int i = 0; i < 1000; ++i) {
    const double x = random.with_exponent(-30, 8);
    for (const Function f : all_functions) {
      const double y = lamp::ziv::first_step(f, x);
      REQUIRE(same_bits(lamp::evaluate(f, x, lamp::binary64), y));
      const FloatFormat p30{.p = 30, .emin = -126, .emax = 127};
      REQUIRE(same_bits(lamp::evaluate(f, x, p30), lamp::round(y, p30)));
    }
  }
}

/// y is one of the two neighbours of f(x) in `format`, or f(x).
bool is_faithful(Function f, double x, double y, const FloatFormat& format) {
  return same_bits(y, lamp::mpfr::evaluate(f, x, format, Rounding::rtn)) ||
         same_bits(y, lamp::mpfr::evaluate(f, x, format, Rounding::rtp));
}

TEST_CASE("evaluate: above p = 24 the result is a neighbour of f(x), in every mode",
          "[fp][elementary][oracle]") {
  Random random(9);
  std::vector<double> x{lamp::test::special_values.begin(), lamp::test::special_values.end()};
  for (int i = 0; i < 400; ++i) x.push_back(random.with_exponent(-64, 10, random.between(1, 53)));
  for (int i = 0; i < 200; ++i) x.push_back(random.with_exponent(-1074, 1023));
  for (const double at : {-1074.0, -1022.0, -760.0, -751.0, -745.13, -715.0, -708.4, -150.0, -39.0,
                          -21.0, -6.0, -1.0, 1.0, 6.0, 20.0, 22.0, 709.78, 1023.0, 1024.0}) {
    double near = at;
    for (int k = 0; k < 4; ++k) near = std::nextafter(near, -infinity);
    for (int k = 0; k < 9; ++k, near = std::nextafter(near, infinity)) x.push_back(near);
  }
  for (const FloatFormat& format : {lamp::binary64, FloatFormat{.p = 25, .emin = -126, .emax = 127},
                                    FloatFormat{.p = 52, .emin = -1022, .emax = 1023},
                                    FloatFormat{.p = 30,
                                    .emin = -500,
                                    .emax = 500,
                                    .subnormals = false,
                                    .infinities = false,
                                    .overflow = lamp::Overflow::largest}})
    for (const Function f : all_functions) {
      std::size_t unfaithful = 0;
      double at = 0.0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const Rounding mode = deterministic_modes[i % deterministic_modes.size()];
        if (!is_faithful(f, x[i], lamp::evaluate(f, x[i], format, mode), format))
          ++unfaithful, at = x[i];
      }
      INFO(name_of(f) << " p = " << format.p << ", the last at " << at);
      CHECK(unfaithful == 0);
      const double y = lamp::evaluate(f, 0.75, format);
      CHECK(is_faithful(f, 0.75, y, format));
      const double spacing = lamp::pow2(std::ilogb(y) - format.p + 1);
      CHECK_FALSE(is_faithful(f, 0.75, y + 2.0 * spacing, format));
      CHECK_FALSE(is_faithful(f, 0.75, y - 2.0 * spacing, format));
    }
}

TEST_CASE("evaluate: above p = 24 overflow and underflow follow the mode",
          "[fp][elementary][law]") {
  const FloatFormat p30{.p = 30, .emin = -126, .emax = 127};
  for (const FloatFormat& format : {lamp::binary64, p30})
    for (const Rounding mode : deterministic_modes) {
      for (const double x :
           {1025.0, 1e300, -1100.0, -1e300, 0x1p-1074, -0x1p-1074, infinity, -infinity})
        for (const Function f :
             {Function::exp, Function::exp2, Function::reciprocal, Function::gelu_tanh,
              Function::gelu_erf, Function::silu, Function::relu}) {
          const double expected = lamp::mpfr::evaluate(f, x, format, mode);
          if (std::abs(expected) != 1.0 && !std::isnormal(expected) && std::abs(x) != 0x1p-1074) {
            INFO(name_of(f) << " of " << x << " " << lamp::rounding_name(mode)
                            << " p = " << format.p);
            CHECK(same_bits(lamp::evaluate(f, x, format, mode), expected));
            std::vector<double> y(300, x);
            lamp::evaluate(f, y, y, format, mode);
            CHECK(same_bits(y, std::vector<double>(300, expected)));
          }
        }
    }
  CHECK(same_bits(lamp::evaluate(Function::exp, 800.0, lamp::binary64, Rounding::rtz),
                  std::numeric_limits<double>::max()));
  CHECK(same_bits(lamp::evaluate(Function::exp, -800.0, lamp::binary64, Rounding::rtp), 0x1p-1074));
  CHECK(same_bits(lamp::evaluate(Function::exp, 800.0, p30), infinity));
}

}  // namespace
