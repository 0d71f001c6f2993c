// The targets of every f: against the second implementation (core/mpfr/selection), against all
// subsets and prefixes, and their costs against Jacobians by dual numbers.
#include "core/selection/target.hpp"

#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "analysis/oracle/dual.hpp"
#include "core/mpfr/kappa.hpp"
#include "core/mpfr/selection.hpp"
#include "core/selection/lamp.hpp"
#include "tests/core/selection/only_targets.hpp"
#include "tests/support/random.hpp"

using namespace lamp;

namespace {

using Marks = std::vector<std::uint8_t>;
using Dual = oracle::Dual<double>;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

struct Row {
  std::vector<double> y, z, g, w, columns;
  Matrix<double> matrix;
  double eps = 0.0, norm1 = 0.0;

  [[nodiscard]] SelectionRow view() const {
    return {.z = z,
            .y = y,
            .g = g,
            .w = w,
            .eps = eps,
            .columns = columns,
            .norm1 = norm1,
            .row_length = y.size()};
  }
};

/// What f needs beside y and w.
void complete(test::Random& random, const Target& target, Row& row) {
  const std::size_t n = row.y.size();
  if (&target == &targets::softmax) {
    double sum = 0.0;
    for (const double y : row.y) sum += row.z.emplace_back(std::exp(std::fmin(y, 30.0)));
    for (double& z : row.z) z /= sum;
  }
  if (&target == &targets::rms_norm || &target == &targets::layer_norm) {
    row.eps = random.below(3) == 0 ? 0.0 : 1e-5;
    if (random.below(2) == 0)
      for (std::size_t j = 0; j < n; ++j) row.g.push_back(row.y[j] * random.symmetric());
  }
  if (&target != &targets::linear_map) return;
  row.matrix = Matrix<double>(1 + random.below(5), n);
  row.columns.assign(n, 0.0);
  for (std::size_t i = 0; i < row.matrix.rows(); ++i) {
    double z = 0.0;
    for (std::size_t j = 0; j < n; ++j) {
      row.matrix(i, j) = random.below(4) == 0 ? 0.0 : random.symmetric();
      z = std::fma(row.matrix(i, j), row.y[j], z);
      row.columns[j] += std::fabs(row.matrix(i, j));
    }
    row.norm1 += std::fabs(z);
  }
}

/// kind 0: moderate numbers; 1: ties; 2: zeros; 3: numbers of all sizes; 4: infinities and NaN.
Row random_row(test::Random& random, const Target& target, std::size_t n, std::uint32_t kind) {
  Row row;
  const double spread = std::ldexp(1.0, random.between(-2, 4));
  for (std::size_t j = 0; j < n; ++j) {
    double y = spread * random.symmetric(), w = std::fabs(y) * (1.0 + random.uniform());
    if (kind == 1) y = std::round(y), w = std::round(w);
    if (kind == 2 && random.below(2) == 0) y = 0.0;
    if (kind == 2 && random.below(3) == 0) w = 0.0;
    if (kind == 3) {
      const int range = random.below(2) == 0 ? 1000 : 60;
      y = random.with_exponent(-range, range), w = std::fabs(random.with_exponent(-range, range));
    }
    if (kind == 4 && random.below(4) == 0)
      y = test::special_values[random.below(test::special_values.size())];
    if (kind == 4 && random.below(6) == 0)
      w = std::fabs(test::special_values[random.below(test::special_values.size())]);
    row.y.push_back(y), row.w.push_back(w);
  }
  complete(random, target, row);
  return row;
}

bool is_activation(const Target& target) {
  return target.function == "gelu_tanh" || target.function == "gelu_erf" ||
         target.function == "silu" || target.function == "relu";
}

/// Of those that the target takes.
SelectionSpec random_spec(test::Random& random, const Target& target) {
  while (true) {
    SelectionSpec spec;
    spec.weights = static_cast<ErrorWeights>(random.below(3));
    spec.norm = static_cast<Norm>(random.below(2));
    spec.solver = static_cast<Solver>(random.below(2));
    spec.tau = random.below(8) == 0   ? 0.0
               : random.below(3) == 0 ? std::ldexp(random.uniform(), random.between(-30, 12))
                                      : 2.5 * random.uniform();
    if (random.below(5) == 0) spec.tau.reset(), spec.rate = random.uniform();
    if (check(spec, target).empty()) return spec;
  }
}

Marks select(const SelectionSpec& spec, const Target& target, const Row& row) {
  static SelectionScratch scratch;
  Marks marks(row.y.size(), 7);
  const std::size_t size = select_row(spec, target, row.view(), {}, marks, scratch);
  REQUIRE(size == static_cast<std::size_t>(std::accumulate(marks.begin(), marks.end(), 0)));
  return marks;
}

std::string told(const std::vector<double>& values) {
  std::string text;
  for (const double x : values) text += std::to_string(x) + " ";
  return text;
}

/// |J_ij| w_j / |z_i| of a smooth f by dual numbers, and |J_ij| w_j where raw.
std::vector<std::vector<double>> costs_by_duals(
    const std::function<std::vector<Dual>(const std::vector<Dual>&)>& f,
    const std::vector<double>& y, const std::vector<double>& w, bool raw) {
  const std::size_t n = y.size();
  std::vector<std::vector<double>> costs;
  for (std::size_t j = 0; j < n; ++j) {
    std::vector<Dual> at(y.begin(), y.end());
    at[j].derivative = 1.0;
    const std::vector<Dual> z = f(at);
    costs.resize(z.size(), std::vector<double>(n));
    for (std::size_t i = 0; i < z.size(); ++i)
      costs[i][j] = std::fabs(z[i].derivative) * w[j] / (raw ? 1.0 : std::fabs(z[i].value));
  }
  return costs;
}

Dual phi(const Target& target, Dual x) {
  if (&target == &targets::silu) return x / (exp(-x) + 1.0);
  if (&target == &targets::gelu_tanh)
    return x / (exp(-(x + x * x * x * 0.044715) * (2.0 * std::sqrt(2.0 / 3.14159265358979323846))) +
                1.0);
  if (&target == &targets::gelu_erf)
    return x * oracle::Functions<Dual>::erfc(-x * std::sqrt(0.5)) * 0.5;
  return x > Dual(0.0) ? x : Dual(0.0);
}

std::vector<Dual> apply(const Target& target, const Row& row, const std::vector<Dual>& y) {
  const double n = static_cast<double>(y.size());
  std::vector<Dual> z = y;
  Dual mean = 0.0, square = 0.0;
  if (&target == &targets::layer_norm)
    for (const Dual& x : y) mean += x / Dual(n);
  for (Dual& x : z) x -= mean, square += x * x;
  const Dual scale = sqrt(square / Dual(n) + Dual(row.eps));
  for (Dual& x : z) x /= scale;
  if (&target != &targets::linear_map) return z;
  z.assign(row.matrix.rows(), Dual(0.0));
  for (std::size_t i = 0; i < z.size(); ++i)
    for (std::size_t j = 0; j < y.size(); ++j) z[i] += y[j] * Dual(row.matrix(i, j));
  return z;
}

}  // namespace

