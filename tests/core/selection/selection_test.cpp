// LAMP's sets against the definition (definition.hpp), and the laws that method.md section 6
// states.
#include "core/selection/lamp.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "tests/core/selection/definition.hpp"
#include "tests/core/selection/only_targets.hpp"
#include "tests/support/random.hpp"

using namespace lamp;
using lamp::test::Marks;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

struct Row {
  std::vector<double> y, z, w;
};

/// Scores of spread 2^-2 to 2^4, on a coarse grid now and then (ties), and their softmax, to a few
/// bits now and then.
Row random_row(test::Random& random, std::size_t n) {
  Row row;
  const double spread = std::ldexp(1.0, random.between(-2, 4));
  const bool coarse = random.below(3) == 0, short_z = random.below(3) == 0,
             zeros = random.below(8) == 0;
  double sum = 0.0;
  for (std::size_t j = 0; j < n; ++j) {
    double y = spread * random.symmetric();
    if (coarse) y = std::round(y);
    row.y.push_back(y);
    row.z.push_back(zeros && random.below(2) == 0 ? 0.0 : std::exp(y));
    row.w.push_back(std::fabs(y) * (1.0 + random.uniform()));
    sum += row.z.back();
  }
  for (double& z : row.z) {
    z = sum > 0.0 ? z / sum : 0.0;
    if (short_z)
      z = static_cast<double>(static_cast<float>(std::ldexp(std::round(std::ldexp(z, 8)), -8)));
  }
  return row;
}

Marks select(const SelectionSpec& spec, const Row& row, std::size_t row_length) {
  static SelectionScratch scratch;
  Marks marks(row.z.size(), 7);
  const std::size_t size =
      select_lamp(spec, targets::softmax,
                  {.z = row.z, .y = row.y, .w = row.w, .row_length = row_length}, marks, scratch);
  REQUIRE(size == static_cast<std::size_t>(std::accumulate(marks.begin(), marks.end(), 0)));
  return marks;
}

/// A tau of every kind: the edges, and the exact cost of some prefix, where one unit more or less
/// decides.
double random_tau(test::Random& random) {
  const double taus[] = {0.0,
                         0.25,
                         0.5,
                         1.0,
                         1.1,
                         1.5,
                         1.9,
                         1.9999999999,
                         2.0,
                         3.0,
                         random.uniform() * 2.5,
                         0x1p-40,
                         1.0 - 0x1p-40};
  return taus[random.below(static_cast<std::uint32_t>(std::size(taus)))];
}

}  // namespace

TEST_CASE("selection: the worked example (0.4, 0.4, 0.2)", "[lamp]") {
  const Row row{.y = {0.0, 0.0, -0.69}, .z = {0.4, 0.4, 0.2}, .w = {}};
  SelectionSpec spec{.tau = 1.1};
  CHECK(select(spec, row, 3) == Marks{1, 1, 0});  // k = 1 costs 1.2
  CHECK(cost_of_set(spec, targets::softmax, {.z = row.z}, Marks{1, 0, 0}) ==
        Approx(1.2).epsilon(1e-11));
  CHECK(cost_of_set(spec, targets::softmax, {.z = row.z}, Marks{0, 0, 1}) ==
        Approx(1.0).epsilon(1e-11));
  spec.solver = Solver::exact;
  CHECK(select(spec, row, 3) == Marks{0, 0, 1});
}

