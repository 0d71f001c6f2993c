// The vector kernels of matrix engines. Oracle: mpfr::gemm, which sums in GMP's integers, for every
// mode of every engine on small products; the naive loop, itself checked by the first, on larger
// ones. Neither calls a vector kernel.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "core/arith/engine.hpp"
#include "core/arith/gemm/gemm.hpp"
#include "core/arith/scalar.hpp"
#include "core/mpfr/arithmetic.hpp"
#include "core/mpfr/exact_sums.hpp"
#include "core/mpfr/operations.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

using test::Random;
using test::same_bits;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double unwritten = 123.0;

std::vector<Backend> vector_backends() {
  std::vector<Backend> backends{Backend::automatic};
  for (const Backend b : {Backend::avx2, Backend::avx512})
    if (available(b)) backends.push_back(b);
  return backends;
}

/// Kinds of operands; each is there to break one guard or one step of a pass.
enum class Data {
  ordinary,
  spread,
  cancelling,
  subnormal,
  huge,
  one_overflow,
  special,
  all_exponents,
  tiny_rows,
  unrounded,
  full_sums
};
constexpr Data all_data[] = {Data::ordinary,  Data::spread,        Data::cancelling,
                             Data::subnormal, Data::huge,          Data::one_overflow,
                             Data::special,   Data::all_exponents, Data::tiny_rows,
                             Data::unrounded, Data::full_sums};

double element(Random& random, Data data, const FloatFormat& f, std::size_t row) {
  switch (data) {
    case Data::ordinary:
      return random.with_exponent(-4, 2, f.p);
    case Data::spread:  // products 2^F apart
      return random.with_exponent(std::max(f.emin, -14), std::min(f.emax - 1, 6), f.p);
    case Data::cancelling: {  // +-2^e and little else: exact zeros, and sums far below the terms
      const double sign = random.below(2) == 0 ? 1.0 : -1.0;
      return sign * (random.below(4) == 0 ? 0x1p-6 : random.below(3) == 0 ? 0x1.8p-3 : 1.0);
    }
    case Data::subnormal:
      return random.with_exponent(f.emin - f.p + 1, f.emin + 1, random.between(1, f.p));
    case Data::huge:
      return random.with_exponent(f.emax / 2, f.emax / 2 + 2, f.p);
    case Data::one_overflow:  // of few sums
      return random.below(40) == 0 ? std::ldexp(1.0, std::min(f.emax, 90))
                                   : random.with_exponent(-4, 2, f.p);
    case Data::special: {
      constexpr double values[] = {0.0, -0.0, infinity, -infinity, nan, 0x1p-149};
      return random.below(6) != 0 ? random.with_exponent(-4, 4, f.p)
                                  : values[random.below(row % 2 == 0 ? 2 : 6)];
    }
    case Data::all_exponents:
      return random.below(5) == 0 ? -0.0
                                  : round(random.with_exponent(f.emin - f.p + 1, f.emax, f.p), f);
    case Data::tiny_rows:  // what softmax gives: a row begins with numbers that all but vanish
      return random.with_exponent(row % 3 == 0 ? -100 : -8, row % 3 == 0 ? -60 : 2, f.p);
    case Data::unrounded:
      return random.with_exponent(-20, 4, 53);
    case Data::full_sums:  // the most that an accumulator can hold
      return random.below(500) == 0 ? 1.0
                                    : (row < 5 ? 1.0 : -1.0) * (2.0 - std::ldexp(1.0, 1 - f.p));
  }
  return 0.0;
}

Matrix<double> matrix(std::size_t rows, std::size_t cols, Data data, const FloatFormat& format,
                      std::uint32_t seed) {
  Random random(seed);
  Matrix<double> x(rows, cols);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < cols; ++j) x(i, j) = element(random, data, format, i);
  return x;
}

Matrix<double> product(const Arithmetic& a, const Matrix<double>& x, const Matrix<double>& y,
                       Shape shape, Backend backend) {
  Matrix<double> out(x.rows(), y.cols(), unwritten);
  gemm(a, x.view(), y.view(), out.view(), shape, backend);
  return out;
}

Matrix<double> oracle(const Arithmetic& a, const Matrix<double>& x, const Matrix<double>& y,
                      Shape shape) {
  Matrix<double> out(x.rows(), y.cols(), unwritten);
  mpfr::gemm(a, x.view(), y.view(), out.view(), shape);
  return out;
}

std::vector<Arithmetic> modes() {
  std::vector<Arithmetic> list;
  for (const Engine& engine : engines())
    for (const EngineMode& mode : engine.modes) {
      const Arithmetic a = engine_arithmetic(engine.name, mode.operands, mode.format).value();
      if (std::find(list.begin(), list.end(), a) == list.end()) list.push_back(a);
    }
  return list;
}