TEST_CASE("targets: every f like the second implementation, on every instruction set",
          "[lamp][law]") {
  std::size_t partial = 0, refused = 0;
  std::uint32_t seed = 21;  // other rows on each
  for (const std::int64_t instructions : test::targets()) {
    const test::OnlyTargets only(instructions);
    test::Random random(seed++);
    for (const Target* target : all_targets) {
      const bool cubic = target == &targets::layer_norm;
      for (std::uint32_t trial = 0; trial < (cubic ? 80U : 320U); ++trial) {
        const std::size_t n =
            trial % 10 == 0 ? 1 + random.below(cubic ? 24 : 60) : 1 + random.below(9);
        const Row row = random_row(random, *target, n, trial % 5);
        const SelectionSpec spec = random_spec(random, *target);
        INFO(hwy::TargetName(instructions)
             << " " << target->function << " trial " << trial << " weights "
             << name_in(error_weights_names, spec.weights) << " norm "
             << name_in(norm_names, spec.norm) << " solver " << name_in(solver_names, spec.solver)
             << " tau " << spec.tau.value_or(-1.0) << " eps " << row.eps << " y " << told(row.y)
             << " w " << told(row.w) << " g " << told(row.g));
        const mpfr::Selected expected = mpfr::select(target->function, spec, row.view());
        const Marks marks = select(spec, *target, row);
        REQUIRE(marks == expected.marks);
        REQUIRE(cost_of_set(spec, *target, row.view(), marks) == expected.cost);
        SelectionScratch scratch;  // after another row
        scratch.likely_cut = std::uint64_t{random.word()} << random.below(32);
        Marks after(n);
        select_lamp(spec, *target, row.view(), after, scratch);
        REQUIRE(after == marks);
        Marks any(n);
        for (auto& mark : any) mark = static_cast<std::uint8_t>(random.below(2));
        if (trial % 4 == 0)
          REQUIRE(cost_of_set(spec, *target, row.view(), any) ==
                  mpfr::cost_of_set(target->function, spec, row.view(), any));
        const int size = std::accumulate(marks.begin(), marks.end(), 0);
        partial += size > 0 && size < static_cast<int>(n) ? 1 : 0;
        refused += expected.cost == infinity ? 1 : 0;
      }
    }
  }
  CHECK(partial > 800);
  CHECK(refused > 100);
}

