// Rankings against the sets of the rules that they rank for, against their formulas, and against
// what they say they need.
#include "analysis/truth/predictors.hpp"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "analysis/ranking.hpp"
#include "core/selection/lamp.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

using test::Random;
using test::same_bits;
using truth::Derivative;
using truth::Evidence;
using truth::Predictor;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// Everything that a ranking may look at.
struct EvidenceOfRow {
  std::vector<double> z, y, w, q, error, low_error, one_low, benefit, local;
  std::vector<Derivative> derivative, low_derivative;
  Matrix<double> k, v;  // (n, 3), (2, n)

  EvidenceOfRow(std::size_t n, std::uint32_t seed) : k(n, 3), v(2, n) {
    Random random(seed);
    double sum = 0.0;
    for (std::size_t j = 0; j < n; ++j) {
      // Ties in some rows.
      y.push_back(seed % 3 == 0 ? std::floor(4.0 * random.symmetric()) : 4.0 * random.symmetric());
      z.push_back(std::exp(y[j]));
      sum += z[j];
      w.push_back(std::abs(y[j]) + 2.0 * random.uniform());
      for (std::vector<double>* values : {&error, &low_error, &one_low, &benefit, &local})
        values->push_back(random.symmetric());
      for (std::vector<Derivative>* values : {&derivative, &low_derivative})
        values->push_back({random.uniform(), random.symmetric(), random.symmetric()});
    }
    for (double& x : z) x /= sum;
    q = {random.symmetric(), random.symmetric(), random.symmetric()};
    for (double& x : k.flat()) x = random.symmetric();
    for (double& x : v.flat()) x = random.symmetric();
  }
  [[nodiscard]] Evidence all() const {
    return {.row = {.z = z, .y = y, .w = w, .row_length = 50, .q = q, .k = k.view(), .v = v.view()},
            .where = {.seed = 3, .sequence = 1, .layer = 2, .head = 1, .row = 9, .site = 3},
            .error = error,
            .derivative = derivative,
            .low_derivative = low_derivative,
            .low_error = low_error,
            .one_low = one_low,
            .benefit = benefit,
            .local = local};
  }
};

std::vector<double> priorities(const Predictor& predictor, const Evidence& evidence,
                               std::uint32_t repetition = 0) {
  std::vector<double> p(evidence.row.z.size(), not_a_number);
  SelectionScratch scratch;
  predictor.rank(evidence, repetition, p, scratch);
  return p;
}

/// The set of a rule at a rate.
std::vector<std::uint8_t> set_of(const char* rule, const SelectionSpec& like, double rate,
                                 const Evidence& e) {
  SelectionSpec spec = like;
  spec.rule = rule_named(rule), spec.tau = {}, spec.rate = rate;
  std::vector<std::uint8_t> marks(e.row.z.size());
  SelectionScratch scratch;
  select_row(spec, targets::softmax, e.row, e.where, marks, scratch);
  return marks;
}

/// A predictor, and the rule whose sets its rankings begin with.
struct Twin {
  const char *predictor, *rule;
  SelectionSpec spec{};
};
const std::vector<Twin>& twins() {
  static const std::vector<Twin> all{{"lamp", "lamp"},
                                     {"lamp-relative", "lamp", {.weights = ErrorWeights::relative}},
                                     {"lamp-dot", "lamp", {.weights = ErrorWeights::dot}},
                                     {"lamp-normwise1", "lamp", {.norm = Norm::normwise1}},
                                     {"value-aware", "value-aware"},
                                     {"largest-logit", "largest-logit"},
                                     {"window", "window"},
                                     {"block-mean", "block-mean"},
                                     {"page-bound", "page-bound"}};
  return all;
}

}  // namespace

TEST_CASE("predictors: rankings begin with the sets of their rules, at every rate",
          "[truth][predictors]") {
  std::size_t distinct = 0;
  for (std::uint32_t seed = 1; seed <= 12; ++seed)
    for (const std::size_t n : std::array<std::size_t, 6>{1, 2, 3, 16, 17, 40}) {
      const EvidenceOfRow row(n, seed);
      std::set<std::vector<std::uint8_t>> halves;
      for (const Twin& twin : twins()) {
        const std::vector<double> p =
            priorities(*truth::predictor_named(twin.predictor), row.all());
        for (std::size_t size = 0; size <= n; ++size) {
          CAPTURE(seed, n, size, twin.predictor);
          const double rate = static_cast<double>(size) / static_cast<double>(n);
          const std::vector<std::uint8_t> expected = set_of(twin.rule, twin.spec, rate, row.all());
          REQUIRE(top(p, size) == expected);
          if (2 * size == n) halves.insert(expected);
        }
      }
      distinct += halves.size();
    }
  CHECK(distinct > 12 * 12);
}

