// Oracles: mpfr::gemm (arbitrary precision, naive) for every arithmetic on small products; the
// naive loop, itself checked by the first, on larger ones. Neither calls a vector kernel.
#include "core/arith/gemm/gemm.hpp"

#include <catch2/catch.hpp>
#include <cfenv>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "core/arith/gemm/kernels.hpp"
#include "core/arith/gemm/plan.hpp"
#include "core/arith/orders/order_text.hpp"
#include "core/mpfr/arithmetic.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

using test::Random;
using test::same_bits;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double unwritten = 123.0;

constexpr FloatFormat e4m3{.p = 4, .emin = -6, .emax = 7};

std::vector<Backend> vector_backends() {
  std::vector<Backend> backends{Backend::automatic};
  for (const Backend b : {Backend::avx2, Backend::avx512})
    if (available(b)) backends.push_back(b);
  return backends;
}

/// Kinds of operands; each is there to break one guard or one step of a rounding.
enum class Data {
  ordinary,
  ties,
  all_exponents,
  subnormal_sums,
  huge_sums,
  cancelling,
  special,
  binary64_numbers,
  binary64_all_exponents
};
constexpr Data all_data[] = {Data::ordinary,
                             Data::ties,
                             Data::all_exponents,
                             Data::subnormal_sums,
                             Data::huge_sums,
                             Data::cancelling,
                             Data::special,
                             Data::binary64_numbers,
                             Data::binary64_all_exponents};

double element(Random& random, Data data) {
  switch (data) {
    case Data::ordinary:
      return random.with_exponent(-8, 2, 24);
    case Data::ties:
      return random.with_exponent(-3, 3, random.between(1, 4));
    case Data::all_exponents:
      return round(random.with_exponent(-149, 127, 24), binary32);
    case Data::subnormal_sums:
      return random.with_exponent(-74, -62, random.between(1, 24));
    case Data::huge_sums:
      return random.with_exponent(58, 64, random.between(1, 24));
    case Data::cancelling: {  // sums of +-2^e and little else: exact zeros, and results far below
                              // the terms
      const double sign = random.below(2) == 0 ? 1.0 : -1.0;
      return sign * (random.below(4) == 0 ? 0x1p-75 : random.below(3) == 0 ? 0x1.8p-63 : 0x1p-60);
    }
    case Data::special: {
      constexpr double values[] = {
          0.0,      -0.0,      infinity,        -infinity,        nan,
          0x1p-149, -0x1p-149, 0x1.fffffep+127, -0x1.fffffep+127, 0x1p-126};
      return random.below(4) != 0 ? random.with_exponent(-4, 4, 8) : values[random.below(10)];
    }
    case Data::binary64_numbers:
      return random.with_exponent(-20, 4, 53);
    case Data::binary64_all_exponents:
      return random.below(8) == 0 ? 0.0 : random.with_exponent(-1074, 1023, random.between(1, 53));
  }
  return 0.0;
}

Matrix<double> matrix(std::size_t rows, std::size_t cols, Data data, std::uint32_t seed) {
  Random random(seed);
  Matrix<double> x(rows, cols);
  for (double& value : x.flat()) value = element(random, data);
  if (data == Data::special &&
      seed % 3 != 0)  // NaN and infinities spread to whole rows: keep them out of some matrices
    for (double& value : x.flat()) value = std::isfinite(value) ? value : -0.0;
  return x;
}

struct Named {
  std::string name;
  Arithmetic arithmetic;
};