TEST_CASE("targets: rows that are summed together have the bits of each alone", "[lamp][law]") {
  std::uint32_t seed = 31;
  for (const std::int64_t instructions : test::targets()) {
    const test::OnlyTargets only(instructions);
    test::Random random(seed++);
    const auto same = [](double x, double y) {
      return std::bit_cast<std::uint64_t>(x) == std::bit_cast<std::uint64_t>(y) ||
             (std::isnan(x) && std::isnan(y));
    };
    const auto about_zero = [](const std::vector<double>& row) {
      RowSums sums;
      for (const double y : row)
        sums.squares = std::fma(y, y, sums.squares), sums.magnitudes += std::fabs(y);
      return sums;
    };
    const auto about_mean = [](const std::vector<double>& row) {
      RowSums sums;
      for (const double y : row) sums.total += y;
      const double mean = sums.total / static_cast<double>(row.size());
      for (const double y : row) sums.squares = std::fma(y - mean, y - mean, sums.squares);
      return sums;
    };
    for (const Target* norm : {&targets::rms_norm, &targets::layer_norm})
      for (std::size_t count = 0; count < 20; ++count) {
        const std::size_t n = count == 7 ? 0 : 1 + random.below(40);
        std::vector<Row> made;
        std::vector<SelectionRow> rows;
        for (std::size_t i = 0; i < count; ++i) {
          made.push_back(n == 0 ? Row{}
                                : random_row(random, *norm, n, static_cast<std::uint32_t>(i) % 5));
          if (i == 3 && n > 0) made[i].y[n / 2] = infinity;
          if (i == 11 && n > 0) made[i].y.assign(n, -0.0);
        }
        for (const Row& row : made) rows.push_back(row.view());
        norm->prepare(rows);
        for (std::size_t i = 0; i < count; ++i) {
          const RowSums sums =
              norm == &targets::rms_norm ? about_zero(made[i].y) : about_mean(made[i].y);
          REQUIRE(rows[i].sums.has_value());
          CHECK(same(rows[i].sums->squares, sums.squares));
          CHECK(same(rows[i].sums->magnitudes, sums.magnitudes));
          CHECK(same(rows[i].sums->total, sums.total));
          const SelectionSpec spec = random_spec(random, *norm);
          Marks marks(n);
          SelectionScratch scratch;
          select_lamp(spec, *norm, rows[i], marks, scratch);
          CHECK(marks == select(spec, *norm, made[i]));
        }
      }
  }
}

