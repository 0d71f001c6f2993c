// Inner products and sums of rows against one row's at a time, bit for bit: every order and
// arithmetic, rows that end early, on every instruction set.
#include "core/arith/row_dots.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <vector>

#include "core/arith/engine.hpp"
#include "core/arith/orders/ordered_dot.hpp"
#include "core/fp/block_format.hpp"
#include "tests/core/arith/ordered_sums.hpp"
#include "tests/support/bits.hpp"

namespace lamp {
namespace {

using test::in_order;
using test::Random;
using test::same_bits;

std::vector<Backend> backends() {
  std::vector<Backend> all{Backend::scalar};
  for (const Backend backend : {Backend::avx2, Backend::avx512})
    if (available(backend)) all.push_back(backend);
  return all;
}

Matrix<double> matrix(Random& random, std::size_t rows, std::size_t cols, int bits) {
  Matrix<double> x(rows, cols);
  for (double& value : x.flat())
    value = random.below(40) == 0 ? test::special_values[random.below(19)]
                                  : random.with_exponent(-4, 4, bits);
  return x;
}

/// Rows whose sums differ from those of one row at a time.
long differences(const Arithmetic& arithmetic, const Matrix<double>& x, const Matrix<double>& y,
                 Shape shape, Backend backend) {
  std::vector<double> dots(x.rows()), sums(x.rows());
  row_dots(arithmetic, x.view(), y.view(), dots, shape, backend);
  row_sums(arithmetic, x.view(), sums, shape, backend);
  const GeneralArithmetic fl(arithmetic.mac);
  long count = 0;
  for (std::size_t i = 0; i < x.rows(); ++i) {
    const std::size_t n = shape.terms(i, x.cols());
    count += !same_bits(dots[i], ordered_dot(fl, arithmetic, x.row(i).first(n), y.row(i).first(n)));
    count += !same_bits(sums[i], ordered_sum(fl, arithmetic, x.row(i).first(n)));
  }
  return count;
}

}  // namespace

TEST_CASE("row_dots and row_sums have the bits of ordered_dot in every order", "[arith][rows]") {
  Random random(1);
  for (const MacSpec& mac : test::specs)
    for (const std::string& text : test::order_texts(random, 12)) {
      const Arithmetic arithmetic = in_order(text, mac);
      const Matrix<double> x = matrix(random, 37, 12, 8), y = matrix(random, 37, 12, 24);
      for (const Backend backend : backends()) {
        INFO(text << ", p = " << mac.format.p);
        REQUIRE(differences(arithmetic, x, y, Shape::full, backend) == 0);
        REQUIRE(differences(arithmetic, x, x, Shape::full, backend) == 0);
      }
    }
}

TEST_CASE("row_dots: rows that end early, no rows, no terms", "[arith][rows]") {
  Random random(2);
  for (const MacSpec& mac : test::specs)
    for (const char* text : {"sequential", "pairwise:2", "kahan"})
      for (const std::size_t first : {0U, 30U})
        for (const std::size_t rows : {0U, 1U, 33U, 70U}) {
          Matrix<double> x = matrix(random, rows, first + rows, 24),
                         y = matrix(random, rows, first + rows, 24);
          if (first == 0 && rows > 0)
            x(0, 0) = -0x1p-1000, y(0, 0) = 1.0;  // -0 where it underflows
          for (const Backend backend : backends())
            REQUIRE(differences(in_order(text, mac), x, y, Shape(Shape::lower_operand, first),
                                backend) == 0);
        }
  const Matrix<double> none(5, 0);
  for (const Backend backend : backends())
    CHECK(differences(lamp_paper(7), none, none, Shape::full, backend) == 0);
}

TEST_CASE("row_dots: blocks in another arithmetic, steps of matrix engines, operands of rows",
          "[arith][rows]") {
  Random random(3);
  std::vector<Arithmetic> list;
  for (const auto& block : test::blocks)
    list.push_back(in_order("blocked:5", lamp_paper(7).mac, block));
  for (const char* engine : {"v100", "a100", "h100", "b200"})
    list.push_back(engine_arithmetic(engine, binary16, binary32).value());
  list.push_back(in_order("sequential",
                          {.operands = BlockFormat::named("mxfp4").value(), .format = binary32}));
  list.push_back(in_order("sequential", {.operands = FloatFormat{.p = 3, .emin = 2, .emax = 2}}));
  for (const Arithmetic& arithmetic : list)
    for (const std::size_t n : {1U, 31U, 64U}) {
      const Matrix<double> x = matrix(random, 19, n, 8), y = matrix(random, 19, n, 8);
      for (const Backend backend : backends()) {
        REQUIRE(differences(arithmetic, x, y, Shape::full, backend) == 0);
        REQUIRE(differences(arithmetic, x, x, Shape::full, backend) == 0);
        const Shape early(Shape::lower_operand, n > 12 ? n - 12 : 0);
        REQUIRE(differences(arithmetic, x, y, early, backend) == 0);
      }
    }
}

}  // namespace lamp