std::vector<Named> arithmetics() {
  std::vector<Named> list;
  const auto add = [&](std::string name, MacSpec mac) {
    list.push_back({std::move(name), {.mac = mac, .order = {}}});
  };
  add("binary32", {});
  add("binary32 via binary32", {.via = binary32});
  add("binary32 product binary32", {.product = binary32});
  add("binary32 operands bfloat16", {.operands = bfloat16});
  add("binary64", {.format = binary64});
  add("binary64 product binary64", {.product = binary64, .format = binary64});
  add("binary64 operands binary32", {.operands = binary32, .format = binary64});
  for (int mu = 1; mu <= 23; ++mu) {
    add("ps via binary32, mu " + std::to_string(mu), lamp_paper(mu).mac);
    add("ps product binary32 via binary32, mu " + std::to_string(mu),
        {.product = binary32, .via = binary32, .format = ps(mu)});
    add("ps, mu " + std::to_string(mu), {.format = ps(mu)});
    add("ps product ps, mu " + std::to_string(mu), {.product = ps(mu), .format = ps(mu)});
  }
  const Named formats[] = {{"binary16", fused(binary16)},
                           {"bfloat16", fused(bfloat16)},
                           {"e4m3", fused(e4m3)},
                           {"e5m2", fused(e5m2)},
                           {"e4m3fn", fused(e4m3fn)},
                           {"e2m1fn", fused(e2m1fn)},
                           {"p 30", fused({.p = 30, .emin = -200, .emax = 300})},
                           {"low", fused({.p = 8, .emin = -126, .emax = 60})}};
  for (const Named& f : formats) {
    const FloatFormat format = f.arithmetic.mac.format;
    add(f.name, {.format = format});
    add(f.name + " via binary32", {.via = binary32, .format = format});
    add(f.name + " via binary64", {.via = binary64, .format = format});
    add(f.name + " via binary16", {.via = binary16, .format = format});
    add(f.name + " product", {.product = format, .format = format});
    add(f.name + " operands, product", {.operands = format, .product = format, .format = format});
    add(f.name + " operands into binary32", {.operands = format});
    add(f.name + " product binary32", {.product = binary32, .format = format});
    add(f.name + " product bfloat16", {.product = bfloat16, .format = format});
    add(f.name + " product binary16", {.product = binary16, .format = format});
    add(f.name + " product e4m3", {.product = e4m3, .format = format});
  }
  for (const Rounding mode : {Rounding::rna, Rounding::rtz, Rounding::rtp, Rounding::rtn,
                              Rounding::rto, Rounding::sr, Rounding::sre}) {
    const std::string name = " " + std::string(rounding_name(mode));
    for (const FloatFormat& format : {ps(7), ps(22), binary32, e4m3fn}) {
      const std::string p = "p " + std::to_string(format.p) + name;
      add(p, {.format = format, .rounding = mode, .random_bits = 9});
      add(p + " via binary32", {.via = binary32, .format = format, .rounding = mode});
    }
    add("product" + name, {.product = ps(7), .format = ps(7), .rounding = mode});
  }
  constexpr FloatFormat fine{
      .p = 8, .emin = -90, .emax = 20};  // its products underflow in binary16, to either zero
  add("binary16 via binary32, finer product",
      {.product = fine, .via = binary32, .format = binary16});
  add("binary16, finer product", {.product = fine, .format = binary16});
  add("finer format, binary16 product", {.product = binary16, .format = fine});
  add("ps product ps, mu 21 and 11", {.product = ps(21), .format = ps(11)});
  add("e2m1fn via e4m3", {.via = e4m3, .format = e2m1fn});
  add("p 51", {.format = {.p = 51, .emin = -900, .emax = 900}});
  add("p 52", {.format = {.p = 52, .emin = -900, .emax = 900}});
  add("p 50 via p 51", {.via = FloatFormat{.p = 51, .emin = -900, .emax = 900},
                        .format = {.p = 50, .emin = -900, .emax = 900}});
  add("p 22, small range", {.format = {.p = 22, .emin = -10, .emax = 10}});
  add("p 23, small range", {.format = {.p = 23, .emin = -10, .emax = 10}});
  add("p 12, product", {.product = FloatFormat{.p = 12, .emin = -10, .emax = 10},
                        .format = {.p = 12, .emin = -10, .emax = 10}});
  add("binary16 RTZ", {.format = binary16, .rounding = Rounding::rtz});
  for (const Rounding mode : {Rounding::rna, Rounding::rtz}) {
    const std::string by = " operands by " + std::string(rounding_name(mode));
    for (const Named& f : {Named{"tf32", fused(tf32)}, Named{"ps 22", fused(ps(22))},
                           Named{"ps 1", fused(ps(1))}, formats[0], formats[1], formats[3]}) {
      const FloatFormat operands = f.arithmetic.mac.format;
      add(f.name + by, {.operands = operands, .operand_rounding = mode});
      add(f.name + by + " into binary64",
          {.operands = operands, .format = binary64, .operand_rounding = mode});
    }
  }
  add("no subnormals", {.format = {.p = 8, .emin = -14, .emax = 15, .subnormals = false}});
  return list;
}

Matrix<double> oracle(const Arithmetic& arithmetic, const Matrix<double>& a,
                      const Matrix<double>& b, Shape shape) {
  Matrix<double> out(a.rows(), b.cols(), unwritten);
  mpfr::gemm(arithmetic, a.view(), b.view(), out.view(), shape);
  return out;
}

Matrix<double> product(const Arithmetic& arithmetic, const Matrix<double>& a,
                       const Matrix<double>& b, Shape shape, Backend backend) {
  Matrix<double> out(a.rows(), b.cols(), unwritten);
  gemm(arithmetic, a.view(), b.view(), out.view(), shape, backend);
  return out;
}

TEST_CASE("gemm: every backend agrees with MPFR on every arithmetic and kind of operands",
          "[arith][gemm]") {
  std::uint32_t seed = 1;
  for (const Named& n : arithmetics()) {
    for (const Data data : all_data) {
      const Matrix<double> a = matrix(3, 14, data, ++seed), b = matrix(14, 7, data, ++seed);
      const Matrix<double> expected = oracle(n.arithmetic, a, b, Shape::full);
      INFO(n.name << ", data " << static_cast<int>(data) << ", seed " << seed);
      CHECK(same_bits(product(n.arithmetic, a, b, Shape::full, Backend::scalar).flat(),
                      expected.flat()));
      for (const Backend backend : vector_backends()) {
        INFO("backend " << name_in(backend_names, backend));
        CHECK(same_bits(product(n.arithmetic, a, b, Shape::full, backend).flat(), expected.flat()));
      }
    }
  }
}

