// The second implementation against oracles of its own: the processor's rounding modes, published
// digits, the textbook formulas at a precision that leaves no doubt, and integer arithmetic.
#include <mpfr.h>

#include <algorithm>
#include <array>
#include <bit>
#include <catch2/catch.hpp>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <thread>
#include <utility>
#include <vector>

#include "core/arith/scalar.hpp"
#include "core/mpfr/arithmetic.hpp"
#include "core/mpfr/functions.hpp"
#include "core/mpfr/number.hpp"
#include "core/mpfr/operations.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/formats.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

using test::same_bits;

constexpr double inf = std::numeric_limits<double>::infinity();

static_assert(ScalarArithmetic<mpfr::MpfrArithmetic>);

double operand(test::Random& random) {
  switch (random.below(5)) {
    case 0:
      return test::special_values[random.below(test::special_values.size())];
    case 1:
      return random.bits64();
    case 2:
      return random.with_exponent(-1060, -1000, random.between(1, 53));
    default:
      return random.with_exponent(-8, 8, random.between(1, 53));
  }
}

/// The processor in one of its rounding modes; volatile keeps the compiler from folding or moving
/// the operation.
struct Processor {
  explicit Processor(int direction) { std::fesetround(direction); }
  ~Processor() { std::fesetround(FE_TONEAREST); }
  static double add(double x, double y) {
    volatile double a = x, b = y, r = a + b;
    return r;
  }
  static double mul(double x, double y) {
    volatile double a = x, b = y, r = a * b;
    return r;
  }
  static double div(double x, double y) {
    volatile double a = x, b = y, r = a / b;
    return r;
  }
  static double sqrt(double x) {
    volatile double a = x, r = std::sqrt(a);
    return r;
  }
  static double to_binary32(double x) {
    volatile double a = x;
    volatile float r = static_cast<float>(a);
    return static_cast<double>(r);
  }
};

constexpr std::array gelu_and_silu{Function::gelu_tanh, Function::gelu_erf, Function::silu};

/// x/2 (1 + g(x)) at 2048 bits, where neither 1 + tanh nor 1 + erf cancels noticeably for |x| < 14:
/// GELU by its textbook form, silu with g(x) = tanh(x/2).
double textbook(Function f, double x, const FloatFormat& format, Rounding mode) {
  constexpr mpfr_prec_t precision = 2048;
  mpfr::Number t(precision), y(precision);
  if (f == Function::gelu_erf) {
    mpfr_sqrt_ui(t.get(), 2, MPFR_RNDN);
    mpfr_d_div(t.get(), x, t.get(), MPFR_RNDN);
    mpfr_erf(y.get(), t.get(), MPFR_RNDN);
  } else if (f == Function::silu) {
    mpfr_set_d(t.get(), x / 2, MPFR_RNDN);
    mpfr_tanh(y.get(), t.get(), MPFR_RNDN);
  } else {
    mpfr_set_d(t.get(), x, MPFR_RNDN);
    mpfr_pow_ui(t.get(), t.get(), 3, MPFR_RNDN);
    mpfr_set_str(y.get(), "0.044715", 10, MPFR_RNDN);
    mpfr_mul(t.get(), t.get(), y.get(), MPFR_RNDN);
    mpfr_add_d(t.get(), t.get(), x, MPFR_RNDN);
    mpfr_const_pi(y.get(), MPFR_RNDN);
    mpfr_mul(t.get(), t.get(), t.get(), MPFR_RNDN);  // t^2 2/pi, then the root with the sign of x
    mpfr_mul_ui(t.get(), t.get(), 2, MPFR_RNDN);
    mpfr_div(t.get(), t.get(), y.get(), MPFR_RNDN);
    mpfr_sqrt(t.get(), t.get(), MPFR_RNDN);
    mpfr_setsign(t.get(), t.get(), std::signbit(x), MPFR_RNDN);
    mpfr_tanh(y.get(), t.get(), MPFR_RNDN);
  }
  mpfr_add_ui(y.get(), y.get(), 1, MPFR_RNDN);
  mpfr_mul_d(y.get(), y.get(), x / 2, MPFR_RNDN);
  // Only normal results of `format` and the native modes are asked for: MPFR's own rounding is the
  // answer.
  mpfr::Number r(format.p);
  mpfr_set(r.get(), y.get(),
           mode == Rounding::rtp   ? MPFR_RNDU
           : mode == Rounding::rtz ? MPFR_RNDZ
                                   : MPFR_RNDN);
  return mpfr_get_d(r.get(), MPFR_RNDN);
}

}  // namespace