TEST_CASE("selection: greedy is the shortest prefix of the definition", "[lamp][law]") {
  test::Random random(1);
  std::size_t partial = 0, at_the_edge = 0;
  for (int trial = 0; trial < 6000; ++trial) {
    const std::size_t n = 1 + random.below(trial % 10 == 0 ? 60 : 14);
    const Row row = random_row(random, n);
    const std::size_t row_length = n + random.below(3);
    SelectionSpec spec{.tau = random_tau(random)};
    spec.weights = static_cast<ErrorWeights>(random.below(3));
    spec.norm = static_cast<Norm>(random.below(2));
    if (spec.weights == ErrorWeights::absolute) spec.mask = static_cast<Mask>(random.below(2));
    if (random.below(2) == 0) {  // the cost of a prefix: a tau at which ceil and floor matter
      const Marks s = test::greedy(spec, row.z, row.y, row.w, row_length);
      const double cost =
          cost_of_set(spec, targets::softmax,
                      {.z = row.z, .y = row.y, .w = row.w, .row_length = row_length}, s);
      const double below[] = {
          0.0, 0x1p-41,
          0x1p-40};  // tau is rounded up to a unit, so half of one below changes nothing
      spec.tau = std::max(0.0, cost - below[random.below(3)]);
      ++at_the_edge;
    }
    const Marks marks = select(spec, row, row_length);
    const Marks expected = test::greedy(spec, row.z, row.y, row.w, row_length);
    INFO("trial " << trial << " tau " << *spec.tau << " weights "
                  << name_in(error_weights_names, spec.weights));
    REQUIRE(marks == expected);
    const int size = std::accumulate(marks.begin(), marks.end(), 0);
    partial += size > 0 && size < static_cast<int>(n) ? 1 : 0;
  }
  CHECK(partial > 1500);  // the rows are not all trivial
  CHECK(at_the_edge > 2000);
}

TEST_CASE("selection: long rows, where the search recurses", "[lamp][law]") {
  test::Random random(2);
  for (int trial = 0; trial < 120; ++trial) {
    const std::size_t n = 200 + random.below(320);
    Row row = random_row(random, n);
    if (trial % 6 == 0) std::sort(row.z.begin(), row.z.end());
    if (trial % 6 == 1) std::fill(row.z.begin(), row.z.end(), 1.0 / static_cast<double>(n));
    SelectionSpec spec{.tau = random_tau(random)};
    spec.weights = static_cast<ErrorWeights>(random.below(3));
    REQUIRE(select(spec, row, n) == test::greedy(spec, row.z, row.y, row.w, n));
  }
}

TEST_CASE("selection: exact is a smallest set over all subsets, and the set of the threshold rule",
          "[lamp][law]") {
  test::Random random(3);
  int better = 0;
  for (int trial = 0; trial < 700; ++trial) {
    const std::size_t n = 1 + random.below(trial % 7 == 0 ? 12 : 8);
    const Row row = random_row(random, n);
    SelectionSpec spec{.solver = Solver::exact, .tau = random_tau(random)};
    spec.weights = static_cast<ErrorWeights>(random.below(3));
    spec.norm = static_cast<Norm>(random.below(2));
    const Marks marks = select(spec, row, n);
    const int size = std::accumulate(marks.begin(), marks.end(), 0);
    INFO("trial " << trial << " tau " << *spec.tau);
    REQUIRE(size == test::smallest(spec, row.z, row.y, row.w));
    if (spec.norm == Norm::componentwise)
      REQUIRE(marks == test::exact_by_thresholds(spec, row.z, row.y, row.w));
    const Marks by_greed = test::greedy(spec, row.z, row.y, row.w, n);
    better += size < std::accumulate(by_greed.begin(), by_greed.end(), 0) ? 1 : 0;
  }
  CHECK(better > 5);  // negative control: greedy would fail this test
}

TEST_CASE("selection: exact on long rows is the threshold rule", "[lamp][law]") {
  test::Random random(4);
  for (int trial = 0; trial < 40; ++trial) {
    const std::size_t n = 60 + random.below(140);
    const Row row = random_row(random, n);
    SelectionSpec spec{.solver = Solver::exact, .tau = random_tau(random)};
    spec.weights = static_cast<ErrorWeights>(random.below(3));
    REQUIRE(select(spec, row, n) == test::exact_by_thresholds(spec, row.z, row.y, row.w));
  }
}