std::string name(const Arithmetic& a) {
  return format_name(*a.mac.float_operands()) + ": " + engine_step_text(*engine_step(a.order));
}

}  // namespace

TEST_CASE("engine gemm: the bits of exact integers, every mode, kind of data and instruction set",
          "[arith][engine][gemm]") {
  REQUIRE(modes().size() == 20);
  int slips_caught = 0;
  std::uint32_t seed = 1;
  for (const Arithmetic& a : modes())
    for (const Data data : all_data) {
      const std::size_t k = 3 + (seed * 7) % 71;  // rarely a multiple of the step
      const Matrix<double> x = matrix(9, k, data, *a.mac.float_operands(), seed),
                           y = matrix(k, 35, data, *a.mac.float_operands(), seed + 1);
      seed += 2;
      const Matrix<double> expected = oracle(a, x, y, Shape::full);
      for (const Backend backend : vector_backends()) {
        INFO(name(a) << ", data " << static_cast<int>(data) << ", k " << k << ", backend "
                     << name_in(backend_names, backend));
        CHECK(same_bits(product(a, x, y, Shape::full, backend).flat(), expected.flat()));
      }
      Arithmetic slip = a;  // what the data can tell from the engine
      --std::get<MatrixEngine>(slip.order).step.fraction_bits;
      if (!same_bits(product(slip, x, y, Shape::full, Backend::automatic).flat(), expected.flat()))
        ++slips_caught;
    }
  CHECK(slips_caught >= 40);
}

TEST_CASE("engine gemm: triangles, lengths 0 to two steps, strides", "[arith][engine][gemm]") {
  for (const Arithmetic& a : modes()) {
    const std::size_t step = engine_step(a.order)->products;
    for (const Data data : {Data::spread, Data::special, Data::tiny_rows}) {
      INFO(name(a) << ", data " << static_cast<int>(data));
      const std::size_t t = 2 * step + 5;
      const Matrix<double> z = matrix(t, t, data, *a.mac.float_operands(), 5),
                           v = matrix(t, 3, data, *a.mac.float_operands(), 6);
      const Matrix<double> q = matrix(t, 6, data, *a.mac.float_operands(), 7),
                           keys = matrix(t, 6, data, *a.mac.float_operands(), 8);
      const Matrix<double> lower = oracle(a, z, v, Shape::lower_operand);
      Matrix<double> scores(t, t, unwritten), fast(t, t, unwritten);
      mpfr::gemm(a, q.view(), keys.view().transposed(), scores.view(), Shape::lower_output);
      for (const Backend backend : vector_backends()) {
        CHECK(same_bits(product(a, z, v, Shape::lower_operand, backend).flat(), lower.flat()));
        gemm(a, q.view(), keys.view().transposed(), fast.view(), Shape::lower_output, backend);
        CHECK(same_bits(fast.flat(), scores.flat()));
        const Shape below{Shape::lower_operand, 7};  // the rows from 7 on: as the whole has them
        Matrix<double> rest(t - 7, 3, unwritten);
        gemm(a, z.view().row_block(7, t - 7), v.view(), rest.view(), below, backend);
        CHECK(same_bits(rest.flat(), lower.flat().subspan(std::size_t{7} * 3)));
      }
    }
    for (const std::size_t k :
         {std::size_t{0}, std::size_t{1}, step - 1, step, step + 1, 2 * step}) {
      const Matrix<double> x = matrix(3, k, Data::spread, *a.mac.float_operands(), 9),
                           y = matrix(k, 2, Data::spread, *a.mac.float_operands(), 10);
      for (const Backend backend : vector_backends()) {
        INFO(name(a) << ", k " << k);
        CHECK(same_bits(product(a, x, y, Shape::full, backend).flat(),
                        oracle(a, x, y, Shape::full).flat()));
      }
    }
  }
}

TEST_CASE("engine gemm: larger products as the naive loop has them, by two threads too",
          "[arith][engine][gemm]") {
  for (const Arithmetic& a : modes()) {
    const Matrix<double> x = matrix(21, 256, Data::unrounded, *a.mac.float_operands(), 11),
                         y = matrix(256, 100, Data::ordinary, *a.mac.float_operands(), 12);
    const Matrix<double> expected = product(a, x, y, Shape::full, Backend::scalar);
    for (const Backend backend : vector_backends()) {
      INFO(name(a));
      Matrix<double> other;
      std::thread thread([&] { other = product(a, x, y, Shape::full, backend); });
      CHECK(same_bits(product(a, x, y, Shape::full, backend).flat(), expected.flat()));
      thread.join();
      CHECK(same_bits(other.flat(), expected.flat()));
    }
  }
}

