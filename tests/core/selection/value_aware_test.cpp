// The rule value-aware: its keys by plain loops, its sets against every subset and every prefix,
// the same on every instruction set.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "core/fp/elementary.hpp"
#include "core/mpfr/kappa.hpp"
#include "core/selection/distances.hpp"
#include "core/selection/target.hpp"
#include "tests/core/selection/definition.hpp"
#include "tests/core/selection/only_targets.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random.hpp"

using namespace lamp;
using lamp::test::Marks;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

struct Row {
  std::vector<double> y, z, w;
  Matrix<double> v;  // (width, n)

  [[nodiscard]] SelectionRow view() const {
    return {.z = z, .y = y, .w = w, .row_length = z.size(), .v = v.view()};
  }
  [[nodiscard]] Marks select(SelectionSpec spec) const {
    spec.rule = rule_named("value-aware");
    SelectionScratch scratch;
    Marks marks(z.size(), 7);
    const std::size_t size = select_row(spec, targets::softmax, view(), {}, marks, scratch);
    CHECK(size == std::accumulate(marks.begin(), marks.end(), std::size_t{0}));
    return marks;
  }
};

/// Now and then z in eighths and values of -1 and 1: keys that tie.
Row random_row(test::Random& random, std::size_t n, std::size_t width) {
  Row row{.y = {}, .z = {}, .w = {}, .v = Matrix<double>(width, n)};
  const bool coarse = random.below(3) == 0;
  double sum = 0.0;
  for (std::size_t j = 0; j < n; ++j) {
    row.y.push_back(4.0 * random.symmetric());
    row.w.push_back(4.0 * random.uniform());
    sum += std::exp(row.y[j]);
  }
  for (const double y : row.y) row.z.push_back(coarse ? 0.125 : std::exp(y) / sum);
  for (double& value : row.v.flat()) {
    value = random.symmetric();
    if (coarse) value = value < 0.0 ? -1.0 : 1.0;
  }
  return row;
}

struct Distances {
  std::vector<double> o, to;
  double norm = 0.0;
};

/// method.md section 6, in its words.
Distances definition(const std::vector<double>& z, const Matrix<double>& v) {
  Distances d{.o = std::vector<double>(v.rows()), .to = std::vector<double>(z.size())};
  double square = 0.0;
  for (std::size_t c = 0; c < v.rows(); ++c) {
    for (std::size_t j = 0; j < z.size(); ++j) d.o[c] = std::fma(z[j], v(c, j), d.o[c]);
    square = std::fma(d.o[c], d.o[c], square);
  }
  d.norm = std::sqrt(square);
  for (std::size_t j = 0; j < z.size(); ++j) {
    for (std::size_t c = 0; c < v.rows(); ++c)
      d.to[j] = std::fma(v(c, j) - d.o[c], v(c, j) - d.o[c], d.to[j]);
    d.to[j] = std::sqrt(d.to[j]);
  }
  return d;
}

std::vector<test::wide> keys_of(const Row& row, ErrorWeights weights) {
  const Distances d = definition(row.z, row.v);
  std::vector<test::wide> keys;
  for (std::size_t j = 0; j < row.z.size(); ++j) {
    const double w = weights == ErrorWeights::absolute   ? 1.0
                     : weights == ErrorWeights::relative ? std::abs(row.y[j])
                                                         : row.w[j];
    keys.push_back(row.z.size() == 1 ? 0 : test::floor40((row.z[j] * d.to[j]) * w));
  }
  return keys;
}

test::wide left_out(const std::vector<test::wide>& keys, const Marks& marks) {
  test::wide sum = 0;
  for (std::size_t j = 0; j < keys.size(); ++j) sum += marks[j] == 0 ? keys[j] : 0;
  return sum;
}

/// Largest first, ties lower index first: the first `size`.
Marks prefix(const std::vector<test::wide>& keys, std::size_t size) {
  std::vector<std::size_t> order(keys.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return keys[a] > keys[b]; });
  Marks marks(keys.size(), 0);
  for (std::size_t i = 0; i < size; ++i) marks[order[i]] = 1;
  return marks;
}

}  // namespace