TEST_CASE("mpfr operations to binary64 are the processor's in its four rounding modes", "[mpfr]") {
  const std::vector<std::pair<int, Rounding>> directions{{FE_TONEAREST, Rounding::rne},
                                                         {FE_UPWARD, Rounding::rtp},
                                                         {FE_DOWNWARD, Rounding::rtn},
                                                         {FE_TOWARDZERO, Rounding::rtz}};
  test::Random random(1);
  long failures = 0;
  for (int i = 0; i < 20000; ++i) {
    const double a = operand(random), b = random.below(5) == 0 ? -a : operand(random);
    for (const auto& [direction, mode] : directions) {
      double sum = 0, product = 0, quotient = 0, root = 0, narrow = 0;
      {
        const Processor processor(direction);
        sum = Processor::add(a, b), product = Processor::mul(a, b), quotient = Processor::div(a, b);
        root = Processor::sqrt(a), narrow = Processor::to_binary32(a);
      }
      failures += !same_bits(mpfr::add(a, b, binary64, mode), sum) +
                  !same_bits(mpfr::mul(a, b, binary64, mode), product) +
                  !same_bits(mpfr::div(a, b, binary64, mode), quotient) +
                  !same_bits(mpfr::sqrt(a, binary64, mode), root) +
                  !same_bits(mpfr::round(a, binary32, mode), narrow);
    }
  }
  CHECK(failures == 0);
}

TEST_CASE("mpfr fma to binary64 and binary32, RNE, is the processor's", "[mpfr]") {
  test::Random random(2);
  long failures = 0;
  for (int i = 0; i < 50000; ++i) {
    const double a = operand(random), b = operand(random),
                 c = random.below(3) == 0 ? -a * b : operand(random);
    failures += !same_bits(mpfr::fma(a, b, c, binary64), std::fma(a, b, c));
  }
  CHECK(failures == 0);
}

TEST_CASE("mpfr round: RNA and RTO, which no processor has, by their definition on integers",
          "[mpfr]") {
  const FloatFormat f{.p = 4, .emin = -3, .emax = 10};
  for (int n = 1; n < 1 << 12; ++n) {  // x = n / 2^8, spacing 2^q
    const double x = n * 0x1p-8;
    const int q = std::max(std::ilogb(x), f.emin) - f.p + 1;
    const double scaled = std::ldexp(x, -q), whole = std::floor(scaled);
    const double away = scaled - whole >= 0.5 ? whole + 1 : whole;
    const double odd = scaled != whole && std::fmod(whole, 2) == 0 ? whole + 1 : whole;
    REQUIRE(same_bits(mpfr::round(x, f, Rounding::rna), std::ldexp(away, q)));
    REQUIRE(same_bits(mpfr::round(-x, f, Rounding::rna), -std::ldexp(away, q)));
    REQUIRE(same_bits(mpfr::round(x, f, Rounding::rto), std::ldexp(odd, q)));
    REQUIRE(same_bits(mpfr::round(-x, f, Rounding::rto), -std::ldexp(odd, q)));
  }
}

TEST_CASE("mpfr round: overflow and underflow edges of OCP's formats", "[mpfr]") {
  CHECK(same_bits(mpfr::round(464.0, e4m3fn), 448.0));
  CHECK(std::isnan(mpfr::round(465.0, e4m3fn)));
  CHECK(same_bits(mpfr::round(465.0, e4m3fn, Rounding::rtn), 448.0));
  CHECK(same_bits(mpfr::round(-465.0, e4m3fn, Rounding::rto), -448.0));
  CHECK(same_bits(mpfr::round(inf, e3m2fn), 28.0));
  const FloatFormat flushing{.p = 4, .emin = -3, .emax = 3, .subnormals = false};
  CHECK(same_bits(mpfr::round(0x1p-4, flushing), 0.0));  // the tie: zero counts as even
  CHECK(same_bits(mpfr::round(-0x1p-4, flushing), -0.0));
  CHECK(same_bits(mpfr::round(0x1.01p-4, flushing), 0x1p-3));
  CHECK(same_bits(mpfr::round(0x1p-4, flushing, Rounding::rna), 0x1p-3));
  CHECK(same_bits(mpfr::round(0x1p-1000, flushing, Rounding::rto), 0x1p-3));
  CHECK(same_bits(mpfr::round(-0x1p-1000, flushing, Rounding::rtp), -0.0));
}

