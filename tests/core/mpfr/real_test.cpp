// Numbers of any precision: text there and back, the binary64 operations where both exist, integers
// of GMP where only this one does.
#include "core/mpfr/real.hpp"

#include <gmp.h>

#include <array>
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
struct Integer {
  Integer() { mpz_init(z); }
  explicit Integer(const std::string& digits) { mpz_init_set_str(z, digits.c_str(), 16); }
  ~Integer() { mpz_clear(z); }
  Integer(const Integer&) = delete;
  Integer& operator=(const Integer&) = delete;
  [[nodiscard]] std::string text() const {
    std::string digits(mpz_sizeinbase(z, 16) + 2, '\0');
    mpz_get_str(digits.data(), 16, z);
    digits.resize(digits.find('\0'));
    return digits;
  }
  mpz_t z;
};

/// n >= 0 as a Real.
Real as_real(const Integer& n) { return real("0x" + n.text()); }

/// n to p bits by integer arithmetic: RNE, RTZ, RTO or SR.
void round_integer(Integer& n, std::size_t p, Rounding mode, Draw draw) {
  const std::size_t bits = mpz_sizeinbase(n.z, 2);
  if (mpz_sgn(n.z) == 0 || bits <= p) return;
  const std::size_t shift = bits - p;
  Integer rest, half;
  mpz_tdiv_r_2exp(rest.z, n.z, shift);
  mpz_tdiv_q_2exp(n.z, n.z, shift);
  mpz_setbit(half.z, shift - 1);
  const int against_half = mpz_cmp(rest.z, half.z);
  if (mode == Rounding::rne && (against_half > 0 || (against_half == 0 && mpz_odd_p(n.z) != 0)))
    mpz_add_ui(n.z, n.z, 1);
  if (mode == Rounding::rto && mpz_sgn(rest.z) != 0) mpz_setbit(n.z, 0);
  if (mode == Rounding::sr) {  // R + floor(2^r rest / 2^shift)
    mpz_mul_2exp(rest.z, rest.z, static_cast<mp_bitcnt_t>(draw.bits));
    mpz_tdiv_q_2exp(rest.z, rest.z, shift);
    mpz_add_ui(rest.z, rest.z, draw.word >> (32 - draw.bits));
    if (mpz_sizeinbase(rest.z, 2) > static_cast<std::size_t>(draw.bits)) mpz_add_ui(n.z, n.z, 1);
  }
  mpz_mul_2exp(n.z, n.z, shift);
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
    const Integer n(digits);
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
  Real copy(huge), other(1.5);
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
    const Integer a(random_digits(random, random.between(1, 2600))),
        b(random_digits(random, random.between(1, 2600))),
        c(random_digits(random, random.between(1, 5200)));
    const Real x = as_real(a), y = as_real(b), z = as_real(c);
    Integer want;
    mpz_add(want.z, a.z, b.z);
    round_integer(want, static_cast<std::size_t>(p), mode, draw);
    REQUIRE(mpfr::add(x, y, wide(p), mode, draw) == as_real(want));
    mpz_mul(want.z, a.z, b.z);
    round_integer(want, static_cast<std::size_t>(p), mode, draw);
    REQUIRE(mpfr::mul(x, y, wide(p), mode, draw) == as_real(want));
    mpz_mul(want.z, a.z, b.z);
    mpz_add(want.z, want.z, c.z);
    round_integer(want, static_cast<std::size_t>(p), mode, draw);
    REQUIRE(mpfr::fma(x, y, z, wide(p), mode, draw) == as_real(want));
    mpz_set(want.z, c.z);
    round_integer(want, static_cast<std::size_t>(p), mode, draw);
    REQUIRE(mpfr::round(z, wide(p), mode, draw) == as_real(want));
    // An exact product divides back, and a square has its root.
    mpz_mul(want.z, a.z, b.z);
    Integer quotient(a.text());
    round_integer(quotient, static_cast<std::size_t>(p), mode, draw);
    REQUIRE(mpfr::div(as_real(want), y, wide(p), mode, draw) == as_real(quotient));
    mpz_mul(want.z, a.z, a.z);
    REQUIRE(mpfr::sqrt(as_real(want), wide(p), mode, draw) == as_real(quotient));
  }
}

TEST_CASE("SR on Real: at the very R that decides, up to r = 32", "[mpfr][real]") {
  test::Random random(5);
  int turns = 0;
  for (int i = 0; i < 200; ++i) {
    const int p = random.between(54, 3000), r = i % 2 == 0 ? 32 : random.between(1, 32);
    const Integer a(random_digits(random, 1000)), b(random_digits(random, 1000));
    Integer exact, leading;
    mpz_mul(exact.z, a.z, b.z);
    const std::size_t shift = mpz_sizeinbase(exact.z, 2) - static_cast<std::size_t>(p);
    mpz_tdiv_r_2exp(leading.z, exact.z, shift);
    mpz_mul_2exp(leading.z, leading.z, static_cast<mp_bitcnt_t>(r));
    mpz_tdiv_q_2exp(leading.z, leading.z, shift);
    const std::uint64_t least =
        (std::uint64_t{1} << r) - mpz_get_ui(leading.z);  // R from here on goes away
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