TEST_CASE("value-aware: distances have the bits of the definition on every instruction set",
          "[lamp][law]") {
  for (const std::int64_t target : test::targets()) {
    const test::OnlyTargets only(target);
    INFO(hwy::TargetName(target));
    test::Random random(1);
    for (int trial = 0; trial < 300; ++trial) {
      const std::size_t n = random.below(90), width = random.below(20);
      Row row = random_row(random, n, width + 1);
      if (trial % 5 == 0) row.v.flat()[random.below(static_cast<std::uint32_t>(width + 1))] = 1e300;
      const Distances expected = definition(row.z, row.v);
      Distances d{.o = std::vector<double>(width + 1, 7.0), .to = std::vector<double>(n, 7.0)};
      d.norm = distances_to_output(row.z, row.v.view(), d.o, d.to);
      REQUIRE(test::same_bits(std::span<const double>(d.o), std::span<const double>(expected.o)));
      REQUIRE(test::same_bits(std::span<const double>(d.to), std::span<const double>(expected.to)));
      REQUIRE(d.norm == expected.norm);
    }
  }
}

TEST_CASE("value-aware: a smallest set of all subsets, the largest keys first", "[lamp][law]") {
  test::Random random(2);
  std::size_t proper = 0;
  for (int trial = 0; trial < 400; ++trial) {
    const Row row = random_row(random, 1 + random.below(10), 1 + random.below(6));
    const std::size_t n = row.z.size();
    const auto weights = static_cast<ErrorWeights>(trial % 3);
    const double tau = 1.5 * random.uniform() * random.uniform();
    const std::vector<test::wide> keys = keys_of(row, weights);
    const test::wide most = test::ceil40(tau * definition(row.z, row.v).norm);
    const Marks marks = row.select({.weights = weights, .tau = tau});
    const auto size = static_cast<std::size_t>(std::count(marks.begin(), marks.end(), 1));
    std::size_t smallest = n;
    for (std::size_t subset = 0; subset < std::size_t{1} << n; ++subset) {
      Marks s(n);
      for (std::size_t j = 0; j < n; ++j) s[j] = static_cast<std::uint8_t>((subset >> j) & 1U);
      if (left_out(keys, s) <= most)
        smallest = std::min(smallest, static_cast<std::size_t>(std::count(s.begin(), s.end(), 1)));
    }
    CHECK(size == smallest);
    CHECK(left_out(keys, marks) <= most);
    CHECK(marks == prefix(keys, size));
    proper += size > 0 && size < n ? 1 : 0;
  }
  CHECK(proper > 100);
}

TEST_CASE("value-aware: long rows, by tau and by rate", "[lamp][law]") {
  test::Random random(3);
  for (int trial = 0; trial < 100; ++trial) {
    const Row row = random_row(random, 1 + random.below(300), 16);
    const auto weights = static_cast<ErrorWeights>(trial % 3);
    const std::vector<test::wide> keys = keys_of(row, weights);
    const double tau = random.uniform(), rate = random.uniform();
    const test::wide most = test::ceil40(tau * definition(row.z, row.v).norm);
    std::size_t size = 0;
    while (left_out(keys, prefix(keys, size)) > most) ++size;
    CHECK(row.select({.weights = weights, .tau = tau}) == prefix(keys, size));
    const auto share =
        static_cast<std::size_t>(std::ceil(rate * static_cast<double>(keys.size()) - 1e-9));
    CHECK(row.select({.weights = weights, .tau = std::nullopt, .rate = rate}) ==
          prefix(keys, share));
  }
}