TEST_CASE("selection: greedy's set is exact, or not, by a few units of tau", "[lamp][law]") {
  // Some keys far below the cut, and a budget that lacks a little for one component more: leaving
  // the smallest one in S instead may make room for it.
  test::Random random(5);
  std::size_t other = 0, same = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    const std::size_t n = 50 + random.below(20);
    Row row;
    double sum = 0.0;
    const double spread = 2.0 + 10.0 * random.uniform();
    for (std::size_t j = 0; j < n; ++j) {
      row.y.push_back(spread * random.symmetric());
      row.z.push_back(std::exp(row.y.back())), sum += row.z.back();
    }
    for (double& z : row.z) z /= sum;
    SelectionSpec spec{.tau = 1.0 + 0.9 * random.uniform()};
    Marks s = test::greedy(spec, row.z, row.y, row.w, n);
    std::size_t least = n;  // the next component that greedy would leave out
    for (std::size_t j = 0; j < n; ++j)
      if (s[j] == 1 && (least == n || row.z[j] < row.z[least])) least = j;
    if (least == n) continue;
    s[least] = 0;
    const double smallest = *std::min_element(row.z.begin(), row.z.end());
    spec.tau = cost_of_set(spec, targets::softmax, {.z = row.z}, s) -
               std::max(0x1p-40, 4.0 * random.uniform() * smallest);
    spec.solver = Solver::exact;
    INFO("trial " << trial << " tau " << *spec.tau);
    const Marks marks = select(spec, row, n);
    REQUIRE(marks == test::exact_by_thresholds(spec, row.z, row.y, row.w));
    ++(marks == test::greedy(spec, row.z, row.y, row.w, n) ? same : other);
  }
  CHECK(other > 200);  // negative control: greedy alone would fail
  CHECK(same > 200);
}

TEST_CASE(
    "selection: lengths round whole vectors and hundreds, rows that are hard to bucket, on every "
    "instruction set",
    "[lamp][law]") {
  const std::size_t lengths[] = {1, 2, 7, 8, 9, 47, 48, 49, 64, 127, 256, 511, 512, 513, 1024};
  std::size_t partial = 0;
  for (const std::int64_t target : test::targets()) {
    const test::OnlyTargets only(target);
    test::Random random(10);
    for (const std::size_t n : lengths) {
      for (int kind = 0; kind < 7; ++kind) {
        Row row = random_row(random, n);
        for (std::size_t j = 0; j < n; ++j) {
          double &z = row.z[j], &w = row.w[j];
          if (kind == 1) z = 1.0 / static_cast<double>(n), w = 1.0;  // all equal
          if (kind == 2)
            z = j == n / 2 ? 0.9 : std::ldexp(1.0 + random.uniform(), -38),
            w = 1.0;  // units of 2^-40
          if (kind == 3)
            z = static_cast<double>(random.below(4)) / 8.0,
            w = 0.5;                   // ties of b and of a, z >= 1/2
          if (kind == 4) w *= 0x1p18;  // up to 2^22, sums above 2^62
          if (kind == 5) z = random.below(2) == 0 ? 0.0 : z, w = random.below(3) == 0 ? 0.0 : w;
          if (kind == 6) w = 0.5 + 0.001 * random.uniform();  // thresholds close together
        }
        if (kind != 0) row.y = row.w;
        SelectionSpec spec{.solver = static_cast<Solver>(random.below(2)),
                           .tau = random_tau(random)};
        spec.weights = static_cast<ErrorWeights>(random.below(3));
        if (random.below(2) ==
            0) {  // a share of what it costs to select nothing, or one unit less than all of it
          const double none = cost_of_set(spec, targets::softmax,
                                          {.z = row.z, .y = row.y, .w = row.w}, Marks(n, 0));
          spec.tau = random.below(4) == 0 ? std::max(0.0, none - 0x1p-40) : none * random.uniform();
        }
        INFO(hwy::TargetName(target) << " n " << n << " kind " << kind << " tau " << *spec.tau
                                     << " weights " << name_in(error_weights_names, spec.weights));
        const Marks marks = select(spec, row, n);
        if (spec.solver == Solver::greedy)
          REQUIRE(marks == test::greedy(spec, row.z, row.y, row.w, n));
        else
          REQUIRE(marks == test::exact_by_thresholds(spec, row.z, row.y, row.w));
        const int size = std::accumulate(marks.begin(), marks.end(), 0);
        partial += size > 0 && size < static_cast<int>(n) ? 1 : 0;
        row.z[random.below(static_cast<std::uint32_t>(n))] = not_a_number;
        REQUIRE(select(spec, row, n) == Marks(n, 1));
      }
    }
  }
  CHECK(partial > 100);
}