TEST_CASE("mpfr functions: published digits and special values", "[mpfr]") {
  CHECK(same_bits(mpfr::evaluate(Function::exp, 1.0, binary64),
                  2.718281828459045235360287));  // DLMF 4.2.11
  CHECK(same_bits(mpfr::evaluate(Function::exp, -1.0, binary64), 0.3678794411714423215955238));
  CHECK(same_bits(mpfr::evaluate(Function::rsqrt, 2.0, binary64), 0.7071067811865475244008444));
  CHECK(same_bits(mpfr::evaluate(Function::rsqrt, 0x1p-1074, binary64), 0x1p537));
  CHECK(same_bits(mpfr::evaluate(Function::gelu_erf, 1.0, binary64),
                  0.8413447460685429485852325));  // the normal distribution at 1
  CHECK(
      same_bits(mpfr::evaluate(Function::gelu_erf, -1.0, binary64), -0.1586552539314570514147675));
  CHECK(same_bits(mpfr::evaluate(Function::exp, -inf, binary64), 0.0));
  CHECK(same_bits(mpfr::evaluate(Function::exp, inf, binary64), inf));
  CHECK(same_bits(mpfr::evaluate(Function::exp, 0.0, binary64, Rounding::rtp), 1.0));
  CHECK(same_bits(mpfr::evaluate(Function::exp, 1e300, binary64), inf));
  CHECK(same_bits(mpfr::evaluate(Function::exp, 1e300, binary16, Rounding::rtz), 65504.0));
  CHECK(same_bits(mpfr::evaluate(Function::exp, -1e300, binary64, Rounding::rtp), 0x1p-1074));
  CHECK(same_bits(mpfr::evaluate(Function::exp, -0x1p-1074, binary64, Rounding::rtn), 1 - 0x1p-53));
  CHECK(same_bits(mpfr::evaluate(Function::rsqrt, 0.0, binary64), inf));
  CHECK(same_bits(mpfr::evaluate(Function::rsqrt, -0.0, binary64), -inf));
  CHECK(same_bits(mpfr::evaluate(Function::rsqrt, inf, binary64), 0.0));
  CHECK(std::isnan(mpfr::evaluate(Function::rsqrt, -1.0, binary64)));
  CHECK(same_bits(mpfr::evaluate(Function::silu, 1.0, binary64),
                  0.7310585786300048792511592));  // 1 / (1 + 1/e)
  for (const double x : {-inf, -0x1p-1074, -0.0, 0.0})
    CHECK(same_bits(mpfr::evaluate(Function::relu, x, binary64, Rounding::rtn), 0.0));
  CHECK(same_bits(mpfr::evaluate(Function::relu, inf, binary64), inf));
  CHECK(same_bits(mpfr::evaluate(Function::relu, 1.0 + 0x1p-52, binary32, Rounding::rtp),
                  1.0 + 0x1p-23));
  CHECK(std::isnan(mpfr::evaluate(Function::relu, std::nan(""), binary64)));
  for (const Function f : gelu_and_silu) {
    CHECK(same_bits(mpfr::evaluate(f, -inf, binary64), -0.0));
    CHECK(same_bits(mpfr::evaluate(f, inf, binary64), inf));
    CHECK(same_bits(mpfr::evaluate(f, -0.0, binary64), -0.0));
    CHECK(same_bits(mpfr::evaluate(f, 0.0, binary64), 0.0));
    CHECK(std::isnan(mpfr::evaluate(f, std::nan(""), binary64)));
    CHECK(same_bits(mpfr::evaluate(f, 0x1p1000, binary64, Rounding::rtz),
                    0x1.fffffffffffffp999));  // strictly below x
    CHECK(same_bits(mpfr::evaluate(f, 0x1p1000, binary64, Rounding::rne), 0x1p1000));
    CHECK(same_bits(mpfr::evaluate(f, -0x1p1000, binary64, Rounding::rne), -0.0));
    CHECK(same_bits(mpfr::evaluate(f, -0x1p1000, binary64, Rounding::rtn), -0x1p-1074));
    CHECK(same_bits(mpfr::evaluate(f, 0x1p-1074, binary64, Rounding::rtp),
                    0x1p-1074));  // x/2 (1 + d)
    CHECK(same_bits(mpfr::evaluate(f, 0x1p-1074, binary64, Rounding::rne),
                    0x1p-1074));  // just above the tie
    CHECK(
        same_bits(mpfr::evaluate(f, -0x1p-1074, binary64, Rounding::rne), -0.0));  // just below it
    CHECK(same_bits(mpfr::evaluate(f, 0x1p-500, binary64, Rounding::rtp), 0x1.0000000000001p-501));
  }
}