TEST_CASE("targets: over all subsets and prefixes", "[lamp][law]") {
  test::Random random(22);
  int better = 0;
  for (const Target* target : all_targets)
    for (int trial = 0; trial < 120; ++trial) {
      const std::size_t n = 1 + random.below(trial % 10 == 0 ? 10 : 6);
      const Row row = random_row(random, *target, n, static_cast<std::uint32_t>(trial) % 3);
      SelectionSpec spec = random_spec(random, *target);
      if (spec.rate) continue;
      const Marks marks = select(spec, *target, row);
      const double none = cost_of_set(spec, *target, row.view(), Marks(n, 0));
      if (none == infinity) continue;
      const double tau = std::ceil(std::ldexp(*spec.tau, 40)) * 0x1p-40;
      INFO(target->function << " trial " << trial << " tau " << tau << " y " << told(row.y) << " w "
                            << told(row.w) << " g " << told(row.g));
      REQUIRE(cost_of_set(spec, *target, row.view(), marks) <= tau);
      const int size = std::accumulate(marks.begin(), marks.end(), 0);
      const bool sums = spec.norm == Norm::normwise1 || is_activation(*target);
      int least = static_cast<int>(n);
      for (std::size_t subset = 0; subset < std::size_t{1} << n; ++subset) {
        Marks s(n);
        for (std::size_t j = 0; j < n; ++j) s[j] = static_cast<std::uint8_t>((subset >> j) & 1U);
        if (std::accumulate(s.begin(), s.end(), 0) < least &&
            cost_of_set(spec, *target, row.view(), s) <= tau)
          least = std::accumulate(s.begin(), s.end(), 0);
      }
      if (spec.solver == Solver::exact || sums)
        REQUIRE(size == least);
      else
        better += least < size ? 1 : 0;
      if (spec.solver == Solver::exact) continue;
      // the order by rates, and the first prefix that will do
      SelectionSpec prefix = spec;
      prefix.tau.reset();
      for (std::size_t k = 0; k <= n; ++k) {
        prefix.rate = static_cast<double>(k) / static_cast<double>(n);
        const Marks s = select(prefix, *target, row);
        const bool enough = cost_of_set(spec, *target, row.view(), s) <= tau;
        REQUIRE(enough == (k >= static_cast<std::size_t>(size)));
        if (k == static_cast<std::size_t>(size)) REQUIRE(s == marks);
      }
    }
  CHECK(better > 5);  // negative control: greedy would fail where exact is asked for
}

TEST_CASE("targets: costs are those of the Jacobian", "[lamp][law]") {
  test::Random random(23);
  for (const Target* target : all_targets) {
    if (target == &targets::softmax) continue;  // selection_test.cpp
    for (int trial = 0; trial < 60; ++trial) {
      const std::size_t n = 2 + random.below(8);
      const Row row = random_row(random, *target, n, 0);
      SelectionSpec spec = random_spec(random, *target);
      Marks s(n);
      for (auto& mark : s) mark = static_cast<std::uint8_t>(random.below(2));
      std::vector<double> w = row.w;
      for (std::size_t j = 0; j < n && spec.weights != ErrorWeights::dot; ++j)
        w[j] = spec.weights == ErrorWeights::absolute
                   ? 1.0
                   : std::fabs(row.g.empty() ? row.y[j] : row.g[j]);
      double expected = 0.0, scale = 1.0;
      if (is_activation(*target)) {
        for (std::size_t j = 0; j < n; ++j) {
          const Dual z = phi(*target, Dual(row.y[j], 1.0));
          const double kappa = z.value == 0.0 ? 0.0 : std::fabs(z.derivative / z.value) * w[j];
          if (s[j] == 0) expected = std::max(expected, kappa);
        }
      } else {
        const auto f = [&](const std::vector<Dual>& y) { return apply(*target, row, y); };
        const auto costs = costs_by_duals(f, row.y, w, spec.norm == Norm::normwise1);
        std::vector<double> sums;
        for (const auto& of_row : costs) {
          double sum = 0.0;
          for (std::size_t j = 0; j < n; ++j) sum += s[j] == 0 ? of_row[j] : 0.0;
          sums.push_back(sum);
        }
        expected = *std::max_element(sums.begin(), sums.end());
        if (spec.norm == Norm::normwise1) {
          scale = 0.0;
          for (const Dual& z : f({row.y.begin(), row.y.end()})) scale += std::fabs(z.value);
          expected = std::accumulate(sums.begin(), sums.end(), 0.0);
        }
      }
      INFO(target->function << " trial " << trial << " y " << told(row.y));
      CHECK(cost_of_set(spec, *target, row.view(), s) ==
            Approx(expected / scale).epsilon(1e-6).margin(1e-7));
    }
  }
}