TEST_CASE("gemm: tails, empty products and every shape have the bits of the naive loop",
          "[arith][gemm]") {
  struct Size {
    std::size_t m, k, n;
  };
  constexpr Size sizes[] = {{0, 3, 4},   {3, 0, 4},    {3, 4, 0},    {1, 1, 1},
                            {1, 9, 33},  {2, 5, 31},   {5, 3, 64},   {8, 16, 32},
                            {9, 17, 70}, {13, 40, 40}, {40, 13, 37}, {41, 41, 41}};
  const Shape shapes[] = {Shape::full,
                          Shape::lower_output,
                          Shape::lower_operand,
                          {Shape::lower_output, 5},
                          {Shape::lower_operand, 5}};
  const Arithmetic list[] = {
      fused(binary32),
      lamp_paper(7),
      fused(binary64),
      fused(ps(7)),
      {.mac = {.format = ps(7), .rounding = Rounding::rtp}, .order = {}},
      fused(binary16),
      {.mac = {.operands = binary16, .product = binary16, .format = binary16}, .order = {}}};
  std::uint32_t seed = 1000;
  for (const Arithmetic& arithmetic : list) {
    for (const Size& s : sizes) {
      for (const Shape shape : shapes) {
        for (const Data data : {Data::ordinary, Data::all_exponents, Data::binary64_numbers}) {
          Matrix<double> a = matrix(s.m, s.k, data, ++seed);
          const Matrix<double> b = matrix(s.k, s.n, data, ++seed);
          if (shape.kind == Shape::lower_operand)
            for (std::size_t i = 0; i < s.m; ++i)
              for (std::size_t k = shape.first_row + i + 1; k < s.k; ++k)
                a(i, k) = nan;  // never read
          const Matrix<double> expected = product(arithmetic, a, b, shape, Backend::scalar);
          INFO(s.m << " x " << s.k << " x " << s.n << ", shape " << static_cast<int>(shape.kind)
                   << " from row " << shape.first_row << ", seed " << seed);
          CHECK(same_bits(expected.flat(), oracle(arithmetic, a, b, shape).flat()));
          for (const Backend backend : vector_backends()) {
            INFO("backend " << name_in(backend_names, backend));
            CHECK(same_bits(product(arithmetic, a, b, shape, backend).flat(), expected.flat()));
          }
        }
      }
    }
  }
}

/// Orders that add what steps have made, in arithmetics that their kernels serve and in others.
std::vector<Named> sums_of_sums() {
  std::vector<Named> list;
  std::vector<MacSpec> macs{{},
                            {.product = binary32},
                            {.via = binary32, .format = ps(7)},
                            {.product = binary32, .via = binary32, .format = ps(7)},
                            {.via = binary32, .format = ps(1)},
                            {.format = binary64},
                            {.product = binary64, .format = binary64},
                            {.operands = bfloat16},
                            {.format = ps(7)},
                            {.format = binary32, .rounding = Rounding::rtp},
                            {.product = binary16, .format = binary16}};
  for (const Rounding mode :
       {Rounding::rtz, Rounding::rtp, Rounding::rtn, Rounding::rto, Rounding::rna})
    macs.push_back({.format = ps(7), .rounding = mode});
  for (const char* order : {"kahan", "neumaier", "pairwise:2", "numpy-sum:8192"})
    for (std::size_t i = 0; i < macs.size(); ++i)
      list.push_back({std::string(order) + ", arithmetic " + std::to_string(i),
                      {.mac = macs[i], .order = parse_order(order).value()}});
  return list;
}

TEST_CASE("gemm: sums of sums of every kind of operands have MPFR's bits on every backend",
          "[arith][gemm]") {
  std::uint32_t seed = 9000;
  for (const Named& n : sums_of_sums())
    for (const Data data : all_data) {
      const Matrix<double> a = matrix(3, 14, data, ++seed), b = matrix(14, 35, data, ++seed);
      const Matrix<double> expected = oracle(n.arithmetic, a, b, Shape::full);
      INFO(n.name << ", data " << static_cast<int>(data) << ", seed " << seed);
      for (const Backend backend : vector_backends()) {
        INFO("backend " << name_in(backend_names, backend));
        CHECK(same_bits(product(n.arithmetic, a, b, Shape::full, backend).flat(), expected.flat()));
      }
    }
}