TEST_CASE("mpfr functions: published digits and special values of the others", "[mpfr]") {
  CHECK(same_bits(mpfr::evaluate(Function::exp2, 0.5, binary64),
                  1.4142135623730950488016887));  // sqrt 2
  CHECK(same_bits(mpfr::evaluate(Function::log, 2.0, binary64),
                  0.6931471805599453094172321));  // DLMF 4.2
  CHECK(same_bits(mpfr::evaluate(Function::tanh, 1.0, binary64), 0.7615941559557648881194583));
  CHECK(same_bits(mpfr::evaluate(Function::erf, 1.0, binary64),
                  0.8427007929497148693412206));  // DLMF 7.23
  CHECK(same_bits(mpfr::evaluate(Function::reciprocal, -3.0, binary64, Rounding::rtz),
                  -0x1.5555555555555p-2));
  CHECK(same_bits(mpfr::evaluate(Function::exp2, -1074.0, binary64), 0x1p-1074));
  CHECK(same_bits(mpfr::evaluate(Function::exp2, -1e300, binary64, Rounding::rtp), 0x1p-1074));
  CHECK(same_bits(mpfr::evaluate(Function::exp2, 1e300, binary16, Rounding::rtz), 65504.0));
  CHECK(same_bits(mpfr::evaluate(Function::log, 1.0, binary64, Rounding::rtn), 0.0));
  CHECK(same_bits(mpfr::evaluate(Function::log, -0.0, binary64), -inf));
  CHECK(std::isnan(mpfr::evaluate(Function::log, -0x1p-1074, binary64)));
  CHECK(same_bits(mpfr::evaluate(Function::reciprocal, -0.0, binary64), -inf));
  CHECK(same_bits(mpfr::evaluate(Function::reciprocal, -inf, binary64), -0.0));
  CHECK(same_bits(mpfr::evaluate(Function::reciprocal, 0x1p-1074, binary64, Rounding::rtz),
                  0x1.fffffffffffffp+1023));
  for (const Function f : {Function::tanh, Function::erf}) {
    CHECK(same_bits(mpfr::evaluate(f, -0.0, binary64), -0.0));
    CHECK(same_bits(mpfr::evaluate(f, -inf, binary64), -1.0));
    CHECK(same_bits(mpfr::evaluate(f, 1e300, binary64, Rounding::rtz), 1 - 0x1p-53));
    CHECK(same_bits(mpfr::evaluate(f, -1e300, binary64, Rounding::rtn), -1.0));
  }
  CHECK(same_bits(mpfr::evaluate(Function::tanh, 0x1p-1074, binary64, Rounding::rtz),
                  0.0));  // just below x
}

/// GELU or silu of x = 2^e in 113 bits with exponents to 10^9, and where its bits end.
mpfr::Real wide(Function f, const char* x, Rounding mode) {
  return mpfr::evaluate(f, *mpfr::Real::parse(x),
                        {.p = 113, .emin = -1'000'000'000, .emax = 1'000'000'000}, mode);
}

