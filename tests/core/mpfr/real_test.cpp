// Numbers of any precision: text there and back, the binary64 operations where both exist, integers
// of GMP where only this one does.
#include "core/mpfr/real.hpp"

#include <array>
#include <boost/multiprecision/gmp.hpp>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>

#include "core/mpfr/operations.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/formats.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

using Integer = boost::multiprecision::mpz_int;
using mpfr::Real;
using test::same_bits;

constexpr double inf = std::numeric_limits<double>::infinity();

Real real(std::string_view text) { return *Real::parse(text); }

std::string percent_a(double x) {
  char text[40];
  std::snprintf(text, sizeof text, "%a", x);
  return text;
}

/// Hexadecimal digits, the first not zero.
std::string random_digits(test::Random& random, int count) {
  std::string digits;
  for (int i = 0; i < count; ++i)
    digits += "0123456789abcdef"[i == 0 ? 1 + random.below(15) : random.below(16)];
  return digits;
}

/// The integer of hexadecimal digits.
Integer integer(const std::string& digits) { return Integer("0x" + digits); }

/// n >= 0 as a Real.
Real as_real(const Integer& n) { return real("0x" + n.str(0, std::ios_base::hex)); }

std::size_t bits_of(const Integer& n) { return n == 0 ? 0 : msb(n) + 1; }

/// n to p bits by integer arithmetic: RNE, RTZ, RTO or SR.
void round_integer(Integer& n, std::size_t p, Rounding mode, Draw draw) {
  if (bits_of(n) <= p) return;
  const std::size_t shift = bits_of(n) - p;
  const Integer rest = n & ((Integer(1) << shift) - 1), half = Integer(1) << (shift - 1);
  n >>= shift;
  if (mode == Rounding::rne && (rest > half || (rest == half && bit_test(n, 0)))) ++n;
  if (mode == Rounding::rto && rest != 0) bit_set(n, 0);
  if (mode == Rounding::sr) {  // R + floor(2^r rest / 2^shift)
    const Integer sum = ((rest << draw.bits) >> shift) + (draw.word >> (32 - draw.bits));
    if (bits_of(sum) > static_cast<std::size_t>(draw.bits)) ++n;
  }
  n <<= shift;
}

FloatFormat wide(int p) { return {.p = p, .emin = -1'000'000, .emax = 1'000'000}; }

}  // namespace

TEST_CASE("Real: text of binary64 numbers is C's, and back", "[mpfr][real]") {
  test::Random random(1);
  for (int i = 0; i < 20000; ++i) {
    const double x = i < 19 ? test::special_values[static_cast<std::size_t>(i)] : random.bits64();
    const Real number(x);
    REQUIRE(same_bits(number.to_double(), x));
    REQUIRE(real(number.hex()) == number);
    REQUIRE(real(percent_a(x)) == number);
    if (std::isnan(x) || std::fpclassify(x) == FP_SUBNORMAL) continue;
    REQUIRE(number.hex() == percent_a(x));
  }
  CHECK(Real(0x1p-1074).hex() == "0x1p-1074");
  CHECK(Real(-0x1.8p-1073).hex() == "-0x1.8p-1073");
}

TEST_CASE("Real: text of any length", "[mpfr][real]") {
  test::Random random(2);
  for (int i = 0; i < 300; ++i) {
    const std::string digits = random_digits(random, random.between(1, 3000));
    const Integer n = integer(digits);
    const Real x = real("0x" + digits);
    REQUIRE(as_real(n) == x);
    REQUIRE(real(x.hex()) == x);
    const std::size_t point = random.below(static_cast<std::uint32_t>(digits.size()));
    const std::string moved = "-0X" + digits.substr(0, point) + "." + digits.substr(point) + "P" +
                              std::to_string(4 * (digits.size() - point));
    REQUIRE(real(moved) == real("-0x" + digits));
  }
  CHECK(real("0x1.8p+1").hex() == "0x1.8p+1");
  CHECK(real("0x1.00000000000000000000000000000001p0").hex() ==
        "0x1.00000000000000000000000000000001p+0");
  CHECK(real("0x.1").hex() == "0x1p-4");
  CHECK(real("0x3.").hex() == "0x1.8p+1");
  CHECK(real("-0x0.000p99").hex() == "-0x0p+0");
  CHECK(real("-Infinity").hex() == "-inf");
  CHECK(real("+nan").hex() == "nan");
  CHECK(real("0x1p68719476736").hex() == "0x1p+68719476736");
  CHECK(real("0x1p-68719476736").hex() == "0x1p-68719476736");
}