TEST_CASE("gemm: sums of sums of every shape have the bits of the naive loop", "[arith][gemm]") {
  std::uint32_t seed = 9500;
  for (const Named& n : sums_of_sums())
    for (const std::size_t rows : {1U, 7U, 13U})
      for (const Shape shape : {Shape(Shape::full), Shape(Shape::lower_output),
                                Shape(Shape::lower_operand), Shape{Shape::lower_operand, 3}}) {
        Matrix<double> a = matrix(rows, 17, Data::ordinary, ++seed);
        const Matrix<double> b = matrix(17, 70, Data::ties, ++seed);
        if (shape.kind == Shape::lower_operand)
          for (std::size_t i = 0; i < rows; ++i)
            for (std::size_t k = shape.first_row + i + 1; k < 17; ++k) a(i, k) = nan;  // never read
        const Matrix<double> expected = product(n.arithmetic, a, b, shape, Backend::scalar);
        INFO(n.name << ", " << rows << " rows, shape " << static_cast<int>(shape.kind) << " from "
                    << shape.first_row);
        for (const Backend backend : vector_backends()) {
          INFO("backend " << name_in(backend_names, backend));
          CHECK(same_bits(product(n.arithmetic, a, b, shape, backend).flat(), expected.flat()));
        }
      }
}

TEST_CASE("gemm: which specifications have kernels of sums of products that are rounded alone",
          "[arith][gemm]") {
  using namespace gemm_detail;  // NOLINT: the kernels' own words
  for (const Backend backend : {Backend::avx2, Backend::avx512}) {
    if (!available(backend)) continue;
    const KernelSet set = kernel_set(backend);
    for (const Summation summation : {Summation::alone, Summation::kahan, Summation::neumaier}) {
      const auto in_lanes = [&](const MacSpec& mac) {
        return summation32(mac, summation, set).has_value();
      };
      CHECK(in_lanes({}));
      CHECK(in_lanes({.product = binary32}));
      CHECK(in_lanes(lamp_paper(7).mac));
      CHECK(in_lanes({.product = binary32, .via = binary32, .format = ps(7)}));
      CHECK(in_lanes(fused(ps(7)).mac));
      // Its steps need one rounding to nearest, its lone additions one to odd.
      CHECK_FALSE(in_lanes({.product = ps(7), .format = ps(7)}));
      CHECK(summation64(fused(binary64).mac, summation, set));
    }
  }
}

TEST_CASE("gemm: the processor rounds to nearest after products in every mode", "[arith][gemm]") {
  const Matrix<double> a = matrix(9, 14, Data::ordinary, 1), b = matrix(14, 40, Data::ordinary, 2);
  for (const Rounding mode :
       {Rounding::rne, Rounding::rtz, Rounding::rtp, Rounding::rtn, Rounding::rto})
    for (const char* order : {"sequential", "pairwise:4", "kahan"})
      for (const Backend backend : vector_backends()) {
        static_cast<void>(product(
            {.mac = {.format = ps(7), .rounding = mode}, .order = parse_order(order).value()}, a, b,
            Shape::full, backend));
        CHECK(std::fegetround() == FE_TONEAREST);
      }
}

TEST_CASE("gemm_of_marked: marked entries have the bits of the product, few others are evaluated",
          "[arith][gemm]") {
  constexpr std::size_t m = 43, k = 14, n = 70, panel = PackedMatrix::panel_cols;
  std::uint32_t seed = 5000;
  for (const Named& named : arithmetics()) {
    for (const Data data : {Data::ordinary, Data::all_exponents, Data::binary64_numbers}) {
      Matrix<double> a = matrix(m, k, Data::ordinary, ++seed);
      const Matrix<double> others = matrix(m, k, data, ++seed);
      const Data kind = seed % 2 == 0 ? Data::ordinary : data;
      const Matrix<double> b = matrix(k, n, kind, ++seed);
      for (std::size_t i = 0; i < m; ++i)  // which the guard of a kernel judges apart
        if (i / 8 % 2 == 1) std::copy_n(others.row(i).begin(), k, a.row(i).begin());
      test::Random random(seed);
      Matrix<std::uint8_t> marks(m, n);
      for (std::size_t i = 0; i < m; ++i)  // none in the last panel
        for (std::size_t j = 0; j < 2 * panel; ++j) marks(i, j) = random.below(40) == 0 ? 1 : 0;
      const PackedMatrix packed(b.view());
      std::vector<Backend> backends = vector_backends();
      backends.push_back(Backend::scalar);
      for (const Backend backend : backends) {
        INFO(named.name << ", backend " << name_in(backend_names, backend) << ", seed " << seed);
        const Matrix<double> expected = product(named.arithmetic, a, b, Shape::full, backend);
        Matrix<double> out(m, n, unwritten);
        const Evaluation how = gemm_of_marked(named.arithmetic, a.view(), packed,
                                              std::as_const(marks).view(), out.view(), backend);
        const bool tiles = how == Evaluation::kernel32 || how == Evaluation::kernel64;
        std::size_t wrong = 0, needless = 0;
        for (std::size_t i = 0; i < m; ++i)
          for (std::size_t j = 0; j < n; ++j) {
            const std::size_t j0 = j / panel * panel;
            const std::span<const std::uint8_t> beside =
                std::as_const(marks).row(i).subspan(j0, std::min(panel, n - j0));
            const bool wanted = std::find(beside.begin(), beside.end(), 1) != beside.end();
            wrong += marks(i, j) != 0 && !same_bits(out(i, j), expected(i, j)) ? 1 : 0;
            needless += tiles && !wanted && !same_bits(out(i, j), unwritten) ? 1 : 0;
          }
        CHECK(wrong == 0);
        CHECK(needless == 0);
      }
    }
  }
}