TEST_CASE("predictors: by tau too LAMP's greedy set is the beginning of its ranking",
          "[truth][predictors]") {
  std::set<std::size_t> sizes;
  for (std::uint32_t seed = 1; seed <= 20; ++seed)
    for (const Twin& twin : twins()) {
      const Predictor& predictor = *truth::predictor_named(twin.predictor);
      if (!predictor.form) continue;
      const EvidenceOfRow row(20, seed);
      SelectionSpec spec = twin.spec;
      spec.tau = 0.3 * (seed % 5);
      std::vector<std::uint8_t> marks(20);
      SelectionScratch scratch;
      const std::size_t size = select_lamp(spec, targets::softmax, row.all().row, marks, scratch);
      CHECK((predictor.form->weights == spec.weights && predictor.form->norm == spec.norm));
      CHECK(top(priorities(predictor, row.all()), size) == marks);
      sizes.insert(size);
    }
  CHECK(sizes.size() > 10);
}

TEST_CASE("predictors: a row that a rule refuses comes first as a whole", "[truth][predictors]") {
  for (const double bad : {not_a_number, infinity, -1.0})
    for (const Twin& twin : twins()) {
      EvidenceOfRow row(6, 4);
      row.z[3] = bad;
      CAPTURE(twin.predictor, bad);
      const std::vector<double> p = priorities(*truth::predictor_named(twin.predictor), row.all());
      if (std::string(twin.predictor) == "largest-logit") {
        CHECK(p == row.y);
        continue;
      }
      const bool by_sets = p[0] == 1.0;
      CHECK(p == std::vector<double>(6, by_sets ? 1.0 : infinity));
      CHECK(by_sets ==
            (twin.rule == std::string("window") || twin.rule == std::string("block-mean") ||
             twin.rule == std::string("page-bound")));
    }
}

TEST_CASE("predictors: shares of the row by sets", "[truth][predictors]") {
  const EvidenceOfRow row(5, 2);
  CHECK(
      priorities(*truth::predictor_named("window"), row.all()) ==
      std::vector<double>{1.0, 1.0 - 4.0 / 5.0, 1.0 - 3.0 / 5.0, 1.0 - 2.0 / 5.0, 1.0 - 1.0 / 5.0});
}

TEST_CASE("predictors: LAMP's smallest sets, by the costs of all sets", "[truth][predictors]") {
  std::size_t not_nested = 0;
  for (std::uint32_t seed = 1; seed <= 40; ++seed) {
    const std::size_t n = 2 + seed % 6;
    const EvidenceOfRow row(n, seed);
    const SelectionSpec exact{.solver = Solver::exact};
    // cost -> of each size, the sets of it
    std::vector<double> expected(n, 0.0), least(n + 1, infinity);
    for (std::uint32_t set = 0; set < 1U << n; ++set) {
      std::vector<std::uint8_t> marks(n);
      for (std::size_t j = 0; j < n; ++j) marks[j] = set >> j & 1;
      const auto size = static_cast<std::size_t>(std::count(marks.begin(), marks.end(), 1));
      least[size] =
          std::min(least[size], cost_of_set(exact, targets::softmax, row.all().row, marks));
    }
    std::vector<std::uint8_t> before(n);
    for (std::size_t size = 1; size <= n; ++size) {  // the set that LAMP takes at just that cost
      SelectionSpec spec = exact;
      spec.tau = least[size];
      std::vector<std::uint8_t> marks(n);
      SelectionScratch scratch;
      if (select_lamp(spec, targets::softmax, row.all().row, marks, scratch) != size) continue;
      for (std::size_t j = 0; j < n; ++j) {
        if (marks[j] != 0 && expected[j] == 0.0)
          expected[j] = 1.0 - static_cast<double>(size - 1) / static_cast<double>(n);
        not_nested += before[j] != 0 && marks[j] == 0 ? 1U : 0U;
      }
      before = marks;
    }
    CAPTURE(seed, n);
    CHECK(priorities(*truth::predictor_named("lamp-exact"), row.all()) == expected);
  }
  CHECK(not_nested > 0);
  EvidenceOfRow refused(3, 1);
  refused.z[1] = not_a_number;
  CHECK(priorities(*truth::predictor_named("lamp-exact"), refused.all()) ==
        std::vector<double>(3, infinity));
  CHECK(priorities(*truth::predictor_named("lamp-exact"), EvidenceOfRow(1, 1).all()) ==
        std::vector<double>{0.0});
}