TEST_CASE(
    "engine gemm: two threads, one row at a time, several arithmetics by turns on the same packed "
    "weights",
    "[arith][engine][gemm]") {
  const Matrix<double> x = matrix(6, 70, Data::unrounded, bfloat16, 15),
                       y = matrix(70, 40, Data::ordinary, binary32, 16);
  const PackedMatrix packed(y.view());
  std::vector<Arithmetic> list{engine_arithmetic("h100", bfloat16, binary32).value(),
                               engine_arithmetic("v100", binary16, binary32).value(),
                               engine_arithmetic("ada", e4m3fn, binary32).value()};
  for (const FloatFormat& operands : {bfloat16, e4m3fn}) {
    list.push_back({.mac = {.operands = operands}, .order = {}});
    list.push_back({.mac = {.operands = operands}, .order = Lanes{4}});
  }
  std::vector<Matrix<double>> expected;
  for (const Arithmetic& a : list)
    expected.push_back(product(a, x, y, Shape::full, Backend::scalar));
  const auto by_turns = [&](std::size_t start, int& wrong) {
    for (std::size_t i = 0; i < 6; ++i)
      for (std::size_t turn = 0; turn < list.size(); ++turn) {
        const std::size_t which = (start + turn) % list.size();
        Matrix<double> row(1, 40, unwritten);
        gemm(list[which], x.view().row_block(i, 1), packed, row.view());
        if (!same_bits(row.flat(), std::as_const(expected[which]).row(i))) ++wrong;
      }
  };
  int wrong = 0, wrong_there = 0;
  std::thread thread([&] { by_turns(3, wrong_there); });
  by_turns(0, wrong);
  thread.join();
  CHECK(wrong == 0);
  CHECK(wrong_there == 0);
  for (std::size_t i = 0; i < list.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      CHECK(!same_bits(expected[i].flat(), expected[j].flat()));  // or the test could not fail
}

TEST_CASE("engine gemm: split-K is the engine's sums of contiguous parts, added in order",
          "[arith][engine][gemm]") {
  int told_apart = 0;
  for (const Arithmetic& whole : modes())
    for (const std::size_t parts :
         {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{16}}) {
      Arithmetic a = whole;
      a.order = SplitEngine{*engine_step(whole.order), parts};
      const Data data = parts == 3 ? Data::special : Data::spread;
      INFO(name(a) << ", " << parts << " parts");
      const std::size_t t = 3 * engine_step(a.order)->products / 2 + 7;
      const Matrix<double> x = matrix(t, t, data, *a.mac.float_operands(), 13),
                           y = matrix(t, 5, data, *a.mac.float_operands(), 14);
      const Matrix<double> full = oracle(a, x, y, Shape::full),
                           lower = oracle(a, x, y, Shape::lower_operand);
      for (const Backend backend : vector_backends()) {
        CHECK(same_bits(product(a, x, y, Shape::full, backend).flat(), full.flat()));
        CHECK(same_bits(product(a, x, y, Shape::lower_operand, backend).flat(), lower.flat()));
        Matrix<double> few(3, 5, unwritten);
        gemm(a, x.view().row_block(0, 3), PackedMatrix(y.view()), few.view(), Shape::full, backend);
        CHECK(same_bits(few.flat(), full.flat().first(15)));
      }
      CHECK(same_bits(product(a, x, y, Shape::full, Backend::scalar).flat(), full.flat()));
      // By hand, of one output: the parts by the whole engine.
      const std::size_t size = (t + parts - 1) / parts;
      double sum = 0.0;
      for (std::size_t k = 0; k < t; k += size) {
        const std::size_t count = std::min(size, t - k);
        std::vector<double> left, right;
        for (std::size_t l = k; l < k + count; ++l)
          left.push_back(x(1, l)), right.push_back(y(l, 2));
        sum =
            mpfr::add(sum, mpfr::engine_dot(whole.mac, *engine_step(whole.order), left, right, 0.0),
                      a.mac.format, Rounding::rne);
      }
      CHECK(same_bits(full(1, 2), sum));
      if (!same_bits(full.flat(), oracle(whole, x, y, Shape::full).flat())) ++told_apart;
    }
  CHECK(told_apart >= 30);
  // One part is a split too: c comes last. 1.5 x 2^-24 is lost beside 1 in a100's step, and rounds
  // up in binary32.
  Arithmetic one = engine_arithmetic("a100", binary16, binary32).value();
  const std::vector<double> x{0x1.8p-12}, y{0x1p-12};
  CHECK(same_bits(dot(one, x, y, 1.0), 1.0));
  one.order = SplitEngine{*engine_step(one.order), 1};
  CHECK(same_bits(dot(one, x, y, 1.0), 0x1.000002p+0));
  CHECK(same_bits(mpfr::MpfrArithmetic(one.mac).dot(one.order, std::nullopt, x, y, 1.0),
                  0x1.000002p+0));
}

}  // namespace lamp
