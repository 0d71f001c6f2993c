// Scalar engines and the sequential dot product against MPFR's, bit for bit.
#include "core/arith/scalar.hpp"

#include <array>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "core/mpfr/arithmetic.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/formats.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

using mpfr::MpfrArithmetic;
using test::same_bits;

static_assert(ScalarArithmetic<GeneralArithmetic>);
static_assert(ScalarArithmetic<Binary64Arithmetic>);
static_assert(ScalarArithmetic<Binary32Arithmetic>);

constexpr double inf = std::numeric_limits<double>::infinity();

double operand(test::Random& random) {
  if (random.below(20) == 0) return test::special_values[random.below(test::special_values.size())];
  if (random.below(10) == 0) return random.with_exponent(-160, -120, random.between(1, 24));
  return random.with_exponent(-6, 6, random.between(1, 24));
}

/// Comparisons of one engine with MPFR that differ, over `count` draws of three operands.
template <ScalarArithmetic A>
long differences(const A& fl, const MpfrArithmetic& exact, test::Random& random, int count) {
  long failures = 0;
  for (int i = 0; i < count; ++i) {
    const double a = operand(random), b = operand(random);
    const double c = random.below(3) == 0 ? -a * b : operand(random);
    failures +=
        !same_bits(fl.mac(a, b, c), exact.mac(a, b, c)) + !same_bits(fl.round(c), exact.round(c)) +
        !same_bits(fl.add(a, c), exact.add(a, c)) + !same_bits(fl.sub(a, c), exact.sub(a, c)) +
        !same_bits(fl.mul(a, b), exact.mul(a, b)) + !same_bits(fl.div(a, b), exact.div(a, b));
  }
  return failures;
}

/// A multiply-accumulate that forgets one decision of the specification at a time, as controls.
double mac_without_via(MacSpec spec, double a, double b, double c) {
  spec.via.reset();
  return GeneralArithmetic(spec).mac(a, b, c);
}

std::vector<double> random_binary32(test::Random& random, std::size_t n) {
  std::vector<double> x(n);
  for (double& value : x) value = static_cast<double>(static_cast<float>(random.symmetric()));
  return x;
}

}  // namespace

TEST_CASE(
    "GeneralArithmetic agrees with MPFR for every combination of operands, product, via, format "
    "and mode",
    "[arith][scalar]") {
  const std::array<std::optional<FloatFormat>, 4> operands{std::nullopt, ps(7), binary16, e4m3fn};
  const std::array<std::optional<FloatFormat>, 4> products{std::nullopt, ps(7), binary32, e5m2};
  const std::array<std::optional<FloatFormat>, 4> vias{std::nullopt, binary32, tf32, binary64};
  const std::array formats{ps(7), ps(22), binary32, binary16, e4m3fn, binary64};
  test::Random random(1);
  for (const auto& o : operands)
    for (const auto& p : products)
      for (const auto& v : vias)
        for (const FloatFormat& f : formats)
          for (const Rounding mode : test::deterministic_modes) {
            const MacSpec spec{
                .operands = o, .product = p, .via = v, .format = f, .rounding = mode};
            REQUIRE(differences(GeneralArithmetic(spec), MpfrArithmetic(spec), random, 40) == 0);
          }
}