TEST_CASE("value-aware: edges", "[lamp]") {
  const auto row_of = [](std::vector<double> z, std::vector<double> v) {
    const std::vector<double> y(z.size(), 1.0);
    Row row{.y = y, .z = std::move(z), .w = {}, .v = {}};
    row.v = Matrix<double>(1, v.size());
    std::copy(v.begin(), v.end(), row.v.flat().begin());
    return row;
  };
  const SelectionSpec none_left{.tau = 0.0}, all{.tau = std::nullopt, .rate = 1.0};
  // A row of one costs 0; equal values make every score harmless, whatever z.
  CHECK(row_of({1.0}, {3.0}).select(none_left) == Marks{0});
  CHECK(row_of({1.0}, {3.0}).select(all) == Marks{1});
  CHECK(row_of({0.25, 0.75}, {3.0, 3.0}).select(none_left) == Marks{0, 0});
  CHECK(row_of({}, {}).select(none_left).empty());
  // o = 0: nothing may be left that moves it; four keys of 1/4 tie.
  const std::vector<double> quarters(4, 0.25), signs{1.0, -1.0, 1.0, -1.0};
  CHECK(row_of(quarters, signs).select({.tau = 1e6}) == Marks{1, 1, 1, 1});
  CHECK(row_of(quarters, signs).select({.tau = std::nullopt, .rate = 0.5}) == Marks{1, 1, 0, 0});
  // o = 3/4, keys 1/16, 1/16, 1/16, 3/16: the odd value, though no score is more probable.
  CHECK(row_of({0.25, 0.25, 0.25, 0.25}, {1.0, 1.0, 1.0, 0.0}).select({.tau = 0.25}) ==
        Marks{0, 0, 0, 1});
  for (const double bad : {not_a_number, HUGE_VAL, -HUGE_VAL, 0x1p200}) {
    CHECK(row_of({0.5, 0.5}, {1.0, bad}).select({.tau = 1e6}) == Marks{1, 1});
    CHECK(row_of({0.5, 0.5}, {1.0, bad}).select({.tau = std::nullopt, .rate = 0.5}) == Marks{1, 1});
  }
  for (const double bad : {not_a_number, -0.5, 0x1p22})
    for (const double v : {0.0, 1.0})
      CHECK(row_of({0.5, bad}, {v, v}).select({.tau = 1e6}) == Marks{1, 1});
  // Values so large that norm2(o) overflows while every v_j - o is 0.
  CHECK(row_of({1.0, 0.0}, {0x1p1000, 0x1p1000}).select({.tau = 1.0}) == Marks{1, 1});
}

TEST_CASE("value-aware: keys to the last bit", "[lamp]") {
  test::Random random(4);
  std::size_t by_order = 0;  // rows in which z (distance w) would give another set
  for (int trial = 0; trial < 400; ++trial) {
    const double z = 0.3 + 0.2 * random.uniform(), v = 1.0 + random.uniform(),
                 w = 0x1p20 * (0.5 + 0.5 * random.uniform());
    Row row{.y = {0.0, 0.0}, .z = {z, z}, .w = {w, std::nextafter(w, HUGE_VAL)}, .v = {}};
    row.v = Matrix<double>(1, 2);
    row.v(0, 0) = v, row.v(0, 1) = -v;
    const Marks marks =
        row.select({.weights = ErrorWeights::dot, .tau = std::nullopt, .rate = 0.5});
    REQUIRE(marks == prefix(keys_of(row, ErrorWeights::dot), 1));
    const std::vector<double> to = definition(row.z, row.v).to;
    by_order += (z * (to[0] * row.w[0]) < z * (to[1] * row.w[1])) != (marks[1] == 1) ? 1 : 0;
  }
  CHECK(by_order > 20);
}