TEST_CASE("mpfr functions: numbers and formats beyond binary64", "[mpfr]") {
  const FloatFormat quad{.p = 113, .emin = -16382, .emax = 16383};
  test::Random random(8);
  // MPFR's own rounding to 113 bits; GELU and silu: the textbook's form to 53
  for (int i = 0; i < 300; ++i) {
    const double x = random.with_exponent(-20, 3);
    mpfr::Number argument = mpfr::Number::exactly(std::abs(x)), y(113);
    const auto same = [&](Function f) {
      return mpfr::evaluate(f, mpfr::Real(argument), quad) == mpfr::Real(y);
    };
    mpfr_exp2(y.get(), argument.get(), MPFR_RNDN);
    CHECK(same(Function::exp2));
    CHECK_FALSE(same(Function::exp));
    mpfr_log(y.get(), argument.get(), MPFR_RNDN);
    CHECK(same(Function::log));
    mpfr_tanh(y.get(), argument.get(), MPFR_RNDN);
    CHECK(same(Function::tanh));
    mpfr_erf(y.get(), argument.get(), MPFR_RNDN);
    CHECK(same(Function::erf));
    mpfr_ui_div(y.get(), 1, argument.get(), MPFR_RNDN);
    CHECK(same(Function::reciprocal));
    for (const Function f : gelu_and_silu) {
      const FloatFormat p53{.p = 53, .emin = -16382, .emax = 16383};
      CHECK(mpfr::evaluate(f, mpfr::Real(x), p53).to_double() ==
            textbook(f, x, p53, Rounding::rne));
    }
  }
  for (const Function f : gelu_and_silu) {
    const auto at = [&](const char* x, Rounding mode) { return wide(f, x, mode).hex(); };
    CHECK(at("0x1p-900000000", Rounding::rne) == "0x1p-900000001");
    CHECK(at("0x1p-900000000", Rounding::rtp) == "0x1.0000000000000000000000000001p-900000001");
    CHECK(at("-0x1p-900000000", Rounding::rtz) == "-0x1.ffffffffffffffffffffffffffffp-900000002");
    CHECK(at("0x1p+900000000", Rounding::rtz) == "0x1.ffffffffffffffffffffffffffffp+899999999");
    CHECK(at("-0x1p+900000000", Rounding::rtz) == "-0x0p+0");
    CHECK(at("-0x1p+900000000", Rounding::rtn) == "-0x1p-1000000112");
    CHECK(at("-inf", Rounding::rtn) == "-0x0p+0");
    CHECK_FALSE(at("-0x1.8p+10", Rounding::rtz) == "-0x0p+0");  // far down, not below the format
  }
  // silu(-6.9e8) = -6.9e8 exp(-6.9e8) = -2^-995'459'548.9; silu(-7e4) = -2^-100'972.6
  CHECK(wide(Function::silu, "-0x1.490484p+29", Rounding::rtz).hex().ends_with("p-995459549"));
  CHECK(wide(Function::silu, "-0x1.117p+16", Rounding::rtz).hex().ends_with("p-100973"));
  // 204 (1 - d), d = exp(-204) = 2^-294.3: seen with 300 bits, where 204 has spacing 2^-292
  const FloatFormat long_format{.p = 300, .emin = -16382, .emax = 16383};
  mpfr::Number near(300);
  mpfr_set_ui_2exp(near.get(), 204, 0, MPFR_RNDN);
  mpfr_nextbelow(near.get());
  CHECK(mpfr::evaluate(Function::silu, mpfr::Real(204.0), long_format).to_double() == 204.0);
  CHECK(mpfr::Real(near).hex() >
        mpfr::evaluate(Function::silu, mpfr::Real(204.0), long_format, Rounding::rtp).hex());
  for (const char* const x : {"-0x1.117p+16", "-0x1.8p+16"})
    CHECK(mpfr::evaluate(Function::silu, *mpfr::Real::parse(x), quad, Rounding::rtn).hex() ==
          "-0x1p-16494");
}

TEST_CASE("mpfr functions: GELU and silu are their textbook form at 2048 bits", "[mpfr]") {
  test::Random random(3);
  long failures = 0;
  for (int i = 0; i < 900; ++i) {
    const double x = i % 3 == 0 ? random.with_exponent(-30, -5, random.between(1, 53))
                                : 14.0 * random.symmetric();
    const Function f = gelu_and_silu[random.below(3)];
    const FloatFormat format{.p = std::array{8, 11, 24, 53}[random.below(4)],
                             .emin = -1022,
                             .emax = 1023,
                             .subnormals = false};
    const Rounding mode = std::array{Rounding::rne, Rounding::rtp, Rounding::rtz}[random.below(3)];
    const double want = textbook(f, x, format, mode);
    if (std::abs(want) >= xmin(format))
      failures += !same_bits(mpfr::evaluate(f, x, format, mode), want);
  }
  CHECK(failures == 0);
}