TEST_CASE("visit_arithmetic: every engine it chooses has MPFR's bits", "[arith][scalar]") {
  test::Random random(2);
  const std::array specs{fused(binary32).mac,
                         fused(binary64).mac,
                         fused(ps(7)).mac,
                         lamp_paper(7).mac,
                         MacSpec{.via = binary32, .format = binary32},
                         MacSpec{.via = binary64, .format = binary32},
                         MacSpec{.operands = tf32, .format = binary32},
                         MacSpec{.product = binary32, .format = binary32},
                         MacSpec{.format = binary32, .rounding = Rounding::rtn}};
  for (const MacSpec& spec : specs) {
    const bool promised = true;  // below every operand of the tests is rounded to binary32
    visit_arithmetic(spec, promised, [&](const auto& fl) {
      const MpfrArithmetic exact(spec);
      long failures = 0;
      for (int i = 0; i < 5000; ++i) {
        const auto narrow = [](double x) { return static_cast<double>(static_cast<float>(x)); };
        const double a = narrow(operand(random)), b = narrow(operand(random));
        const double c = random.below(3) == 0 ? narrow(-a * b) : narrow(operand(random));
        failures +=
            !same_bits(fl.mac(a, b, c), exact.mac(a, b, c)) +
            !same_bits(fl.add(a, b), exact.add(a, b)) + !same_bits(fl.sub(a, b), exact.sub(a, b)) +
            !same_bits(fl.mul(a, b), exact.mul(a, b)) + !same_bits(fl.div(a, b), exact.div(a, b)) +
            !same_bits(fl.round(a), exact.round(a));
        if constexpr (requires { fl.accumulate(a, 0.0F); }) {
          const auto sum = static_cast<decltype(fl.accumulate(a, {}))>(c);  // as wide as fl's
          failures += !same_bits(static_cast<double>(fl.accumulate(a, sum)), exact.mac(a, 1.0, c));
        }
      }
      CHECK(failures == 0);
    });
  }
}

TEST_CASE("functions of a site: through via, then to the format, alone and elementwise",
          "[arith][scalar]") {
  test::Random random(3);
  std::vector<double> x(64), y(64);
  for (const MacSpec& spec : {fused(ps(7)).mac, lamp_paper(7).mac, fused(binary32).mac,
                              MacSpec{.via = tf32, .format = ps(4), .rounding = Rounding::rtz}}) {
    const GeneralArithmetic fl(spec);
    const MpfrArithmetic exact(spec);
    for (const auto& [name, f] : functions) {
      for (double& value : x) value = 8.0 * random.symmetric();
      fl.function(f, x, y);
      for (std::size_t i = 0; i < x.size(); ++i) {
        REQUIRE(same_bits(y[i], exact.function(f, x[i])));
        REQUIRE(same_bits(fl.function(f, x[i]), y[i]));
      }
    }
  }
}

TEST_CASE("via: an exact zero sum has RNE's sign whatever the mode", "[arith][scalar]") {
  const MacSpec through{.via = binary32, .format = ps(7), .rounding = Rounding::rtn},
      direct{.format = ps(7), .rounding = Rounding::rtn};
  CHECK(same_bits(GeneralArithmetic(through).add(1.5, -1.5), 0.0));
  CHECK(same_bits(GeneralArithmetic(direct).add(1.5, -1.5), -0.0));
  CHECK(same_bits(GeneralArithmetic(through).mac(1.5, 2.0, -3.0), 0.0));
  CHECK(same_bits(MpfrArithmetic(through).mac(1.5, 2.0, -3.0), 0.0));
}

TEST_CASE("dot: sequential, all presets of mu, agrees with MPFR", "[arith][dot]") {
  test::Random random(4);
  for (int mu = 1; mu <= 23; ++mu)
    for (const std::size_t n : {0U, 1U, 2U, 7U, 64U, 257U}) {
      const std::vector<double> x = random_binary32(random, n), y = random_binary32(random, n);
      const double c = n % 2 == 0 ? 0.0 : -0.0;
      REQUIRE(same_bits(dot(lamp_paper(mu), x, y), mpfr::dot(lamp_paper(mu), x, y)));
      REQUIRE(same_bits(dot(fused(ps(mu)), x, y, c), mpfr::dot(fused(ps(mu)), x, y, c)));
    }
  for (const FloatFormat& format : {binary32, binary64}) {
    std::vector<double> x = random_binary32(random, 300), y = random_binary32(random, 300);
    REQUIRE(
        same_bits(dot(fused(format), x, y, 0.1),
                  mpfr::dot(fused(format), x, y, 0.1)));  // 0.1: no binary32 number, used as given
    y[17] = 0.1;
    REQUIRE(same_bits(dot(fused(format), x, y), mpfr::dot(fused(format), x, y)));
  }
}

