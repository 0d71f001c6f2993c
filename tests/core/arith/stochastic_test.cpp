// Stochastic rounding in sums: the draws by their coordinates written out, the bits of MPFR's
// operations with the same draws, and no dependence on who computes what when.
#include "core/arith/stochastic.hpp"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "core/arith/gemm/gemm.hpp"
#include "core/arith/orders/ordered_dot.hpp"
#include "core/base/philox.hpp"
#include "core/mpfr/functions.hpp"
#include "core/mpfr/operations.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/formats.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

using test::same_bits;

static_assert(ScalarArithmetic<StochasticArithmetic>);

/// Word 0 of the generator, the counter written out.
Draw word(const DrawStream& s, std::uint32_t row, std::uint32_t column, std::uint32_t step,
          std::uint32_t draw, int bits) {
  const std::uint32_t place = (s.layer * 512 + s.head) * 128 + s.site * 4 + draw;
  return {.word = philox4x32({step, column, row, place}, {s.seed, s.sequence})[0], .bits = bits};
}

/// One multiply-accumulate on MPFR, its sum with draw number `sum`.
double mac(const MacSpec& spec, double a, double b, double c, const DrawStream& s, std::uint32_t i,
           std::uint32_t j, std::uint32_t step, std::uint32_t sum = 0) {
  const Draw draw = word(s, i, j, step, sum, spec.random_bits);
  if (const FloatFormat* format = spec.float_operands())
    a = mpfr::round(a, *format), b = mpfr::round(b, *format);
  if (spec.product) {
    const double product =
        mpfr::mul(a, b, *spec.product, spec.rounding, word(s, i, j, step, 1, spec.random_bits));
    return spec.via
               ? mpfr::round(mpfr::add(product, c, *spec.via), spec.format, spec.rounding, draw)
               : mpfr::add(product, c, spec.format, spec.rounding, draw);
  }
  return spec.via ? mpfr::round(mpfr::fma(a, b, c, *spec.via), spec.format, spec.rounding, draw)
                  : mpfr::fma(a, b, c, spec.format, spec.rounding, draw);
}

Matrix<double> random_matrix(test::Random& random, std::size_t rows, std::size_t cols) {
  Matrix<double> x(rows, cols);
  for (double& value : x.flat())
    value = static_cast<double>(static_cast<float>(random.symmetric()));
  return x;
}

std::vector<double> flat(const Matrix<double>& x) { return {x.flat().begin(), x.flat().end()}; }

const DrawStream stream{.seed = 42, .sequence = 7, .layer = 3, .head = 5, .site = 2};

Arithmetic stochastic(MacSpec mac) {
  mac.rounding = mac.rounding == Rounding::rne ? Rounding::sr : mac.rounding;
  return {.mac = mac, .order = {}, .draws = stream};
}

Matrix<double> product_of(const Arithmetic& arithmetic, const Matrix<double>& a,
                          const Matrix<double>& b) {
  Matrix<double> out(a.rows(), b.cols());
  gemm(arithmetic, a.view(), b.view(), out.view());
  return out;
}

}  // namespace

TEST_CASE("draw_at: the counter of method.md", "[arith][stochastic]") {
  const DrawStream s{.seed = 1, .sequence = 2, .layer = 11, .head = 7, .site = 13};
  const Draw draw = draw_at(s, 5, 6, 9, DrawFor::product, 24);
  CHECK(draw.word == philox4x32({9, 6, 5, (11U * 512 + 7) * 128 + 13 * 4 + 1}, {1, 2})[0]);
  CHECK(draw.bits == 24);
  CHECK(draw_at({}, 0, 0, 0, DrawFor::sum, 32).word == 0x6627e8d5);  // Random123's known answer
}