TEST_CASE("targets: kappa where it is hard", "[lamp]") {
  CHECK(mpfr::kappa(Function::relu, 3.0, 1.0) == 0x1.555556p-2);  // 1/3 to 24 bits
  CHECK(mpfr::relative_kappa(Function::silu, 1e-300) == 1.0);     // 1 + y/2
  CHECK(mpfr::relative_kappa(Function::gelu_tanh, -2.0) ==
        static_cast<double>(3.7927261575688105F));
  // w/y half way between two numbers of 24 bits: h(y) > 0 decides, however small it is
  for (const Function phi : {Function::silu, Function::gelu_tanh, Function::gelu_erf})
    for (const double y : {64.0, 1024.0, 0x1p900})
      CHECK(mpfr::kappa(phi, y, (1.0 + 0x1p-24) * y) == 1.0 + 0x1p-23);
  CHECK(mpfr::kappa(Function::silu, -0x1p1000, 1.0 + 0x1p-24) == 1.0);  // w (1 - 1/|y|)
  CHECK(mpfr::kappa(Function::gelu_erf, -0x1p40, (1.0 + 0x1p-24) * 0x1p-40) == 1.0);
  CHECK(mpfr::kappa(Function::silu, -infinity, 0.75) == 0.75);
  CHECK(mpfr::kappa(Function::gelu_erf, -infinity, 1.0) == infinity);
  CHECK(mpfr::kappa(Function::gelu_erf, infinity, 1.0) == 0.0);
  for (const Function phi :
       {Function::silu, Function::gelu_tanh, Function::gelu_erf, Function::relu}) {
    CHECK(mpfr::relative_kappa(phi, 0.0) == 1.0);
    CHECK(mpfr::relative_kappa(phi, infinity) == 1.0);
    CHECK(mpfr::kappa(phi, 0.0, 1.0) == infinity);
    CHECK(std::isnan(mpfr::kappa(phi, not_a_number, 1.0)));
    CHECK(mpfr::kappa(phi, 1.0, 0.0) == 0.0);
  }
}

TEST_CASE("targets: keys of activations are the exact ones near every rounding boundary",
          "[lamp][law]") {
  // w so that kappa lies within a few units of binary64 of a number or a midpoint of 24 bits: only
  // the last step of Ziv's strategy tells. The cost of leaving one component out is its key.
  test::Random random(24);
  std::size_t beside = 0;
  for (const Target* target : {&targets::gelu_tanh, &targets::gelu_erf, &targets::silu})
    for (int trial = 0; trial < 400; ++trial) {
      const double y = random.symmetric() * 6.0;
      const Function phi = target == &targets::silu       ? Function::silu
                           : target == &targets::gelu_erf ? Function::gelu_erf
                                                          : Function::gelu_tanh;
      const Dual z = ::phi(*target, Dual(y, 1.0));
      const double aim = static_cast<double>((1U << 24) + 2 * random.below(1U << 20) + 1) * 0x1p-24;
      const double w = aim / std::fabs(z.derivative / z.value);
      if (!(w < 0x1p20)) continue;
      const std::size_t n = trial % 2 == 0 ? 1 : 8;  // by itself, or in whole vectors
      const Row row{.y = std::vector<double>(n, y),
                    .z = {},
                    .g = {},
                    .w = std::vector<double>(n, w),
                    .columns = {},
                    .matrix = {}};
      const double kappa = mpfr::kappa(phi, y, w), key = std::floor(kappa * 0x1p40) * 0x1p-40;
      SelectionSpec spec{.weights = ErrorWeights::dot, .tau = key};
      CHECK(cost_of_set(spec, *target, row.view(), Marks(n, 0)) == key);
      CHECK(select(spec, *target, row) == Marks(n, 0));
      spec.tau = key - 0x1p-40;
      CHECK(select(spec, *target, row) == Marks(n, 1));
      beside += std::fabs(kappa - aim) < 0x1p-23 ? 1 : 0;
    }
  CHECK(beside > 1000);
}