TEST_CASE("dot: the sum of nothing is c, which is never rounded", "[arith][dot][law]") {
  CHECK(same_bits(dot(lamp_paper(7), {}, {}), 0.0));
  CHECK(same_bits(dot(fused(ps(7)), {}, {}, 0.1), 0.1));
  const std::vector<double> zero{-0.0}, one{1.0};
  CHECK(same_bits(dot(fused(ps(7)), zero, one), 0.0));
  CHECK(same_bits(dot(fused(ps(7)), zero, one, -0.0), -0.0));
}

// A second rounding errs where the first lands on a tie of the second (probability 2^-(24-p), the
// discarded bits of binary32 being uniform) and the exact value lies on the other side than the
// even neighbour (1/2): a binomial count with mean N 2^-(25-p).
TEST_CASE("lamp-paper is a double rounding: how often it differs from one rounding",
          "[arith][scalar][law]") {
  const auto count = [](int p, int n) {
    test::Random random(5);
    const GeneralArithmetic through(lamp_paper(p - 1).mac), direct(fused(ps(p - 1)).mac);
    int different = 0;
    for (int i = 0; i < n; ++i) {
      const std::vector<double> abc = random_binary32(random, 3);
      different +=
          !same_bits(through.mac(abc[0], abc[1], abc[2]), direct.mac(abc[0], abc[1], abc[2]));
    }
    return different;
  };
  const int at_8 = count(8, 2000000);  // mean 15.3: outside 1..50 with probability below 1e-6
  CHECK(at_8 >= 1);
  CHECK(at_8 <= 50);
  const int at_23 = count(23, 200000);  // mean 50000, standard deviation 194: within six of them
  CHECK(at_23 >= 48800);
  CHECK(at_23 <= 51200);
}

TEST_CASE(
    "all_binary32: one number that does not fit, anywhere in a long row; NaN of any payload fit",
    "[arith]") {
  constexpr double not_binary32 = 1.0 + 0x1p-30, too_large = 0x1p128, too_small = 0x1p-150;
  for (const std::size_t n : {1U, 63U, 64U, 65U, 128U, 200U}) {
    std::vector<double> values(n, -0.0);
    for (std::size_t i = 0; i < n; ++i) {
      values[i] = std::bit_cast<double>(0x7ff0000000000001U);
      CHECK(all_binary32(values));
      for (const double bad : {not_binary32, too_large, too_small}) {
        values[i] = bad;
        CHECK_FALSE(all_binary32(values));
      }
      values[i] = i % 2 == 0 ? inf : 0x1p-149;
    }
  }
}

TEST_CASE("all_binary32: zeros, subnormals, infinities and NaN count", "[arith]") {
  const std::vector<double> yes{0.0, -0.0, 0x1p-149,     -0x1.fffffep+127,
                                inf, -inf, std::nan(""), 0.5};
  CHECK(all_binary32(yes));
  CHECK(all_binary32({}));
  for (const double no : {0.1, 0x1p-150, 0x1.ffffffp+127, 0x1p128, 1 + 0x1p-24, 0x1.8p-149}) {
    const std::vector<double> values{1.0, no};
    CHECK_FALSE(all_binary32(values));
  }
}

TEST_CASE("negative control: a decision left out of the multiply-accumulate is seen",
          "[arith][control]") {
  test::Random random(6);
  const MacSpec spec{.operands = binary16, .product = binary16, .via = tf32, .format = ps(7)};
  const MpfrArithmetic exact(spec);
  MacSpec no_operands = spec, no_product = spec, other_mode = spec;
  no_operands.operands.reset(), no_product.product.reset(), other_mode.rounding = Rounding::rna;
  CHECK(differences(GeneralArithmetic(no_operands), exact, random, 4000) > 0);
  CHECK(differences(GeneralArithmetic(no_product), exact, random, 4000) > 0);
  CHECK(differences(GeneralArithmetic(other_mode), exact, random, 4000) > 0);
  CHECK_FALSE(same_bits(mac_without_via(lamp_paper(7).mac, 1 + 0x1p-7, 1.5, -0x1p-60),
                        GeneralArithmetic(lamp_paper(7).mac).mac(1 + 0x1p-7, 1.5, -0x1p-60)));
}

}  // namespace lamp