TEST_CASE("Real: what is no number is one line", "[mpfr][real]") {
  for (const char* text : {"", "0x", "0x.", "1.5", "0x1.8.", "0x1p", "0x1p+", "0x1p1.5", "0xg",
                           "0x1 ", " 0x1", "--0x1", "inf1", "0x1p99999999999", "0x1@2", "0x-1"}) {
    INFO(text);
    const Result<Real> x = Real::parse(text);
    REQUIRE_FALSE(x.ok());
    CHECK(x.error().code == ExitCode::bad_data);
    CHECK(x.error().message.find("legal:") != std::string::npos);
    CHECK(x.error().message.find('\n') == std::string::npos);
  }
  CHECK_FALSE(Real::parse("0x1p68719476737").ok());
  CHECK(Real::parse(std::string(1000, '\n')).error().message.size() < 200);
}

TEST_CASE("Real: a regular type, also outside the thread's exponent range", "[mpfr][real]") {
  const Real huge = real("0x1p68000000000");
  const Real copy(huge);  // NOLINT: a copy is what is tested
  Real other(1.5);
  CHECK(copy == huge);
  other = copy;
  CHECK(other == huge);
  CHECK(other.to_double() == inf);
  CHECK_FALSE(Real(0.0) == Real(-0.0));
  CHECK(Real(std::nan("")) == Real(std::nan("")));
  CHECK_FALSE(Real(std::nan("")) == Real(0.0));
}

TEST_CASE("operations on Real are those on binary64 where both exist, all modes, with draws",
          "[mpfr][real]") {
  test::Random random(3);
  long failures = 0;
  for (int i = 0; i < 20000; ++i) {
    const FloatFormat& f = random.below(2) == 0
                               ? test::large_formats[random.below(test::large_formats.size())]
                               : test::small_formats[random.below(test::small_formats.size())];
    const auto mode = static_cast<Rounding>(random.below(8));
    const Draw draw{.word = random.word(), .bits = random.between(1, 32)};
    const double a =
        random.below(8) == 0 ? random.bits64() : random.with_exponent(-8, 8, random.between(1, 53));
    const double b = random.below(8) == 0
                         ? test::special_values[random.below(test::special_values.size())]
                         : random.with_exponent(-8, 8);
    const double c = random.below(3) == 0 ? -a * b : random.with_exponent(-8, 8);
    const Real x(a), y(b), z(c);
    failures += !(mpfr::round(x, f, mode, draw) == Real(mpfr::round(a, f, mode, draw)));
    failures += !(mpfr::add(x, y, f, mode, draw) == Real(mpfr::add(a, b, f, mode, draw)));
    failures += !(mpfr::sub(x, y, f, mode, draw) == Real(mpfr::sub(a, b, f, mode, draw)));
    failures += !(mpfr::mul(x, y, f, mode, draw) == Real(mpfr::mul(a, b, f, mode, draw)));
    failures += !(mpfr::div(x, y, f, mode, draw) == Real(mpfr::div(a, b, f, mode, draw)));
    failures += !(mpfr::fma(x, y, z, f, mode, draw) == Real(mpfr::fma(a, b, c, f, mode, draw)));
    failures += !(mpfr::sqrt(x, f, mode, draw) == Real(mpfr::sqrt(a, f, mode, draw)));
  }
  CHECK(failures == 0);
}

TEST_CASE("operations on Real: p up to 10,000 against integers", "[mpfr][real]") {
  test::Random random(4);
  for (int i = 0; i < 300; ++i) {
    const int p = i < 3 ? 10'000 : random.between(54, 10'000);
    const Rounding mode =
        std::array{Rounding::rne, Rounding::rtz, Rounding::rto, Rounding::sr}[random.below(4)];
    const Draw draw{.word = random.word(), .bits = random.between(1, 32)};
    const Integer a = integer(random_digits(random, random.between(1, 2600))),
                  b = integer(random_digits(random, random.between(1, 2600))),
                  c = integer(random_digits(random, random.between(1, 5200)));
    const auto rounded = [&](Integer exact) {
      round_integer(exact, static_cast<std::size_t>(p), mode, draw);
      return as_real(exact);
    };
    const Real x = as_real(a), y = as_real(b), z = as_real(c);
    REQUIRE(mpfr::add(x, y, wide(p), mode, draw) == rounded(a + b));
    REQUIRE(mpfr::mul(x, y, wide(p), mode, draw) == rounded(a * b));
    REQUIRE(mpfr::fma(x, y, z, wide(p), mode, draw) == rounded(a * b + c));
    REQUIRE(mpfr::round(z, wide(p), mode, draw) == rounded(c));
    // An exact product divides back, and a square has its root.
    REQUIRE(mpfr::div(as_real(a * b), y, wide(p), mode, draw) == rounded(a));
    REQUIRE(mpfr::sqrt(as_real(a * a), wide(p), mode, draw) == rounded(a));
  }
}