TEST_CASE("predictors: the formulas", "[truth][predictors]") {
  EvidenceOfRow row(9, 5);
  row.z[4] = 0.75, row.error[2] = not_a_number, row.one_low[7] = not_a_number;
  const auto check = [&](const char* name, const auto& formula) {
    const std::vector<double> p = priorities(*truth::predictor_named(name), row.all());
    for (std::size_t j = 0; j < 9; ++j) {
      CAPTURE(name, j);
      const double expected = formula(j);
      CHECK((std::isnan(expected) ? std::isnan(p[j]) : p[j] == Approx(expected).epsilon(1e-15)));
    }
  };
  const auto floor40 = [](double x) { return std::floor(std::ldexp(x, 40)); };
  const auto squared = [](double x) { return x * x; };
  check("lamp", [&](std::size_t j) { return floor40(row.z[j]); });
  check("lamp-relative", [&](std::size_t j) { return floor40(row.z[j] * std::abs(row.y[j])); });
  check("lamp-dot", [&](std::size_t j) { return floor40(row.z[j] * row.w[j]); });
  check("lamp-normwise1",
        [&](std::size_t j) { return floor40(2.0 * row.z[j] * (1.0 - row.z[j])); });
  check("largest-logit", [&](std::size_t j) { return row.y[j]; });
  check("error", [&](std::size_t j) { return std::abs(row.error[j]); });
  check("z-error", [&](std::size_t j) { return row.z[j] * std::abs(row.error[j]); });
  // K_ij = abs(delta_ij - z_j): the largest over all rows i.
  check("k-error", [&](std::size_t j) {
    double most = 0.0;
    for (std::size_t i = 0; i < 9; ++i)
      most = std::max(most, std::abs((i == j ? 1.0 : 0.0) - row.z[j]));
    return most * std::abs(row.error[j]);
  });
  check("first-order",
        [&](std::size_t j) { return row.derivative[j].half_variance * squared(row.error[j]); });
  check("first-order-bound",
        [&](std::size_t j) { return row.derivative[j].half_variance * squared(row.w[j]); });
  check("first-order-high",
        [&](std::size_t j) { return row.low_derivative[j].kl * row.low_error[j]; });
  check("fisher",
        [&](std::size_t j) { return squared(row.derivative[j].log_likelihood * row.w[j]); });
  check("fisher-error",
        [&](std::size_t j) { return squared(row.derivative[j].log_likelihood * row.error[j]); });
  check("one-low", [&](std::size_t j) { return row.one_low[j]; });
  check("one-high", [&](std::size_t j) { return row.benefit[j]; });
  check("local", [&](std::size_t j) { return row.local[j]; });
}

TEST_CASE("predictors: random numbers differ by key, repetition and place", "[truth][predictors]") {
  const EvidenceOfRow row(50, 1);
  const Predictor& random = *truth::predictor_named("random");
  CHECK(random.repetitions == 10);
  std::set<double> seen;
  std::size_t count = 0;
  double mean = 0.0;
  const auto take = [&](const Evidence& e, std::uint32_t repetition) {
    for (const double p : priorities(random, e, repetition)) seen.insert(p), mean += p, ++count;
  };
  for (std::uint32_t r = 0; r < 10; ++r) take(row.all(), r);
  for (std::uint32_t DrawCoordinates::*part :
       {&DrawCoordinates::seed, &DrawCoordinates::sequence, &DrawCoordinates::layer,
        &DrawCoordinates::head, &DrawCoordinates::row, &DrawCoordinates::site}) {
    Evidence other = row.all();
    ++(other.where.*part);
    take(other, 0);
  }
  CHECK(seen.size() == count);  // of 800 words of 32 bits two are equal with probability 7e-5
  // The mean of 800 words, sd 2^32 / sqrt(12 800): within 5 of those.
  CHECK(std::abs(mean / static_cast<double>(count) * 0x1p-32 - 0.5) <
        5.0 / std::sqrt(12.0 * 800.0));
  CHECK(priorities(random, row.all(), 3) == priorities(random, row.all(), 3));
}

TEST_CASE("predictors: each reads what it says it needs, and nothing else", "[truth][predictors]") {
  std::set<std::string_view> names;
  const EvidenceOfRow row(12, 8);
  std::vector<double> nan(12, not_a_number);
  const std::vector<Derivative> nan_derivatives(12, {not_a_number, not_a_number, not_a_number});
  for (const Predictor& predictor : truth::predictors) {
    CAPTURE(predictor.name);
    names.insert(predictor.name);
    CHECK(truth::predictor_named(predictor.name) == &predictor);
    CHECK_FALSE(predictor.meaning.empty());
    const std::vector<double> p = priorities(predictor, row.all());
    const auto changes = [&](const auto& spoil) {
      Evidence e = row.all();
      spoil(e);
      return !same_bits(priorities(predictor, e), p);
    };
    const truth::Needs& needs = predictor.needs;
    CHECK(changes([&](Evidence& e) { e.derivative = nan_derivatives; }) == needs.derivative);
    CHECK(changes([&](Evidence& e) { e.low_derivative = nan_derivatives; }) ==
          needs.low_derivative);
    CHECK(changes([&](Evidence& e) { e.one_low = nan; }) == needs.one_low);
    CHECK(changes([&](Evidence& e) { e.benefit = nan; }) == needs.one_high);
    CHECK(changes([&](Evidence& e) { e.local = nan; }) == needs.local);
    CHECK(changes([&](Evidence& e) { e.where.row = 77; }) == (predictor.repetitions > 1));
  }
  CHECK(names.size() == truth::predictors.size());
  CHECK(truth::predictor_named("no such rule") == nullptr);
}

}  // namespace lamp