TEST_CASE("selection: absolute weights where the computed z sum to less or more than 1",
          "[lamp][law]") {
  test::Random random(12);
  std::size_t partial = 0, locked = 0;
  for (int trial = 0; trial < 600; ++trial) {
    const std::size_t n = trial % 3 == 0 ? 48 + random.below(100) : 2 + random.below(20);
    Row row = random_row(random, n);
    const double factor = trial % 5 == 0 ? 1.0 : 0.5 + 2.0 * random.uniform();
    for (double& z : row.z) z *= factor;
    SelectionSpec spec{.tau = trial % 2 == 0 ? 0.3 + 0.9 * random.uniform() : random_tau(random)};
    const bool all = *spec.tau >= 2.0;  // cost(empty) is 1 + 1 - 2 z_min
    for (const Solver solver : {Solver::greedy, Solver::exact})
      for (const Mask mask : {Mask::exclude, Mask::as_zero}) {
        spec.solver = solver, spec.mask = mask;
        const bool masked = mask == Mask::as_zero;
        const Marks marks = select(spec, row, masked ? n + 3 : n);
        INFO("trial " << trial << " tau " << *spec.tau << " factor " << factor
                      << (masked ? " as-zero" : ""));
        REQUIRE(marks == (solver == Solver::greedy
                              ? test::greedy(spec, row.z, row.y, row.w, masked ? n + 3 : n)
                              : test::exact_by_thresholds(spec, row.z, row.y, row.w, masked)));
        const int size = std::accumulate(marks.begin(), marks.end(), 0);
        if (all) REQUIRE(size == 0);
        partial += size > 0 && size < static_cast<int>(n) ? 1 : 0;
      }
    locked += n >= 48 && factor > 1.0 && *spec.tau < 1.0 ? 1 : 0;
  }
  CHECK(partial > 400);
  CHECK(locked > 30);
}

TEST_CASE("selection: a budget one unit lower loses what just fitted",
          "[lamp][law]") {  // so one unit of a slip would show
  test::Random random(11);
  int lost = 0;
  for (int trial = 0; trial < 60; ++trial) {
    const std::size_t n = 50 + random.below(200);
    const Row row = random_row(random, n);
    SelectionSpec spec{.solver = Solver::exact, .tau = 0.1 + random.uniform()};
    spec.weights = static_cast<ErrorWeights>(random.below(3));
    const Marks before = select(spec, row, n);
    spec.tau = cost_of_set(spec, targets::softmax, {.z = row.z, .y = row.y, .w = row.w}, before);
    const Marks at = select(spec, row, n);
    REQUIRE(at == test::exact_by_thresholds(spec, row.z, row.y, row.w));
    if (*spec.tau < 0x1p-40) continue;
    spec.tau = *spec.tau - 0x1p-40;
    const Marks under = select(spec, row, n);
    REQUIRE(under == test::exact_by_thresholds(spec, row.z, row.y, row.w));
    lost += under != at ? 1 : 0;
  }
  CHECK(lost > 10);
}

TEST_CASE("selection: the edges of tau", "[lamp]") {
  test::Random random(5);
  for (int trial = 0; trial < 200; ++trial) {
    const std::size_t n = 2 + random.below(40);
    Row row = random_row(random, n);
    // Multiples of 2^-20 that sum to 1: floors are exact, so the laws of the real numbers hold to
    // the last unit.
    const double above_all =
        1.001 * std::max(1.0, std::accumulate(row.z.begin(), row.z.end(), 0.0));
    double sum = 0.0, smallest = infinity;
    for (double& z : row.z) z = std::floor(z / above_all * 0x1p20) * 0x1p-20, sum += z;
    row.z[random.below(static_cast<std::uint32_t>(n))] += 1.0 - sum;
    for (const double z : row.z) smallest = std::min(smallest, z);
    const auto size = [&](double tau) {
      const Marks marks = select({.tau = tau}, row, n);
      return std::accumulate(marks.begin(), marks.end(), 0);
    };
    const int all = static_cast<int>(n);
    CHECK(size(2.0) == 0);
    CHECK(size(2.0 - 2.0 * smallest) == 0);
    CHECK(size(2.0 - 2.0 * smallest - 0x1p-40) > 0);
    CHECK(size(1.0) < all);
    CHECK(size(1.0 - smallest) < all);
    CHECK(size(1.0 - smallest - 0x1p-40) == all);
    CHECK(size(0.0) == (smallest == 1.0 ? 0 : all));
  }
}