TEST_CASE("targets: activations of all sizes, tau the key of one of them", "[lamp][law]") {
  test::Random random(29);
  const auto number = [&] {
    const int exponent = random.below(2) == 0 ? static_cast<int>(random.below(12)) - 3
                                              : static_cast<int>(random.below(400)) - 250;
    return std::ldexp(random.symmetric(), exponent);
  };
  for (const Target* target :
       {&targets::gelu_tanh, &targets::gelu_erf, &targets::silu, &targets::relu})
    for (int trial = 0; trial < 60; ++trial) {
      Row row{.y = {}, .z = {}, .g = {}, .w = {}, .columns = {}, .matrix = {}};
      for (std::size_t j = 0; j < 19; ++j)
        row.y.push_back(number()), row.w.push_back(std::fabs(number()));
      SelectionSpec spec{.weights = static_cast<ErrorWeights>(trial % 3)};
      Marks but_one(19, 1);
      but_one[random.below(19)] = 0;
      spec.tau = std::min(cost_of_set(spec, *target, row.view(), but_one), 0x1p22 - 0x1p-30);
      INFO(target->function << " trial " << trial << " tau " << *spec.tau << " y " << told(row.y)
                            << " w " << told(row.w));
      const Marks expected = mpfr::select(target->function, spec, row.view()).marks;
      for (const std::int64_t instructions : test::targets()) {
        const test::OnlyTargets only(instructions);
        CHECK(select(spec, *target, row) == expected);
      }
    }
}

TEST_CASE("targets: LayerNorm normwise where components crowd, lie far out, or u_i u_j is near -1",
          "[lamp]") {
  test::Random random(26);
  for (int trial = 0; trial < 300; ++trial) {
    const std::size_t n = (trial % 3 == 0 ? 2 : 24) + 2 * random.below(12);
    std::vector<double> y;
    for (std::size_t j = 0; j < n; ++j) {
      const double sign = j % 2 == 0 ? 1.0 : -1.0;
      if (trial % 3 == 0) y.push_back(sign * (1.0 + 0x1p-53 * (random.below(17) - 8.0)));
      if (trial % 3 == 1) y.push_back(j == 0 ? 50.0 : random.symmetric());
      if (trial % 3 == 2) y.push_back(sign * (j % 4 < 2 ? 0.5 : 1.9364916731037085));
    }
    const Row row{.y = y,
                  .z = {},
                  .g = {},
                  .w = std::vector<double>(n, 0x1p20),
                  .columns = {},
                  .matrix = {},
                  .eps = 0.0};
    SelectionSpec spec{.norm = Norm::normwise1, .tau = 2.0 * random.uniform()};
    if (trial % 2 == 0)  // keys to the last bits of binary64
      spec.weights = ErrorWeights::dot, spec.tau = *spec.tau * 0x1p20;
    INFO("trial " << trial << " tau " << *spec.tau << " y " << told(row.y));
    const mpfr::Selected expected = mpfr::select("layernorm", spec, row.view());
    const Marks marks = select(spec, targets::layer_norm, row), none(n, 0);
    CHECK(marks == expected.marks);
    CHECK(cost_of_set(spec, targets::layer_norm, row.view(), none) ==
          mpfr::cost_of_set("layernorm", spec, row.view(), none));
  }
}

