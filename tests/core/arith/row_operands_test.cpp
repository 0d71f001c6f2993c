// Operands of number systems that round rows: sums and products in every order and shape. Oracles:
// rows rounded before an as-is sum, and core/mpfr.
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/arith/gemm/gemm.hpp"
#include "core/mpfr/arithmetic.hpp"
#include "core/mpfr/number_system.hpp"
#include "tests/core/arith/ordered_sums.hpp"
#include "tests/support/bits.hpp"

namespace lamp {
namespace {

using test::in_order;
using test::operands;
using test::Random;
using test::same_bits;

BlockFormat with(const char* name, std::size_t size, bool automatic = false) {
  BlockFormat format = BlockFormat::named(name).value();
  format.size = size;
  format.tensor_scale.automatic = automatic;
  return format;
}

const std::array systems{with("mxfp4", 32), with("mxfp8-e5m2", 4), with("mxfp6-e2m3", 3),
                         with("nvfp4", 16), with("nvfp4", 5, true)};
const Shape shapes[] = {Shape::full,
                        Shape::lower_output,
                        Shape::lower_operand,
                        {Shape::lower_output, 3},
                        {Shape::lower_operand, 3}};

std::vector<Backend> backends() {
  std::vector<Backend> list{Backend::automatic, Backend::scalar};
  for (const Backend backend : {Backend::avx2, Backend::avx512})
    if (available(backend)) list.push_back(backend);
  return list;
}

std::vector<double> rounded(const NumberSystem& system, std::vector<double> x) {
  mpfr::round_row(system, x, x);
  return x;
}

}  // namespace

TEST_CASE("row operands: rows are rounded, then summed as they are, in every order",
          "[arith][order][rows]") {
  Random random(61);
  for (const BlockFormat& system : systems)
    for (const std::size_t n : std::array<std::size_t, 5>{0, 1, 3, 17, 40})
      for (const std::string& text : test::order_texts(random, n))
        for (const test::Terms kind : test::all_terms) {
          const test::Operands o = operands(random, kind, n);
          const std::vector<double> x = rounded(system, o.x), y = rounded(system, o.y);
          for (const MacSpec& mac :
               {MacSpec{}, MacSpec{.product = binary16, .via = binary32, .format = ps(7)},
                MacSpec{.format = ps(4), .rounding = Rounding::sr}}) {
            MacSpec with_operands = mac;
            with_operands.operands = system;
            Arithmetic plain = in_order(text, mac), arithmetic = in_order(text, with_operands);
            plain.draws.seed = arithmetic.draws.seed = 5;
            for (const double c : {0.0, -0.0, 0.3}) {
              INFO(text << ", n = " << n << ", c = " << c);
              const double want = mpfr::dot(plain, x, y, c);
              REQUIRE(same_bits(dot(arithmetic, o.x, o.y, c), want));
              REQUIRE(same_bits(mpfr::dot(arithmetic, o.x, o.y, c), want));
            }
          }
        }
}

TEST_CASE("row operands: with a block arithmetic its operands are those of the sum",
          "[arith][order][rows]") {
  Random random(62);
  const test::Operands o = operands(random, test::Terms::ordinary, 40);
  const MacSpec inner{.operands = with("mxfp4", 32), .format = ps(9)};
  const MacSpec outer{.operands = with("nvfp4", 16), .format = binary32};
  const Arithmetic both = in_order("blocked:8", outer, inner),
                   inside = in_order("blocked:8", {}, MacSpec{.format = ps(9)});
  const std::vector<double> x = rounded(*inner.operands, o.x), y = rounded(*inner.operands, o.y);
  CHECK(same_bits(dot(both, o.x, o.y), dot(inside, x, y)));
  CHECK(same_bits(mpfr::dot(both, o.x, o.y), dot(inside, x, y)));
  CHECK_FALSE(same_bits(dot(both, o.x, o.y), dot(in_order("blocked:8", outer), o.x, o.y)));
}

TEST_CASE("row operands: products of every shape and order on every path have MPFR's bits",
          "[arith][gemm][rows]") {
  Random random(63);
  Matrix<double> a(7, 21), b(21, 37);
  for (double& value : a.flat()) value = random.with_exponent(-9, 3, 24);
  for (double& value : b.flat()) value = random.with_exponent(-4, 3, 24);
  b(3, 4) = 0x1.000001p0;  // no binary32 number
  b(5, 6) = std::numeric_limits<double>::quiet_NaN(), a(2, 1) = -0.0;
  a(1, 3) = std::numeric_limits<double>::infinity();
  for (const BlockFormat& system : systems)
    for (const MacSpec& mac :
         {MacSpec{.operands = system},
          MacSpec{.operands = system, .via = binary32, .format = ps(7)},
          MacSpec{.operands = system, .format = ps(3), .rounding = Rounding::sre}})
      for (const std::string& text : test::order_texts(random, 21))
        for (const Shape shape : shapes) {
          const bool causal = shape.kind == Shape::lower_operand;
          if (causal && (has_fixed_length(test::order_of(text)) || reads_tensor(system))) continue;
          Arithmetic arithmetic = in_order(text, mac);
          arithmetic.draws = {.seed = 3, .first_row = static_cast<std::uint32_t>(shape.first_row)};
          Matrix<double> want(7, 37, 7.0);
          mpfr::gemm(arithmetic, a.view(), b.view(), want.view(), shape);
          for (const Backend backend : backends()) {
            Matrix<double> got(7, 37, 7.0);
            gemm(arithmetic, a.view(), b.view(), got.view(), shape, backend);
            INFO(text << ", shape " << static_cast<int>(shape.kind) << " from row "
                      << shape.first_row << ", backend " << name_in(backend_names, backend));
            REQUIRE(same_bits(got.flat(), want.flat()));
          }
        }
}

TEST_CASE(
    "row operands: causal rows do not see later keys, and go on with the bits of a whole pass",
    "[arith][gemm][rows][law]") {
  Random random(64);
  const Arithmetic arithmetic =
      in_order("sequential", {.operands = with("mxfp4", 4), .via = binary32, .format = ps(10)});
  Matrix<double> z(13, 13), v(13, 5), whole(13, 5);
  for (double& value : z.flat()) value = random.with_exponent(-4, 0, 24);
  for (double& value : v.flat()) value = random.with_exponent(-4, 3, 24);
  gemm(arithmetic, z.view(), v.view(), whole.view(), Shape::lower_operand);
  for (std::size_t i = 0; i < 13; ++i) {
    Matrix<double> other = v, one(1, 5), alone(1, 5);
    for (std::size_t k = i + 1; k < 13; ++k)
      for (std::size_t j = 0; j < 5; ++j) other(k, j) = 1e9;
    gemm(arithmetic, z.view().row_block(i, 1), other.view(), one.view(), {Shape::lower_operand, i});
    gemm(arithmetic, z.view().row_block(i, 1).columns(0, i + 1), v.view().row_block(0, i + 1),
         alone.view(), {Shape::lower_operand, i});
    CHECK(same_bits(one.row(0), whole.row(i)));
    CHECK(same_bits(alone.row(0), whole.row(i)));
  }
}

TEST_CASE("row operands: the tensor of B is the whole of B, of A its row", "[arith][gemm][rows]") {
  Matrix<double> a(2, 1), b(1, 2), got(2, 2);
  a(0, 0) = 1, a(1, 0) = 100, b(0, 0) = 1, b(0, 1) = 1e6;
  const BlockFormat system = with("nvfp4", 16, true);
  const Arithmetic arithmetic = in_order("sequential", {.operands = system, .format = binary64});
  gemm(arithmetic, a.view(), b.view(), got.view());
  std::vector<double> first{1}, second{1e6}, row{1}, other{100};
  mpfr::round_row(system, first, first, 1e6), mpfr::round_row(system, second, second, 1e6);
  mpfr::round_row(system, row, row), mpfr::round_row(system, other, other);
  CHECK(first[0] != row[0]);
  CHECK((got(0, 0) == row[0] * first[0] && got(0, 1) == row[0] * second[0]));
  CHECK((got(1, 0) == other[0] * first[0] && got(1, 1) == other[0] * second[0]));
}

TEST_CASE("row operands: multiterm aligns by the exponents that the values have",
          "[arith][order][rows][hand]") {
  // 2^-10 2^-10 and 2^-21: aligned at 2^-20 with F = 1 both stay. With e4m3fn's emin, -6, the
  // exponent would be -12 and both would go.
  const MacSpec mac{.operands = with("mxfp8-e4m3", 1)};
  const std::vector<double> x{0x1p-10, 0x1p-11}, y{0x1p-10, 0x1p-10};
  CHECK(dot(in_order("multiterm:2,1", mac), x, y) == 0x1.8p-20);
  CHECK(mpfr::dot(in_order("multiterm:2,1", mac), x, y) == 0x1.8p-20);
  CHECK(dot(in_order("multiterm:2,1", {.operands = e4m3fn}), x, y) == 0.0);
}

TEST_CASE("row operands: a lone multiply-accumulate has rows of one", "[arith][rows]") {
  for (const BlockFormat& system : systems) {
    const MacSpec mac{.operands = system, .format = binary64};
    const double a = rounded(system, {0.7})[0], b = rounded(system, {-1e-3})[0];
    CHECK(GeneralArithmetic(mac).mac(0.7, -1e-3, 0.25) == std::fma(a, b, 0.25));
    CHECK(mpfr::MpfrArithmetic(mac).mac(0.7, -1e-3, 0.25) == std::fma(a, b, 0.25));
  }
}

}  // namespace lamp