TEST_CASE("selection: the identity sum_S z + 2 z_min >= 2 - tau", "[lamp][law]") {
  test::Random random(6);
  int decided = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    const std::size_t n = 2 + random.below(60);
    const Row row = random_row(random, n);
    const double total = std::accumulate(row.z.begin(), row.z.end(), 0.0);
    const double tau = 2.5 * random.uniform();
    const Marks marks = select({.tau = tau}, row, n);
    double in_s = 0.0, last = infinity;
    for (std::size_t j = 0; j < n; ++j)
      if (marks[j] != 0) in_s += row.z[j], last = std::min(last, row.z[j]);
    const double smallest = *std::min_element(row.z.begin(), row.z.end());
    // Each of at most n + 2 floors moves the cost by less than 2^-40, and so does a sum that is
    // not 1.
    const double doubt = static_cast<double>(n + 4) * 0x1p-40 + std::fabs(total - 1.0);
    const bool all = static_cast<std::size_t>(std::accumulate(marks.begin(), marks.end(), 0)) == n;
    if (!all) CHECK(in_s + 2.0 * smallest >= 2.0 - tau - doubt);
    if (last < infinity && !(all && last > smallest)) {  // one less would not do
      const bool enough = in_s - last + 2.0 * smallest >= 2.0 - tau + doubt;
      CHECK_FALSE(enough);
      ++decided;
    }
  }
  CHECK(decided > 500);
}

TEST_CASE("selection: rows that are refused are selected whole", "[lamp]") {
  const std::vector<double> z{0.5, 0.25, 0.25};
  for (const double bad : {not_a_number, infinity, 0x1p22, -1.0, -infinity}) {
    Row row{.y = {1.0, 2.0, 3.0}, .z = z, .w = {1.0, 1.0, 1.0}};
    row.z[1] = bad;
    CHECK(select({.tau = 2.0}, row, 3) == Marks{1, 1, 1});
    CHECK(select({.tau = {}, .rate = 0.0}, row, 3) == Marks{1, 1, 1});
    CHECK(cost_of_set({}, targets::softmax, {.z = row.z}, Marks{0, 0, 0}) == infinity);
  }
  for (const double bad : {not_a_number, infinity, 0x1p24}) {
    Row row{.y = {1.0, bad, 3.0}, .z = z, .w = {1.0, bad, 1.0}};
    for (const ErrorWeights weights : {ErrorWeights::relative, ErrorWeights::dot})
      for (const Norm norm : {Norm::componentwise, Norm::normwise1})
        CHECK(select({.weights = weights, .norm = norm, .tau = 1e30}, row, 3) == Marks{1, 1, 1});
    CHECK(select({.tau = 2.0}, row, 3) ==
          Marks{0, 0, 0});  // absolute weights do not look at y and w
  }
  // The largest value that is accepted: b = z w just below 2^22.
  const Row row{.y = {0x1.fffffffffffffp22, 0.0}, .z = {0.5, 0.5}, .w = {}};
  CHECK(select({.weights = ErrorWeights::relative, .tau = 1e30}, row, 2) == Marks{0, 0});
  CHECK(select({.weights = ErrorWeights::relative, .tau = 1.0}, row, 2) == Marks{1, 0});
}

TEST_CASE("selection: rows of one", "[lamp]") {
  const Row row{.y = {3.0}, .z = {1.0}, .w = {3.0}};
  for (const double tau : {0.0, 1.0, 1.9, 2.0}) {
    for (const ErrorWeights weights :
         {ErrorWeights::absolute, ErrorWeights::relative, ErrorWeights::dot})
      for (const Solver solver : {Solver::greedy, Solver::exact})
        CHECK(select({.weights = weights, .solver = solver, .tau = tau}, row, 4) == Marks{0});
    CHECK(select({.mask = Mask::as_zero, .tau = tau}, row, 4) ==
          Marks{static_cast<std::uint8_t>(tau < 2.0 ? 1 : 0)});
    CHECK(select({.mask = Mask::as_zero, .tau = tau}, row, 1) == Marks{0});
  }
  CHECK(select({}, Row{}, 0).empty());
}