TEST_CASE("targets: a row of one, of zeros, and with NaN", "[lamp]") {
  const Row single{.y = {3.0},
                   .z = {},
                   .g = {},
                   .w = {},
                   .columns = {2.0},
                   .matrix = {},
                   .eps = 1e-5,
                   .norm1 = 6.0};
  CHECK(select({.tau = 1e-4}, targets::rms_norm, single) == Marks{0});  // J is eps/R
  CHECK(select({.tau = 0.0}, targets::layer_norm, single) == Marks{0});
  CHECK(select({.norm = Norm::normwise1, .tau = 0.25}, targets::linear_map, single) == Marks{1});
  CHECK(select({.norm = Norm::normwise1, .tau = 0.34}, targets::linear_map, single) == Marks{0});
  // y = (3, 0): row 1 has z = 0, whose relative error no error of it keeps small
  const Row zero{
      .y = {3.0, 0.0}, .z = {}, .g = {}, .w = {}, .columns = {}, .matrix = {}, .eps = 0.0};
  for (const Solver solver : {Solver::greedy, Solver::exact})
    CHECK(select({.weights = ErrorWeights::relative, .solver = solver, .tau = 1e-9},
                 targets::rms_norm, zero) == Marks{0, 0});
  CHECK(select({.solver = Solver::exact, .tau = 0.1}, targets::rms_norm, zero) == Marks{0, 1});
  CHECK(select({.solver = Solver::greedy, .tau = 0.1}, targets::rms_norm, zero) == Marks{1, 1});
  CHECK(cost_of_set({}, targets::rms_norm, zero.view(), Marks{0, 0}) == 0x1p22 + 1.0 / 3.0);
  for (const Target* target : all_targets) {
    test::Random random(25);
    Row row = random_row(random, *target, 9, 0);
    row.y[4] = not_a_number;
    if (target == &targets::softmax) row.z[4] = not_a_number;
    SelectionSpec spec{.norm = is_activation(*target) ? Norm::componentwise : Norm::normwise1,
                       .tau = 0x1p20};
    CHECK(select(spec, *target, row) == Marks(9, 1));
    CHECK(cost_of_set(spec, *target, row.view(), Marks(9, 0)) == infinity);
    CHECK(select(spec, *target, Row{}).empty());
  }
}

TEST_CASE("targets: what cannot be used is named", "[lamp]") {
  const auto refuses = [](const Target& target, const SelectionSpec& spec, const char* key) {
    return check(spec, target).rfind(key, 0) == 0;
  };
  const SelectionSpec normwise{.norm = Norm::normwise1}, exact{.solver = Solver::exact};
  for (const Target* target : all_targets) {
    const SelectionSpec fine = target == &targets::linear_map ? normwise : SelectionSpec{};
    CHECK(check(fine, *target).empty());
    SelectionSpec spec = fine;
    spec.tau = 0x1p22;
    CHECK(refuses(*target, spec, "tau: ") == (target != &targets::softmax));
    spec = fine, spec.mask = Mask::as_zero;
    CHECK(refuses(*target, spec, "mask: ") == (target != &targets::softmax));
    spec = fine, spec.rule = rule_named("page-bound");
    CHECK(refuses(*target, spec, "rule: ") == (target != &targets::softmax));
    CHECK(refuses(*target, normwise, "norm: ") == is_activation(*target));
    CHECK(refuses(*target, exact, "solver: ") ==
          (is_activation(*target) || target == &targets::layer_norm));
    spec = fine, spec.tau.reset();
    CHECK(refuses(*target, spec, "tau and rate: "));
  }
  CHECK(refuses(targets::linear_map, {}, "norm: "));
  CHECK(check({.norm = Norm::normwise1, .solver = Solver::exact}, targets::layer_norm).empty());
}