TEST_CASE("gemm in SR and SRE: every output is the sum on MPFR with the draws of its coordinates",
          "[arith][stochastic]") {
  test::Random random(1);
  const Matrix<double> a = random_matrix(random, 5, 17), b = random_matrix(random, 17, 6);
  const std::array<std::optional<FloatFormat>, 2> operands{std::nullopt, ps(7)},
      products{std::nullopt, binary16}, vias{std::nullopt, binary32};
  for (const auto& o : operands)
    for (const auto& p : products)
      for (const auto& v : vias)
        for (const FloatFormat& f : {ps(7), binary32, e5m2})
          for (const Rounding mode : {Rounding::sr, Rounding::sre})
            for (const int r : {1, 8, 32}) {
              const MacSpec spec{.operands = o,
                                 .product = p,
                                 .via = v,
                                 .format = f,
                                 .rounding = mode,
                                 .random_bits = r};
              const Matrix<double> out = product_of(stochastic(spec), a, b);
              for (std::uint32_t i = 0; i < 5; ++i)
                for (std::uint32_t j = 0; j < 6; ++j) {
                  double sum = 0.0;
                  for (std::uint32_t k = 0; k < 17; ++k)
                    sum = mac(spec, a(i, k), b(k, j), sum, stream, i, j, k);
                  REQUIRE(same_bits(out(i, j), sum));
                }
            }
}

TEST_CASE("SR does not depend on threads, blocks of rows, shapes or the order of outputs",
          "[arith][stochastic][law]") {
  test::Random random(2);
  const std::size_t n = 24, k = 40;
  const Matrix<double> a = random_matrix(random, n, k), b = random_matrix(random, k, n);
  const Arithmetic arithmetic = stochastic({.format = ps(7)});
  const Matrix<double> whole = product_of(arithmetic, a, b);

  std::vector<std::size_t> outputs(n * n);  // shuffled, one by one
  for (std::size_t i = 0; i < outputs.size(); ++i) outputs[i] = i;
  for (std::size_t i = outputs.size(); i > 1; --i)
    std::swap(outputs[i - 1], outputs[random.below(static_cast<std::uint32_t>(i))]);
  for (const std::size_t at : outputs) {
    const std::size_t i = at / n, j = at % n;
    std::vector<double> column(k);
    for (std::size_t l = 0; l < k; ++l) column[l] = b(l, j);
    const double sum = visit_outputs(arithmetic, true, [&](const auto& output) {
      return ordered_dot(output(i, j), arithmetic, a.row(i), column);
    });
    REQUIRE(same_bits(sum, whole(i, j)));
  }

  Matrix<double> blocks(n, n);  // blocks of rows, on two threads
  const auto work = [&](std::size_t first) {
    for (; first < n; first += 12) {
      Arithmetic part = arithmetic;
      part.draws.first_row = static_cast<std::uint32_t>(first);
      gemm(part, a.view().row_block(first, 6), b.view(), blocks.view().row_block(first, 6));
    }
  };
  std::thread one(work, 0), two(work, 6);
  one.join(), two.join();
  CHECK(same_bits(flat(blocks), flat(whole)));

  Matrix<double> causal(n, n);
  gemm(arithmetic, a.view(), b.view(), causal.view(), Shape::lower_output);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j <= i; ++j) REQUIRE(same_bits(causal(i, j), whole(i, j)));
}

TEST_CASE("every coordinate of the stream changes the draws", "[arith][stochastic]") {
  test::Random random(3);
  const Matrix<double> a = random_matrix(random, 4, 50), b = random_matrix(random, 50, 4);
  const Arithmetic base = stochastic({.format = ps(7)});
  const std::vector<double> usual = flat(product_of(base, a, b));
  CHECK(same_bits(flat(product_of(base, a, b)), usual));
  for (std::uint32_t DrawStream::*coordinate :
       {&DrawStream::seed, &DrawStream::sequence, &DrawStream::layer, &DrawStream::head,
        &DrawStream::site, &DrawStream::first_row}) {
    Arithmetic other = base;
    other.draws.*coordinate += 1;
    CHECK_FALSE(same_bits(flat(product_of(other, a, b)), usual));
    CHECK(other == base);  // the stream is no part of the arithmetic's identity
  }
}

