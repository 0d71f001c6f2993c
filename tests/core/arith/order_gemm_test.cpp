// Matrix products in every order, on every path. Oracles: core/mpfr, and the naive loop.
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/arith/gemm/gemm.hpp"
#include "core/mpfr/arithmetic.hpp"
#include "tests/core/arith/ordered_sums.hpp"
#include "tests/support/bits.hpp"

namespace lamp {
namespace {

using test::blocks;
using test::in_order;
using test::Random;
using test::same_bits;
using test::specs;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

/// Of whole products, and of their later rows.
const Shape shapes[] = {Shape::full,
                        Shape::lower_output,
                        Shape::lower_operand,
                        {Shape::lower_output, 3},
                        {Shape::lower_operand, 3}};

TEST_CASE("gemm: every order, operands rounded, blocks, every shape, has MPFR's bits",
          "[arith][order][gemm]") {
  Random random(29);
  Matrix<double> a(5, 21), b(21, 9);
  for (double& value : a.flat())
    value = random.with_exponent(-9, -5, 24);  // subnormal in e4m3fn: multiterm aligns by emin
  for (double& value : b.flat()) value = random.with_exponent(-4, 3, 24);
  b(3, 4) = 0x1.000001p0;  // no binary32 number: other engines
  for (const MacSpec& mac : {specs[0], specs[1], specs[5], specs[6]})
    for (const std::string& text : test::order_texts(random, 21))
      for (const auto& block : blocks)
        for (const Shape shape : shapes) {
          if (shape.kind == Shape::lower_operand && has_fixed_length(test::order_of(text)))
            continue;  // its rows have other lengths
          const Arithmetic arithmetic = in_order(text, mac, block);
          Matrix<double> got(5, 9, 7.0), want(5, 9, 7.0);
          gemm(arithmetic, a.view(), b.view(), got.view(), shape);
          mpfr::gemm(arithmetic, a.view(), b.view(), want.view(), shape);
          INFO(text << ", shape " << static_cast<int>(shape.kind) << " from row "
                    << shape.first_row);
          REQUIRE(same_bits(got.flat(), want.flat()));
        }
}

TEST_CASE("gemm: orders made of sequential sums have the naive loop's bits, tile by tile",
          "[arith][order][gemm]") {
  Random random(30);
  struct Size {
    std::size_t m, k, n;
  };
  constexpr Size sizes[] = {{130, 19, 515},
                            {150, 150, 7},
                            {7, 130, 40},
                            {140, 12, 3}};  // more than one tile down, across; short and long sums
  for (const Size& size : sizes) {
    Matrix<double> a(size.m, size.k), b(size.k, size.n);
    for (double& value : a.flat())
      value = random.below(9) == 0 ? -0.0 : random.with_exponent(-4, 3, 24);
    for (double& value : b.flat()) value = random.with_exponent(-4, 3, 24);
    for (const std::string text : {"reverse", "blocked:1", "blocked:8", "blocked:50", "blocked:400",
                                   "pairwise:4", "lanes:8", "split:3"})
      for (const Shape shape : shapes) {
        const bool binary32_outside = text == "blocked:50",
                   binary64_inside = binary32_outside || text == "blocked:8";
        const Arithmetic arithmetic =
            in_order(text, binary32_outside ? MacSpec{} : lamp_paper(7).mac,
                     binary64_inside ? std::optional(MacSpec{.format = binary64}) : std::nullopt);
        Matrix<double> left = a;
        if (shape.kind == Shape::lower_operand)
          for (std::size_t i = 0; i < size.m; ++i)
            for (std::size_t l = shape.first_row + i + 1; l < size.k; ++l)
              left(i, l) = nan;  // never read
        Matrix<double> got(size.m, size.n, 7.0), want(size.m, size.n, 7.0);
        gemm(arithmetic, left.view(), b.view(), got.view(), shape);
        gemm(arithmetic, left.view(), b.view(), want.view(), shape, Backend::scalar);
        INFO(text << ", shape " << static_cast<int>(shape.kind) << " from row " << shape.first_row
                  << ", " << size.m << " x " << size.k << " x " << size.n);
        REQUIRE(same_bits(got.flat(), want.flat()));
      }
  }
}

TEST_CASE(
    "gemm: few rows, whose terms are taken where they lie in packed weights, have MPFR's bits on "
    "every instruction set",
    "[arith][order][gemm]") {
  Random random(31);
  constexpr FloatFormat huge{.p = 9, .emin = -300, .emax = 300};  // no binary32 numbers
  const std::array macs{MacSpec{}, lamp_paper(7).mac, MacSpec{.operands = bfloat16},
                        MacSpec{.operands = e4m3fn, .format = ps(9)},
                        MacSpec{.operands = huge, .via = binary32, .format = ps(5)}};
  std::vector<Backend> backends{Backend::automatic};
  for (const Backend backend : {Backend::avx2, Backend::avx512})
    if (available(backend)) backends.push_back(backend);
  int slips_caught = 0;
  for (const std::size_t rows : {std::size_t{1}, std::size_t{3}})
    for (const std::size_t terms : {std::size_t{1}, std::size_t{5}, std::size_t{67}})
      for (const MacSpec& mac : macs) {
        Matrix<double> a(rows, terms), b(terms, 37);
        for (double& value : a.flat())
          value = random.with_exponent(-4, 3, mac.operands && terms > 5 ? 53 : 24);
        for (double& value : b.flat())
          value = random.below(50) == 0 ? -0.0 : random.with_exponent(-4, 3, 24);
        if (terms == 5)
          b(1, 33) = inf, b(2, 33) = -inf, b(4, 7) = 0x1p-149, b(0, 36) = 0x1.fffffep127;
        const PackedMatrix packed(b.view());
        REQUIRE(packed.is_binary32());
        for (const char* text : {"reverse", "lanes:1", "lanes:4", "lanes:16", "lanes:64",
                                 "blocked:1", "blocked:8", "pairwise:3", "split:4"})
          for (const auto& block :
               {std::optional<MacSpec>(),
                std::optional(MacSpec{.operands = e4m3fn, .product = binary32})}) {
            if (block && !std::string(text).starts_with("blocked")) continue;
            const Arithmetic arithmetic = in_order(text, mac, block);
            Matrix<double> want(rows, 37);
            mpfr::gemm(arithmetic, a.view(), b.view(), want.view(), Shape::full);
            for (const Backend backend : backends) {
              INFO(text << ", " << rows << " x " << terms << ", p " << mac.format.p << ", backend "
                        << name_in(backend_names, backend));
              Matrix<double> got(rows, 37, 7.0), slip(rows, 37, 7.0);
              gemm(arithmetic, a.view(), packed, got.view(), Shape::full, backend);
              REQUIRE(same_bits(got.flat(), want.flat()));
              gemm(in_order("sequential", mac), a.view(), packed, slip.view(), Shape::full,
                   backend);
              if (!same_bits(slip.flat(), want.flat())) ++slips_caught;
            }
          }
      }
  CHECK(slips_caught > 150 * static_cast<int>(backends.size()));
}

TEST_CASE(
    "gemm: orders that add have the naive loop's bits in every kind of arithmetic, on every "
    "instruction set",
    "[arith][order][gemm]") {
  Random random(33);
  struct Size {
    std::size_t m, k, n;
  };
  for (const Size& size :
       {Size{1, 33, 70}, Size{9, 64, 31}, Size{40, 40, 33}, Size{6, 1, 5}, Size{5, 130, 32}}) {
    Matrix<double> a(size.m, size.k), b(size.k, size.n);
    for (double& value : a.flat())
      value = random.below(9) == 0 ? -0.0 : random.with_exponent(-70, 3, random.between(1, 24));
    for (double& value : b.flat()) value = random.with_exponent(-70, 3, random.between(1, 24));
    const std::string tree = test::random_tree(random, size.k);
    for (const std::string& text :
         {tree, "fused-" + tree, std::string("lane-tree:((0 1) (2 3))"), std::string("panels:12,4"),
          std::string("numpy-sum:8192"), std::string("numpy-sum:50"), std::string("pairwise:1"),
          std::string("pairwise:8"), std::string("lanes:8"), std::string("blocked:8"),
          std::string("kahan"), std::string("neumaier"), std::string("split:3"),
          std::string("exact")})
      for (const MacSpec& mac :
           {MacSpec{}, MacSpec{.product = binary32}, MacSpec{.format = binary64},
            MacSpec{.product = binary64, .format = binary64}, lamp_paper(7).mac,
            MacSpec{.product = binary16, .format = binary16}, MacSpec{.format = e4m3fn},
            MacSpec{.format = ps(7), .rounding = Rounding::rtn},
            MacSpec{.via = binary32, .format = ps(5), .rounding = Rounding::rto},
            MacSpec{.format = ps(7), .rounding = Rounding::sr},
            MacSpec{.product = ps(9), .format = ps(7), .rounding = Rounding::sre}})
        for (const Shape shape : shapes)
          for (const Backend backend : {Backend::avx2, Backend::avx512}) {
            if (!available(backend) ||
                (shape.kind == Shape::lower_operand && has_fixed_length(parse_order(text).value())))
              continue;
            const Arithmetic arithmetic = in_order(text, mac);
            Matrix<double> left = a;
            if (shape.kind == Shape::lower_operand)
              for (std::size_t i = 0; i < size.m; ++i)
                for (std::size_t l = shape.first_row + i + 1; l < size.k; ++l)
                  left(i, l) = nan;  // never read
            Matrix<double> got(size.m, size.n, 7.0), want(size.m, size.n, 7.0);
            gemm(arithmetic, left.view(), b.view(), got.view(), shape, backend);
            gemm(arithmetic, left.view(), b.view(), want.view(), shape, Backend::scalar);
            INFO(text << ", shape " << static_cast<int>(shape.kind) << " from row "
                      << shape.first_row << ", " << size.m << " x " << size.k << " x " << size.n);
            REQUIRE(same_bits(got.flat(), want.flat()));
          }
  }
}

TEST_CASE("gemm: a causal row that has ended adds no block, not even to -0",
          "[arith][order][gemm]") {
  const Arithmetic arithmetic =
      in_order("blocked:2", {.format = e4m3fn}, MacSpec{.format = binary32});
  Matrix<double> a(9, 9, 1.0), b(9, 33, 1.0);
  a(0, 0) = -0x1p-30;  // underflows when its block is added
  for (const Backend backend : {Backend::avx2, Backend::avx512}) {
    if (!available(backend)) continue;
    Matrix<double> got(9, 33, 7.0), want(9, 33, 7.0);
    gemm(arithmetic, a.view(), b.view(), got.view(), Shape::lower_operand, backend);
    gemm(arithmetic, a.view(), b.view(), want.view(), Shape::lower_operand, Backend::scalar);
    REQUIRE(same_bits(want(0, 0), -0.0));
    REQUIRE(same_bits(got.flat(), want.flat()));
  }
}

TEST_CASE("gemm: exact sums have the naive loop's bits, however far their terms lie apart",
          "[arith][order][gemm]") {
  Random random(34);
  const std::array macs{MacSpec{},
                        lamp_paper(7).mac,
                        MacSpec{.format = binary64},
                        MacSpec{.operands = bfloat16, .format = e4m3fn},
                        MacSpec{.format = ps(7), .rounding = Rounding::rtn},
                        MacSpec{.format = ps(7), .rounding = Rounding::sr}};
  for (const int lowest : {0, -12, -30, -60, -100, -149})  // more levels, and at last too many
    for (const std::size_t terms : {1U, 7U, 301U})
      for (const MacSpec& mac : macs) {
        Matrix<double> a(3, terms), b(terms, 35);
        for (double& value : a.flat()) value = round(random.with_exponent(lowest, 1, 24), binary32);
        for (double& value : b.flat()) value = round(random.with_exponent(lowest, 1, 24), binary32);
        const std::size_t half = terms / 2;
        for (std::size_t k = 0; k < half; ++k)
          for (std::size_t i = 0; i < 3; ++i) a(i, half + k) = a(i, k);
        for (std::size_t k = 0; k < terms; ++k)
          for (std::size_t j = 0; j < 30; ++j) {
            if (j < 10) b(k, j) = std::abs(b(k, j));  // large sums, of one sign where a has one
            if (j >= 10 && k >= half && k < 2 * half)
              b(k, j) = -b(k - half, j);  // all but the last
          }
        for (std::size_t k = 0; k < terms; ++k) a(0, k) = std::abs(a(0, k));
        for (std::size_t j = 25; j < 30; ++j) b(terms - 1, j) = -0.0;
        if (terms == 7) b(3, 34) = inf, a(2, 2) = nan, b(5, 33) = 0.0;
        for (const Backend backend : {Backend::avx2, Backend::avx512}) {
          if (!available(backend)) continue;
          const Arithmetic arithmetic = in_order("exact", mac);
          Matrix<double> got(3, 35, 7.0), want(3, 35, 7.0);
          gemm(arithmetic, a.view(), b.view(), got.view(), Shape::full, backend);
          gemm(arithmetic, a.view(), b.view(), want.view(), Shape::full, Backend::scalar);
          INFO("from 2^" << lowest << ", " << terms << " terms, p " << mac.format.p);
          REQUIRE(same_bits(got.flat(), want.flat()));
        }
      }
}

}  // namespace lamp