TEST_CASE("SR on Real: at the very R that decides, up to r = 32", "[mpfr][real]") {
  test::Random random(5);
  int turns = 0;
  for (int i = 0; i < 200; ++i) {
    const int p = random.between(54, 3000), r = i % 2 == 0 ? 32 : random.between(1, 32);
    const Integer a = integer(random_digits(random, 1000)),
                  b = integer(random_digits(random, 1000)), exact = a * b;
    const std::size_t shift = bits_of(exact) - static_cast<std::size_t>(p);
    const Integer rest = exact & ((Integer(1) << shift) - 1), leading = (rest << r) >> shift;
    const std::uint64_t least =
        (std::uint64_t{1} << r) - leading.convert_to<std::uint64_t>();  // R from here on goes away
    if (least >> r != 0) continue;
    const auto rounded = [&](std::uint64_t value) {
      const Draw draw{.word = static_cast<std::uint32_t>(value << (32 - r)), .bits = r};
      return mpfr::mul(as_real(a), as_real(b), wide(p), Rounding::sr, draw);
    };
    REQUIRE(rounded(least) == mpfr::mul(as_real(a), as_real(b), wide(p), Rounding::rtp));
    REQUIRE(rounded(least - 1) == mpfr::mul(as_real(a), as_real(b), wide(p), Rounding::rtz));
    ++turns;
  }
  CHECK(turns > 150);
}

TEST_CASE("operations on Real: far exponents, subnormals and overflow of wide formats",
          "[mpfr][real]") {
  const FloatFormat quad{.p = 113, .emin = -16382, .emax = 16383};  // binary128
  CHECK(mpfr::div(Real(1.0), Real(3.0), quad).hex() == "0x1.5555555555555555555555555555p-2");
  CHECK(mpfr::sqrt(Real(2.0), quad).hex() == "0x1.6a09e667f3bcc908b2fb1366ea95p+0");
  CHECK(mpfr::mul(real("0x1p-16382"), real("0x1p-112"), quad).hex() == "0x1p-16494");
  CHECK(mpfr::mul(real("0x1p-16382"), real("0x1p-113"), quad).hex() == "0x0p+0");
  CHECK(mpfr::mul(real("-0x1p-16382"), real("0x1.8p-113"), quad).hex() == "-0x1p-16494");
  CHECK(mpfr::mul(real("0x1p16383"), Real(2.0), quad).hex() == "inf");
  CHECK(mpfr::mul(real("0x1p16383"), Real(2.0), quad, Rounding::rtz).hex() ==
        "0x1.ffffffffffffffffffffffffffffp+16383");
  const FloatFormat far{.p = 200, .emin = -1'000'000'000, .emax = 1'000'000'000};
  CHECK(mpfr::check_format(far).ok());
  CHECK(mpfr::mul(real("0x1p600000000"), real("0x1p-700000000"), far).hex() == "0x1p-100000000");
  CHECK(mpfr::mul(real("0x1p600000000"), real("0x1p600000000"), far).hex() == "inf");
  CHECK(mpfr::mul(real("0x1p-600000000"), real("0x1p-600000000"), far, Rounding::rtp) ==
        mpfr::round(real("0x1p-2000000000"), far, Rounding::rtp));
  CHECK(mpfr::fma(real("0x1p30000000000"), real("0x1p30000000000"), real("-0x1p60000000000"), far)
            .hex() == "0x0p+0");
  CHECK(mpfr::fma(real("0x1p-30000000000"), real("0x1p-30000000000"), real("0x1p0"), far,
                  Rounding::rto)
            .hex() == "0x1." + std::string(49, '0') + "2p+0");
  CHECK(mpfr::add(real("0x1.8p0"), real("-0x1.8p0"), far, Rounding::rtn).hex() == "-0x0p+0");
}

TEST_CASE("Real: check_format names the field and its range", "[mpfr][real]") {
  const auto message = [](const FloatFormat& f) {
    const Result<void> checked = mpfr::check_format(f);
    return checked.ok() ? std::string("ok") : checked.error().message;
  };
  CHECK(message({.p = 10'000, .emin = -1'000'000'000, .emax = 1'000'000'000}) == "ok");
  CHECK(message({.p = 10'001}) == "p must be an integer in 1..10000, got 10001");
  CHECK(message({.p = 8, .emin = 3, .emax = 2}) ==
        "emin must be an integer in -1000000000..2, got 3");
  CHECK(message({.p = 8, .top_codes_lost = 128}) ==
        "top_codes_lost must be an integer in 0..127, got 128");
  CHECK(message({.p = 8, .infinities = false}).find("overflow must be") == 0);
}

TEST_CASE("negative control: one bit in ten thousand is seen", "[mpfr][real][control]") {
  const Real x = real("0x1." + std::string(2499, '0') + "2p0");
  CHECK(mpfr::round(x, wide(10'000)) == x);
  CHECK_FALSE(mpfr::round(x, wide(9'999)) == x);
  CHECK(mpfr::round(x, wide(9'999)) == Real(1.0));
}

}  // namespace lamp