TEST_CASE("gemm: an empty sum is +0", "[arith][gemm]") {
  for (const Backend backend : {Backend::scalar, Backend::automatic}) {
    const Matrix<double> out =
        product(lamp_paper(7), Matrix<double>(2, 0), Matrix<double>(0, 3), Shape::full, backend);
    for (const double value : out.flat()) CHECK(same_bits(value, 0.0));
  }
}

TEST_CASE("gemm: slices, transposes and prepared matrices are the same product", "[arith][gemm]") {
  const Matrix<double> wide = matrix(19, 50, Data::ordinary, 7),
                       weights = matrix(45, 12, Data::ordinary, 8);
  const MatrixView<const double> a = wide.view().columns(5, 12), b = weights.view().transposed();
  Matrix<double> a_copy(19, 12), b_copy(12, 45);
  for (std::size_t i = 0; i < 19; ++i)
    for (std::size_t k = 0; k < 12; ++k) a_copy(i, k) = a(i, k);
  for (std::size_t k = 0; k < 12; ++k)
    for (std::size_t j = 0; j < 45; ++j) b_copy(k, j) = b(k, j);
  for (const Arithmetic& arithmetic : {lamp_paper(4), fused(binary64), fused(binary16)}) {
    const Matrix<double> expected = oracle(arithmetic, a_copy, b_copy, Shape::full);
    Matrix<double> large(19, 60, unwritten), across(45, 19, unwritten);
    gemm(arithmetic, a, b, large.view().columns(10, 45));
    gemm(arithmetic, a, PackedMatrix(b), across.view().transposed());
    bool equal = true, untouched = true;
    for (std::size_t i = 0; i < 19; ++i) {
      for (std::size_t j = 0; j < 45; ++j)
        equal = equal && same_bits(large(i, 10 + j), expected(i, j)) &&
                same_bits(across(j, i), expected(i, j));
      for (const std::size_t j : {0U, 9U, 55U, 59U})
        untouched = untouched && large(i, j) == unwritten;
    }
    CHECK(equal);
    CHECK(untouched);
    // a transposed left operand: its rows are strided
    const Matrix<double> rows = oracle(arithmetic, weights, b_copy, Shape::full);
    Matrix<double> out(45, 45);
    gemm(arithmetic, b_copy.view().transposed(), b, out.view());
    CHECK(same_bits(out.flat(), rows.flat()));
  }
  const PackedMatrix packed(b);
  CHECK(packed.is_binary32());
  CHECK(packed.at(11, 44) == b(11, 44));
  CHECK_FALSE(PackedMatrix(matrix(3, 3, Data::binary64_numbers, 9).view()).is_binary32());
}

TEST_CASE(
    "gemm: NaN and infinities are binary32 numbers; so are those that only another format rounds",
    "[arith][gemm]") {
  Matrix<double> x(5, 40, 1.0);
  x(1, 3) = nan, x(4, 39) = -infinity, x(2, 20) = -0.0;
  CHECK(PackedMatrix(x.view()).is_binary32());
  x(4, 38) = 0x1.0000000000001p0;
  CHECK_FALSE(PackedMatrix(x.view()).is_binary32());
}

TEST_CASE("gemm: which specifications have a kernel", "[arith][gemm]") {
  using namespace gemm_detail;  // NOLINT: the kernels' own words
  for (const Backend backend : {Backend::avx2, Backend::avx512}) {
    if (!available(backend)) continue;
    const KernelSet set = kernel_set(backend);
    for (int mu = 1; mu <= 23; ++mu) {
      const auto plan = plan32(lamp_paper(mu).mac, set);
      REQUIRE(plan);
      CHECK((plan->guarded_kernel != nullptr) == (mu <= 22));
    }
    CHECK(plan64(fused(binary64).mac, false, set));
    for (const FloatFormat& format : {binary32, binary16, bfloat16, e4m3, e4m3fn, e2m1fn}) {
      CHECK(plan64(fused(format).mac, true, set));
      CHECK(plan64({.product = format, .format = format}, true, set));
      CHECK(plan64(fused(format).mac, false, set));
      CHECK(plan32(fused(format).mac, set));
      if (format == binary32) continue;
      for (const MacSpec& mac : {MacSpec{.operands = format, .product = format, .format = format},
                                 MacSpec{.operands = format, .format = format}}) {
        const auto plan = plan32(mac, set);
        REQUIRE(plan);
        // A sum to odd of bfloat16 has none.
        CHECK((plan->guarded_kernel != nullptr) == (format != bfloat16 || mac.product));
      }
    }
    for (const Rounding mode :
         {Rounding::rne, Rounding::rtz, Rounding::rtp, Rounding::rtn, Rounding::rto, Rounding::rna})
      CHECK(plan32({.format = ps(21), .rounding = mode}, set));
    // Its products overflow before its sums do.
    CHECK(plan32({.product = e4m3, .format = e5m2}, set)->guarded_kernel == nullptr);
    CHECK_FALSE(plan64({.format = binary16, .rounding = Rounding::rtz}, true, set));
    CHECK_FALSE(
        plan64({.format = {.p = 8, .emin = -14, .emax = 15, .subnormals = false}}, true, set));
    CHECK_FALSE(plan64({.via = binary16, .format = binary64}, true, set));
  }
}