TEST_CASE("value-aware: an activation seen through the map after it", "[lamp][law]") {
  struct Case {
    const Target* target;
    Function phi;
  };
  constexpr std::array cases{
      Case{&targets::gelu_tanh, Function::gelu_tanh}, Case{&targets::gelu_erf, Function::gelu_erf},
      Case{&targets::silu, Function::silu}, Case{&targets::relu, Function::relu}};
  test::Random random(5);
  SelectionScratch scratch;
  std::size_t proper = 0;
  for (int trial = 0; trial < 300; ++trial) {
    const Case& of = cases[static_cast<std::size_t>(trial) % cases.size()];
    const std::size_t n = 1 + random.below(60);
    std::vector<double> y, z, w, columns;
    for (std::size_t j = 0; j < n; ++j) {
      y.push_back(trial % 7 == 0 && j == 0 ? 0.0 : 3.0 * random.symmetric());
      z.push_back(y[j] == 0.0 ? 0.0 : 2.0 * random.symmetric());  // phi(y) u: any number
      w.push_back(random.uniform());
      columns.push_back(random.uniform());
    }
    const double norm = 5.0 * random.uniform(), tau = random.uniform(), rate = random.uniform();
    for (const ErrorWeights weights :
         {ErrorWeights::absolute, ErrorWeights::relative, ErrorWeights::dot}) {
      std::vector<test::wide> keys;
      for (std::size_t j = 0; j < n; ++j) {
        const double w_j = weights == ErrorWeights::absolute ? 1.0 : w[j];
        const double kappa =
            std::min(0x1p22, weights == ErrorWeights::relative ? mpfr::relative_kappa(of.phi, y[j])
                                                               : mpfr::kappa(of.phi, y[j], w_j));
        const double units = std::floor(std::ldexp(kappa, 40));
        keys.push_back(test::floor40(std::ldexp(units, -40) * std::fabs(z[j]) * columns[j]));
      }
      const auto select = [&](SelectionSpec spec) {
        spec.rule = rule_named("value-aware"), spec.weights = weights;
        Marks marks(n, 7);
        REQUIRE(check(spec, *of.target).empty());
        select_row(spec, *of.target,
                   {.z = z, .y = y, .w = w, .column_norms = columns, .norm2 = norm}, {}, marks,
                   scratch);
        return marks;
      };
      std::size_t size = 0;
      while (left_out(keys, prefix(keys, size)) > test::ceil40(tau * norm)) ++size;
      CHECK(select({.tau = tau}) == prefix(keys, size));
      proper += size > 0 && size < n ? 1 : 0;
      const auto share = static_cast<std::size_t>(std::ceil(rate * static_cast<double>(n) - 1e-9));
      CHECK(select({.tau = std::nullopt, .rate = rate}) == prefix(keys, share));
    }
  }
  CHECK(proper > 200);
  const auto of_two = [&](double y, double z, double column, double norm, SelectionSpec spec) {
    spec.rule = rule_named("value-aware"), spec.weights = ErrorWeights::relative;
    const std::vector<double> ys{1.0, y}, zs{1.0, z}, columns{1.0, column};
    Marks marks(2);
    select_row(spec, targets::silu, {.z = zs, .y = ys, .column_norms = columns, .norm2 = norm}, {},
               marks, scratch);
    return marks;
  };
  const SelectionSpec half{.tau = std::nullopt, .rate = 0.5}, much{.tau = 1e6};
  for (const auto& [y, z, column] : {std::array{not_a_number, 1.0, 1.0},
                                     {1.0, not_a_number, 1.0},
                                     {1.0, 1.0, not_a_number},
                                     {1.0, HUGE_VAL, 0.0}})
    CHECK(of_two(y, z, column, 1.0, half) == Marks{1, 1});
  CHECK(of_two(1.0, HUGE_VAL, 1.0, 1.0, half) == Marks{0, 1});  // as large as a key can be
  for (const double norm : {not_a_number, HUGE_VAL})
    CHECK(of_two(1.0, 1.0, 1.0, norm, much) == Marks{1, 1});
  CHECK(of_two(1.0, 1.0, 1.0, 1.0, much) == Marks{0, 0});
  CHECK(of_two(1.0, 1.0, 1.0, 0.0, much) ==
        Marks{1, 1});  // what comes after is 0: nothing may be left
}

TEST_CASE("value-aware: norm and solver are not for it", "[lamp]") {
  const Rule* rule = rule_named("value-aware");
  CHECK(check({.rule = rule, .tau = 0.1}, targets::rms_norm).starts_with("rule: "));
  CHECK(check({.rule = rule, .norm = Norm::normwise1, .tau = 0.1}, targets::linear_map)
            .starts_with("norm: "));
  CHECK(check({.rule = rule, .tau = 0.1}).empty());
  CHECK(check({.rule = rule, .norm = Norm::normwise1, .tau = 0.1}).starts_with("norm: "));
  CHECK(check({.rule = rule, .solver = Solver::exact, .tau = 0.1}).starts_with("solver: "));
}