TEST_CASE("an engine counts every rounding as a step; a block draws apart and goes on counting",
          "[arith][stochastic]") {
  const MacSpec spec{.product = binary16, .format = ps(7), .rounding = Rounding::sr};
  const StochasticArithmetic fl(spec, stream, 4, 9, 100);
  const double x = 1.0 / 3.0, y = 0.7;
  CHECK(same_bits(fl.add(x, y),
                  mpfr::add(x, y, ps(7), Rounding::sr, word(stream, 4, 9, 100, 0, 32))));
  CHECK(same_bits(fl.mac(x, y, 1.0), mac(spec, x, y, 1.0, stream, 4, 9, 101)));
  CHECK(same_bits(fl.div(x, y),
                  mpfr::div(x, y, ps(7), Rounding::sr, word(stream, 4, 9, 102, 0, 32))));
  const MacSpec inner{.format = tf32, .rounding = Rounding::sr, .random_bits = 5};
  const StochasticArithmetic block = fl.block(inner);
  for (std::uint32_t k = 0; k < 50; ++k) {
    const double z = 1.0 / (3.0 + k);
    REQUIRE(same_bits(block.mac(x, z, 1.0), mac(inner, x, z, 1.0, stream, 4, 9, 103 + k, 2)));
  }
  CHECK(same_bits(fl.sub(x, y),
                  mpfr::sub(x, y, ps(7), Rounding::sr, word(stream, 4, 9, 153, 0, 32))));
  CHECK(same_bits(
      fl.function(Function::exp, x),
      mpfr::evaluate(Function::exp, x, ps(7), Rounding::sr, word(stream, 4, 9, 154, 0, 32))));
  CHECK(fl.steps() == 155);
  CHECK(block.steps() == 155);
  const StochasticArithmetic copy(fl);  // NOLINT: it counts by itself
  static_cast<void>(copy.round(x));
  CHECK((copy.steps() == 156 && fl.steps() == 155));
}

TEST_CASE("steps_of_sum: roundings of a sum", "[arith][stochastic]") {
  const Arithmetic arithmetic = stochastic({.format = ps(7)});
  CHECK(steps_of_sum(arithmetic, 0) == 0);
  CHECK(steps_of_sum(arithmetic, 768) == 768);
}

TEST_CASE("a deterministic arithmetic has one engine for all outputs, the fast one",
          "[arith][stochastic]") {
  visit_outputs(fused(binary64), false, [](const auto& output) {
    static_assert(ScalarArithmetic<std::remove_cvref_t<decltype(output(0, 0))>>);
    CHECK(output(3, 4).add(0.1, 0.2) == 0.1 + 0.2);
  });
}

// The expectation of an SR sum is the exact sum: each of n steps errs by less than a spacing of the
// largest partial sum, with mean 0.
TEST_CASE("SR: the mean of many sums is the exact sum, where RNE stagnates",
          "[arith][stochastic][law]") {
  constexpr std::size_t n = 1000;
  constexpr std::uint32_t runs = 400;
  Matrix<double> a(1, n, 1.0),
      b(n, 1, 0x1p-9);  // the sum is 1000 / 512 = 1.953; in RNE it stops growing at 1/2
  double mean = 0.0;
  for (std::uint32_t run = 0; run < runs; ++run) {
    Arithmetic arithmetic = stochastic({.format = ps(7)});
    arithmetic.draws.sequence = run;
    mean += product_of(arithmetic, a, b)(0, 0) / runs;
  }
  const double exact = n * 0x1p-9, spacing = 0x1p-6;  // sums below 4
  const double sigma =
      0.5 * spacing *
      std::sqrt(static_cast<double>(n) / runs);  // a step's deviation is at most half a spacing
  CHECK(std::abs(mean - exact) <= 6.0 * sigma);
  CHECK(product_of(fused(ps(7)), a, b)(0, 0) < exact - 6.0 * sigma);
}

TEST_CASE("negative control: another step, column or draw is seen",
          "[arith][stochastic][control]") {
  test::Random random(4);
  const Matrix<double> a = random_matrix(random, 8, 60), b = random_matrix(random, 60, 8);
  const MacSpec spec{.format = ps(7), .rounding = Rounding::sr};
  const Matrix<double> right = product_of(stochastic(spec), a, b);
  const auto differences = [&](std::uint32_t column, std::uint32_t first_step, std::uint32_t draw) {
    int count = 0;
    for (std::uint32_t i = 0; i < 8; ++i)
      for (std::uint32_t j = 0; j < 8; ++j) {
        double sum = 0.0;
        for (std::uint32_t k = 0; k < 60; ++k)
          sum = mac(spec, a(i, k), b(k, j), sum, stream, i, j + column, k + first_step, draw);
        count += same_bits(sum, right(i, j)) ? 0 : 1;
      }
    return count;
  };
  CHECK(differences(0, 0, 0) == 0);
  CHECK(differences(1, 0, 0) > 32);
  CHECK(differences(0, 1, 0) > 32);
  CHECK(differences(0, 0, 2) > 32);
}

}  // namespace lamp
