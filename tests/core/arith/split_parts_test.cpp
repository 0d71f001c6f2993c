// Sums of parts that are rounded before they are added (split:S with a part): in every arithmetic,
// on engines, as products on every path. Oracles: core/mpfr; sums by hand.
#include <array>
#include <catch2/catch.hpp>
#include <optional>
#include <vector>

#include "core/arith/engine.hpp"
#include "core/arith/gemm/gemm.hpp"
#include "core/arith/stochastic.hpp"
#include "core/mpfr/arithmetic.hpp"
#include "tests/core/arith/ordered_sums.hpp"
#include "tests/support/bits.hpp"

namespace lamp {
namespace {

using test::Random;
using test::same_bits;

constexpr FloatFormat wide{.p = 8, .emin = -300, .emax = 300},  // no binary32 numbers
    coarse{.p = 3, .emin = 130, .emax = 140};  // nor here: all below is a subnormal
const std::array parts{bfloat16, e4m3fn, binary64, wide, coarse};

Arithmetic split(const MacSpec& mac, std::size_t count, std::optional<FloatFormat> part) {
  return {.mac = mac, .order = Split{count, part}};
}

/// Sums over `mac`, and over two engines.
std::vector<Arithmetic> arithmetics(const MacSpec& mac, std::size_t count,
                                    const FloatFormat& part) {
  std::vector<Arithmetic> list{split(mac, count, part)};
  for (const Arithmetic& whole : {engine_arithmetic("h100", binary16, binary32).value(),
                                  engine_arithmetic("v100", binary16, binary16).value()}) {
    list.push_back(whole);
    list.back().order = SplitEngine{*engine_step(whole.order), count, part};
  }
  return list;
}

}  // namespace

TEST_CASE("split with a part: each part's sum is rounded, c and the whole are not",
          "[arith][order][split]") {
  const std::vector<double> x{256, 1, 256, 1}, ones(4, 1.0);
  CHECK(dot(split({}, 2, std::nullopt), x, ones) == 514);
  CHECK(dot(split({}, 2, bfloat16), x, ones) == 512);
  CHECK(dot(split({}, 2, bfloat16), x, ones, 1.0) == 513);            // c is no part
  CHECK(dot(split({}, 4, bfloat16), x, ones) == 514);                 // 256, 1, 256, 1
  CHECK(dot(split({}, 1, bfloat16), x, ones) == 512);                 // one part too
  CHECK(dot(split({.format = ps(7)}, 2, binary32), x, ones) == 512);  // both lost in the chains
  CHECK(dot(split({}, 2, e4m3fn), std::vector<double>{460, 1, 0, 0}, ones) == 448);
  CHECK(std::isnan(dot(split({}, 2, e4m3fn), std::vector<double>{465, 1, 0, 0}, ones)));
}

TEST_CASE("split with a part: every sum has MPFR's bits", "[arith][order][split]") {
  Random random(71);
  int seen = 0;
  for (const FloatFormat& part : parts)
    for (const MacSpec& mac : test::specs)
      for (const test::Terms kind : test::all_terms)
        for (const std::size_t n :
             {std::size_t{0}, std::size_t{1}, std::size_t{5}, std::size_t{40}}) {
          const test::Operands o = test::operands(random, kind, n);
          const double c = std::array{0.0, -0.0, -3.0000001}[random.below(3)];
          for (const Arithmetic& arithmetic : arithmetics(mac, 1 + random.below(7), part)) {
            const double got = dot(arithmetic, o.x, o.y, c);
            INFO("part " << format_name(part) << ", terms " << static_cast<int>(kind) << ", n "
                         << n);
            REQUIRE(same_bits(got, mpfr::dot(arithmetic, o.x, o.y, c)));
            Arithmetic plain = arithmetic;
            std::visit(
                [](auto& order) {
                  if constexpr (requires { order.part; }) order.part.reset();
                },
                plain.order);
            seen += same_bits(got, dot(plain, o.x, o.y, c)) ? 0 : 1;
          }
        }
  CHECK(seen > 1000);  // a part that does nothing would pass everything above
}

TEST_CASE("split with a part: stochastic sums draw as without it", "[arith][order][split]") {
  Random random(72);
  const test::Operands o = test::operands(random, test::Terms::ordinary, 40);
  const MacSpec drawn{.format = ps(5), .rounding = Rounding::sr};
  for (const FloatFormat& part : parts) {
    Arithmetic arithmetic = split(drawn, 3, part), plain = split(drawn, 3, std::nullopt);
    arithmetic.draws.seed = plain.draws.seed = 9;
    CHECK(same_bits(dot(arithmetic, o.x, o.y), mpfr::dot(arithmetic, o.x, o.y)));
    if (part == binary64) CHECK(same_bits(dot(arithmetic, o.x, o.y), dot(plain, o.x, o.y)));
    CHECK(steps_of_sum(arithmetic, 40) == steps_of_sum(plain, 40));
  }
}

TEST_CASE("split with a part: products on every path and of every shape have MPFR's bits",
          "[arith][gemm][split]") {
  Random random(73);
  Matrix<double> a(7, 21), b(21, 37);
  for (double& value : a.flat()) value = random.with_exponent(-4, 3, 24);
  for (double& value : b.flat()) value = random.with_exponent(-4, 3, 24);
  a(2, 1) = -0.0;
  for (const FloatFormat& part : parts)
    for (const MacSpec& mac : {MacSpec{}, MacSpec{.via = binary32, .format = ps(7)},
                               MacSpec{.format = binary64}, test::specs[6]})
      for (const Arithmetic& arithmetic : arithmetics(mac, 3, part))
        for (const Shape shape :
             {Shape(Shape::full), Shape(Shape::lower_output), Shape(Shape::lower_operand, 3)}) {
          Matrix<double> want(7, 37, 7.0);
          mpfr::gemm(arithmetic, a.view(), b.view(), want.view(), shape);
          for (const Backend backend : {Backend::automatic, Backend::scalar, Backend::avx2}) {
            if (!available(backend)) continue;
            Matrix<double> got(7, 37, 7.0);
            gemm(arithmetic, a.view(), b.view(), got.view(), shape, backend);
            INFO("part " << format_name(part) << ", shape " << static_cast<int>(shape.kind)
                         << ", backend " << name_in(backend_names, backend));
            REQUIRE(same_bits(got.flat(), want.flat()));
          }
        }
}

}  // namespace lamp