TEST_CASE("mpfr leaves the thread's exponent range alone and works in threads at once", "[mpfr]") {
  const auto work = [](std::uint32_t seed, mpfr_exp_t emin) -> std::uint64_t {
    mpfr_set_emin(emin), mpfr_set_emax(-emin);
    test::Random random(seed);
    std::uint64_t digest = 0;
    const auto take = [&digest](double x) {
      digest = digest * 31 + (std::isnan(x) ? 1 : std::bit_cast<std::uint64_t>(x));
    };
    for (int i = 0; i < 2000; ++i) {
      const FloatFormat& f = test::large_formats[random.below(test::large_formats.size())];
      const double x = random.with_exponent(-500, 500), y = random.with_exponent(-3, 3);
      take(mpfr::mul(x, y, f)), take(mpfr::evaluate(Function::gelu_tanh, y, f)),
          take(mpfr::add(x, y, f, Rounding::rto));
    }
    const bool range_kept = mpfr_get_emin() == emin && mpfr_get_emax() == -emin;
    return range_kept ? digest : 0;
  };
  // Each alone, in a range wide enough; then both at once, each in a narrow range of its own.
  const long default_emin = mpfr_get_emin();
  CHECK(mpfr::mul(0x1p500, 0x1p100, binary64) == 0x1p600);
  CHECK(mpfr_get_emin() == default_emin);
  std::array<std::uint64_t, 2> alone{}, together{};
  for (const std::uint32_t t : {0U, 1U})
    std::thread([&, t] { alone[t] = work(t, -1000000); }).join();
  std::thread first([&] { together[0] = work(0, -100); }),
      second([&] { together[1] = work(1, -90); });
  first.join(), second.join();
  CHECK((alone[0] != 0 && alone[1] != 0 && alone[0] != alone[1]));
  CHECK(alone == together);
}

TEST_CASE("mpfr::gemm: shapes, in numbers where nothing rounds", "[mpfr]") {
  Matrix<double> a(2, 2), b(2, 2), full(2, 2, -7.0), output(2, 2, -7.0), operand_only(2, 2, -7.0);
  a(0, 0) = 1, a(0, 1) = std::nan(""), a(1, 0) = 3, a(1, 1) = 4;
  b(0, 0) = 5, b(0, 1) = 6, b(1, 0) = 7, b(1, 1) = 8;
  const Arithmetic arithmetic = fused(ps(7));
  mpfr::gemm(arithmetic, std::as_const(a).view(), std::as_const(b).view(), full.view());
  mpfr::gemm(arithmetic, std::as_const(a).view(), std::as_const(b).view(), output.view(),
             Shape::lower_output);
  mpfr::gemm(arithmetic, std::as_const(a).view(), std::as_const(b).view(), operand_only.view(),
             Shape::lower_operand);
  CHECK(std::isnan(full(0, 0)));
  CHECK((full(1, 0) == 43 && full(1, 1) == 50));
  CHECK((output(0, 1) == -7 && output(1, 0) == 43 && output(1, 1) == 50));
  CHECK((operand_only(0, 0) == 5 && operand_only(0, 1) == 6 && operand_only(1, 0) == 43 &&
         operand_only(1, 1) == 50));
}

TEST_CASE("negative control: the textbook GELU differs from its neighbour", "[mpfr][control]") {
  const double y = textbook(Function::gelu_tanh, 1.25, binary64, Rounding::rne);
  CHECK(same_bits(y, mpfr::evaluate(Function::gelu_tanh, 1.25, binary64)));
  CHECK_FALSE(
      same_bits(test::off_by_one_bit(y), mpfr::evaluate(Function::gelu_tanh, 1.25, binary64)));
  CHECK_FALSE(same_bits(y, mpfr::evaluate(Function::gelu_erf, 1.25, binary64)));
}

}  // namespace lamp