TEST_CASE("gemm: one row of several panels has the bits of the naive loop", "[arith][gemm]") {
  std::uint32_t seed = 4000;
  for (const Named& n : arithmetics())
    for (const std::size_t columns : {127U, 128U, 129U, 300U}) {
      const std::size_t terms = seed % 5 == 0 ? 0 : 11;
      const Data data = all_data[seed % std::size(all_data)];
      const Matrix<double> a = matrix(1, terms, Data::ordinary, ++seed);
      Matrix<double> b = matrix(terms, columns, data, ++seed);
      if (terms > 0 && columns > 127 && seed % 3 == 0) b(5, 97) = infinity;  // one panel of four
      for (const Shape shape :
           {Shape(Shape::full), Shape(Shape::lower_output, 120), Shape(Shape::lower_operand, 6)}) {
        const Matrix<double> expected = product(n.arithmetic, a, b, shape, Backend::scalar);
        INFO(n.name << ", " << columns << " columns, " << terms << " terms");
        for (const Backend backend : vector_backends())
          CHECK(same_bits(product(n.arithmetic, a, b, shape, backend).flat(), expected.flat()));
      }
    }
}

TEST_CASE("gemm: calls from several threads do not meet", "[arith][gemm]") {
  std::vector<int> good(4, 0);
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([t, &good] {
      bool equal = true;
      for (std::uint32_t round = 0; round < 10; ++round) {
        const Matrix<double> a = matrix(5 + 9 * t, 20 + round, Data::ordinary, 100 + t),
                             b = matrix(20 + round, 30 + t, Data::ordinary, round);
        const Arithmetic arithmetic = round % 2 == 0 ? lamp_paper(5) : fused(binary64);
        equal =
            equal && same_bits(product(arithmetic, a, b, Shape::full, Backend::automatic).flat(),
                               product(arithmetic, a, b, Shape::full, Backend::scalar).flat());
      }
      good[t] = equal ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(good == std::vector<int>(4, 1));
}

// Negative controls.

TEST_CASE("gemm: one ulp in one output is seen", "[arith][gemm]") {
  const Matrix<double> a = matrix(3, 14, Data::ordinary, 1), b = matrix(14, 7, Data::ordinary, 2);
  Matrix<double> out = product(lamp_paper(7), a, b, Shape::full, Backend::automatic);
  const Matrix<double> expected = oracle(lamp_paper(7), a, b, Shape::full);
  CHECK(same_bits(out.flat(), expected.flat()));
  out(2, 6) = test::off_by_one_bit(out(2, 6));
  CHECK_FALSE(same_bits(out.flat(), expected.flat()));
}

MagnitudeRange range_of(const Matrix<double>& x) {
  MagnitudeRange range;
  std::vector<float> y(x.flat().size());
  CHECK(
      gemm_detail::kernel_set(Backend::scalar).narrow(x.flat().data(), y.size(), y.data(), range));
  return range;
}

/// One product of 1 x k and k x panel_cols by a kernel of one shape, whatever the guard would say.
std::vector<double> forced(Backend backend, gemm_detail::StepShape shape, const FloatFormat& format,
                           const Matrix<double>& a, const Matrix<double>& b) {
  using namespace gemm_detail;  // NOLINT: the kernels' own words
  std::vector<float> row(a.flat().begin(), a.flat().end()),
      columns(b.flat().begin(), b.flat().end()), c(panel_cols);
  Tile<float> tile;
  tile.a[0] = row.data(), tile.steps[0] = a.cols(), tile.rows = 1, tile.b = columns.data(),
  tile.c = c.data();
  tile.constants.format = target32(format);
  kernel_set(backend).kernel32(shape)(tile);
  return {c.begin(), c.end()};
}

TEST_CASE(
    "gemm: where the guard refuses, the fast rounding gives other bits and the slower one does not",
    "[arith][gemm]") {
  using namespace gemm_detail;  // NOLINT: the kernels' own words
  constexpr StepShape normal{.round = Round::normal}, integer{.round = Round::integer};
  for (const Backend backend : {Backend::avx2, Backend::avx512}) {
    if (!available(backend)) continue;
    const auto passes = [plan = plan32(lamp_paper(7).mac, kernel_set(backend))](MagnitudeRange x,
                                                                                MagnitudeRange y) {
      return holds(plan->guard, x, y);
    };
    // Sums through subnormals; sums at 2^127; a -0 from underflow; an infinity. Each k = 2: a = (x,
    // y), b = (1, 1).
    constexpr double cases[][2] = {
        {0x1.ffffp-127, 0.0}, {0x1.fep+127, 0x1p+110}, {-0x1p-149, 0.0}, {infinity, 1.0}};
    for (const auto& x : cases) {
      Matrix<double> a(1, 2);
      a(0, 0) = x[0], a(0, 1) = x[1];
      const Matrix<double> b(2, panel_cols, 1.0);
      const Matrix<double> expected = oracle(lamp_paper(7), a, b, Shape::full);
      INFO("first term " << x[0]);
      CHECK_FALSE(passes(range_of(a), range_of(b)));
      CHECK_FALSE(same_bits(forced(backend, normal, ps(7), a, b), expected.flat()));
      CHECK(same_bits(forced(backend, integer, ps(7), a, b), expected.flat()));
      CHECK(same_bits(product(lamp_paper(7), a, b, Shape::full, backend).flat(), expected.flat()));
    }
    const Matrix<double> a = matrix(1, 30, Data::ordinary, 3),
                         b = matrix(30, panel_cols, Data::ordinary, 4);
    CHECK(passes(range_of(a), range_of(b)));
    CHECK(same_bits(forced(backend, normal, ps(7), a, b),
                    oracle(lamp_paper(7), a, b, Shape::full).flat()));

    // 2^15 + 2^15 + 2^14 is beyond binary16, whose largest is an infinity, and e5m2, 2^7 + 2^7 and
    // more beyond e4m3.
    for (const FloatFormat& format : {binary16, e5m2, e4m3}) {
      Matrix<double> large(1, 3, pow2(format.emax));
      large(0, 2) = pow2(format.emax - 1);
      const Matrix<double> ones(3, panel_cols, 1.0);
      const auto by = [&](Round round) {
        return forced(backend, {.sum = Sum::odd, .round = round}, format, large, ones);
      };
      const std::vector<double> expected(panel_cols, infinity);
      CHECK(same_bits(by(Round::full), expected));
      CHECK_FALSE(same_bits(by(Round::bounded), expected));
      CHECK_FALSE(holds(plan32(fused(format).mac, kernel_set(backend))->guard, range_of(large),
                        range_of(ones)));
    }
  }
}

TEST_CASE("gemm: guards at their limits: smallest and largest operands they let through",
          "[arith][gemm]") {
  using namespace gemm_detail;  // NOLINT: the kernels' own words
  struct Guarded {
    Arithmetic arithmetic;
    int bits;  // of operands
  };
  std::vector<Guarded> all{{lamp_paper(1), 24}, {lamp_paper(7), 24}, {lamp_paper(22), 24}};
  for (const FloatFormat& f : {bfloat16, binary16, e4m3, e4m3fn, e5m2}) {
    all.push_back({{.mac = {.operands = f, .product = f, .format = f}, .order = {}}, f.p});
    if (f == bfloat16) continue;
    all.push_back({{.mac = {.via = binary32, .format = f}, .order = {}}, 24});
    all.push_back({fused(f), 24});
  }
  std::uint32_t seed = 77;
  for (const Guarded& g : all)
    for (const Backend backend : {Backend::avx2, Backend::avx512}) {
      if (!available(backend)) continue;
      const auto plan = plan32(g.arithmetic.mac, kernel_set(backend));
      REQUIRE(plan);
      REQUIRE(plan->guarded_kernel != nullptr);
      INFO("p " << g.arithmetic.mac.format.p << ", emax " << g.arithmetic.mac.format.emax);
      const auto same = [&](const Matrix<double>& a, const Matrix<double>& b) {
        const auto by = [&](Backend which) {
          return product(g.arithmetic, a, b, Shape::full, which);
        };
        return same_bits(by(backend).flat(), by(Backend::scalar).flat());
      };
      Random random(seed++);
      const int top = std::ilogb(plan->guard.largest), half = top / 2;
      // Terms of one sign: sums stagnate at the bound.
      const std::size_t terms = std::size_t{3} << std::min(g.arithmetic.mac.format.p, 11);
      const Matrix<double> a(3, terms, std::ldexp(1.0, half));
      Matrix<double> b(terms, 33, std::ldexp(1.0, top - half));
      CHECK(holds(plan->guard, range_of(a), range_of(b)));
      CHECK(same(a, b));
      for (double& value : b.flat())
        if (random.below(2) == 0)
          value = std::abs(random.with_exponent(top - half - 2, top - half - 1, g.bits));
      CHECK(same(a, b));
      b(terms / 2, 32) = std::ldexp(0x1.000002p0, top - half);
      CHECK_FALSE(holds(plan->guard, range_of(a), range_of(b)));
      CHECK(same(a, b));
      if (plan->guard.lowest == std::numeric_limits<int>::min()) continue;
      Matrix<double> small(4, 60), smaller(60, 40);
      for (double& value : small.flat()) value = random.with_exponent(-40, -38, g.bits);
      for (double& value : smaller.flat()) value = random.with_exponent(-40, -38, g.bits);
      small(0, 0) = smaller(0, 0) = 0x1p-40;
      CHECK(holds(plan->guard, range_of(small), range_of(smaller)));
      CHECK(same(small, smaller));
      small(0, 0) = 0x1p-41;
      CHECK_FALSE(holds(plan->guard, range_of(small), range_of(smaller)));
    }
}

TEST_CASE("gemm: a product beside a tie is rounded once", "[arith][gemm]") {
  const Arithmetic arithmetic{.mac = {.product = ps(7), .format = ps(7)}, .order = {}};
  Random random(5);
  int tied = 0;
  for (int trial = 0; trial < 50; ++trial) {
    const Matrix<double> a(1, 1, random.with_exponent(-3, 3, 24));
    Matrix<double> b(1, 33);
    for (double& value : b.flat())
      value = round((1.0 + 0x1p-8) * random.between(1, 9) / a(0, 0), binary32);
    const Matrix<double> expected = oracle(arithmetic, a, b, Shape::full);
    for (std::size_t j = 0; j < b.cols(); ++j)
      tied += expected(0, j) != round(round(a(0, 0) * b(0, j), binary32), ps(7)) ? 1 : 0;
    for (const Backend backend : vector_backends())
      CHECK(same_bits(product(arithmetic, a, b, Shape::full, backend).flat(), expected.flat()));
  }
  CHECK(tied > 100);
}

TEST_CASE("gemm: a guard is of all rows of a tile, and of sums from +0", "[arith][gemm]") {
  // 8 + .. + 8 stays at 128 in e4m3. 128 + 112 is its largest number, after which 8 more is none.
  std::string text = "fused-tree:(((";
  for (int k = 0; k < 31; ++k)
    text += (k == 16 ? ") (" : k == 30 ? ")) " : " ") + std::to_string(k);
  Arithmetic arithmetic = fused(e4m3);
  arithmetic.order = parse_order(text + ")").value();
  const Matrix<double> a(1, 31, 8.0), b(31, 3, 1.0);
  for (const Backend backend : vector_backends())
    CHECK(same_bits(product(arithmetic, a, b, Shape::full, backend).flat(),
                    std::vector<double>(3, infinity)));

  arithmetic.order = parse_order("lanes:2").value();
  Matrix<double> rows(17, 8, 1.0);
  for (std::size_t k = 0; k < 8; ++k) rows(0, k) = k % 2 == 0 ? 128.0 : -128.0;
  const Matrix<double> ones(8, 3, 1.0);
  Matrix<std::uint8_t> marks(17, 3);
  marks(0, 1) = marks(16, 1) = 1;
  for (const Backend backend : vector_backends()) {
    Matrix<double> out(17, 3);
    gemm_of_marked(arithmetic, rows.view(), PackedMatrix(ones.view()), marks.view(), out.view(),
                   backend);
    CHECK(std::isnan(out(0, 1)));  // the difference of two infinite sums
    CHECK(out(16, 1) == 8.0);
  }
}

TEST_CASE("gemm: one term is a rounding, at every binary32 number", "[arith][gemm][exhaustive]") {
  constexpr std::size_t count = std::size_t{1} << 16;
  const Matrix<double> one(1, 1, 1.0);
  const Arithmetic both{.mac = {.product = bfloat16, .format = bfloat16}, .order = {}};
  for (const Arithmetic& arithmetic : {lamp_paper(7), fused(binary16), fused(e4m3fn), both}) {
    std::size_t wrong = 0;
    Matrix<double> x(1, count), rounded(1, count), out(1, count);
    for (std::uint32_t high = 0; high < count; ++high) {
      for (std::uint32_t low = 0; low < count; ++low) {
        x(0, low) = static_cast<double>(std::bit_cast<float>(high << 16 | low));
        const auto fl = [&](double y) { return round(y, arithmetic.mac.format); };
        rounded(0, low) = arithmetic.mac.product ? fl(fl(x(0, low)) + 0.0) : fl(x(0, low) + 0.0);
      }
      for (const Backend backend : {Backend::avx2, Backend::avx512}) {
        if (!available(backend)) continue;
        gemm(arithmetic, one.view(), x.view(), out.view(), Shape::full, backend);
        for (std::size_t j = 0; j < count; ++j)
          if (!same_bits(out(0, j), rounded(0, j))) ++wrong;
      }
    }
    CHECK(wrong == 0);
  }
}

}  // namespace
}  // namespace lamp