TEST_CASE("selection: masks differ, and as-zero with no masked entry is exclude", "[lamp][law]") {
  test::Random random(7);
  int different = 0;
  for (int trial = 0; trial < 500; ++trial) {
    const Row row = random_row(random, 2 + random.below(20));
    const double tau = random_tau(random);
    const std::size_t n = row.z.size();
    const Marks exclude = select({.tau = tau}, row, n + 5),
                as_zero = select({.mask = Mask::as_zero, .tau = tau}, row, n + 5);
    CHECK(select({.mask = Mask::as_zero, .tau = tau}, row, n) == exclude);
    CHECK(std::accumulate(exclude.begin(), exclude.end(), 0) <=
          std::accumulate(as_zero.begin(), as_zero.end(), 0));
    different += exclude != as_zero ? 1 : 0;
  }
  CHECK(different > 20);
}

TEST_CASE("selection: a rate is the first ceil(r n - 1e-9) of the order", "[lamp][law]") {
  CHECK(count_of_rate(0.05, 20) == 1);  // 0.05 * 20 is one ulp above 1
  CHECK(count_of_rate(0.1, 30) == 3);
  CHECK(count_of_rate(0.1, 31) == 4);
  CHECK(count_of_rate(0.0, 31) == 0);
  CHECK(count_of_rate(1.0, 31) == 31);
  CHECK(count_of_rate(1e-10, 5) == 0);
  test::Random random(8);
  for (int trial = 0; trial < 1000; ++trial) {
    const std::size_t n = 1 + random.below(50);
    const Row row = random_row(random, n);
    SelectionSpec spec{.tau = {}, .rate = random.uniform()};
    spec.weights = static_cast<ErrorWeights>(random.below(3));
    spec.norm = static_cast<Norm>(random.below(2));
    Marks expected(n, 0);
    const auto order = test::descending(test::integers(spec, row.z, row.y, row.w));
    for (std::size_t i = 0;
         i < static_cast<std::size_t>(std::ceil(*spec.rate * static_cast<double>(n) - 1e-9)); ++i)
      expected[order[i]] = 1;
    REQUIRE(select(spec, row, n) == expected);
  }
}

TEST_CASE("selection: cost_of_set is the cost of the definition", "[lamp][law]") {
  test::Random random(9);
  for (int trial = 0; trial < 2000; ++trial) {
    const std::size_t n = 1 + random.below(12);
    const Row row = random_row(random, n);
    SelectionSpec spec;
    spec.weights = static_cast<ErrorWeights>(random.below(3));
    spec.norm = static_cast<Norm>(random.below(2));
    Marks s(n);
    for (auto& mark : s) mark = static_cast<std::uint8_t>(random.below(2));
    const double expected =
        static_cast<double>(test::cost(test::integers(spec, row.z, row.y, row.w), spec, s)) /
        0x1p40;
    REQUIRE(cost_of_set(spec, targets::softmax,
                        {.z = row.z, .y = row.y, .w = row.w, .row_length = n}, s) == expected);
  }
}

TEST_CASE("selection: what cannot be used is named", "[lamp]") {
  CHECK(check({}).empty());
  CHECK(check({.tau = {}, .rate = 0.5}).empty());
  CHECK_FALSE(check({.tau = 1.0, .rate = 0.5}).empty());
  CHECK_FALSE(check({.tau = {}}).empty());
  CHECK_FALSE(check({.tau = not_a_number}).empty());
  CHECK_FALSE(check({.tau = -0.5}).empty());
  CHECK_FALSE(check({.tau = {}, .rate = 1.5}).empty());
  CHECK_FALSE(check({.weights = ErrorWeights::relative, .mask = Mask::as_zero}).empty());
}
