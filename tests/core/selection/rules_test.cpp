// The rules LAMP is compared with: uniformity by a binomial bound, budgets, and the documented
// counter.
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

#include "core/base/philox.hpp"
#include "core/selection/rules/largest_logit.hpp"
#include "core/selection/rules/random.hpp"
#include "core/selection/target.hpp"
#include "tests/core/selection/definition.hpp"
#include "tests/support/random.hpp"

using namespace lamp;
using lamp::test::Marks;

namespace {

/// A subset as a mask of bits.
std::uint32_t bits(const Marks& marks) {
  std::uint32_t subset = 0;
  for (std::size_t j = 0; j < marks.size(); ++j) subset |= std::uint32_t{marks[j]} << j;
  return subset;
}

/// Every one of `cells` outcomes within 6 standard deviations of trials / cells: a fair draw fails
/// with probability below cells * 2e-9 (normal tail; the counts here are large).
bool looks_uniform(const std::map<std::uint32_t, int>& counts, int trials, std::size_t cells) {
  if (counts.size() != cells) return false;
  const double p = 1.0 / static_cast<double>(cells), expected = trials * p,
               sigma = std::sqrt(trials * p * (1.0 - p));
  for (const auto& [subset, count] : counts)
    if (!(std::fabs(count - expected) <= 6.0 * sigma)) return false;
  return true;
}

std::size_t binomial(std::size_t n, std::size_t k) {
  std::size_t result = 1;
  for (std::size_t i = 1; i <= k; ++i) result = result * (n - k + i) / i;
  return result;
}

}  // namespace

TEST_CASE("rules: every subset of a size is equally likely", "[lamp][law]") {
  constexpr int trials = 60000;
  SelectionScratch scratch;
  for (const auto& [n, k] : std::vector<std::pair<std::size_t, std::size_t>>{
           {6, 3}, {7, 2}, {7, 5}, {5, 1}, {5, 4}, {3, 2}}) {
    std::map<std::uint32_t, int> counts;
    for (std::uint32_t row = 0; row < trials; ++row) {
      Marks marks(n);
      select_random(k, {.seed = 42, .sequence = 1, .layer = 2, .head = 3, .row = row}, marks);
      REQUIRE(std::accumulate(marks.begin(), marks.end(), std::size_t{0}) == k);
      ++counts[bits(marks)];
    }
    INFO("n " << n << " k " << k);
    CHECK(looks_uniform(counts, trials, binomial(n, k)));
  }
}

TEST_CASE("rules: the check of uniformity sees a biased draw", "[lamp]") {
  constexpr int trials = 60000;
  std::map<std::uint32_t, int> counts;
  test::Random random(3);
  for (int trial = 0; trial < trials;
       ++trial) {  // Fisher-Yates with the classic slip: swap with any place, not with a later one
    Marks marks{1, 1, 1, 0, 0, 0};
    for (std::uint32_t i = 0; i < 6; ++i) std::swap(marks[i], marks[random.below(6)]);
    ++counts[bits(marks)];
  }
  CHECK_FALSE(looks_uniform(counts, trials, 20));
}

TEST_CASE("rules: the draw is the documented one", "[lamp]") {
  SelectionScratch scratch;
  for (std::uint32_t row = 0; row < 64; ++row) {
    const DrawCoordinates where{
        .seed = 5, .sequence = 6, .layer = 7, .head = 8, .row = row, .site = 3};
    Marks marks(2);
    select_random(1, where, marks);
    const auto words = philox4x32({0, 0, row, (7 * 512 + 8) * 128 + 3 * 4 + 3}, {5, 6});
    const std::size_t drawn = words[0] >> 31;  // uniform in 0..1
    CHECK(marks[drawn] == 1);
  }
}

TEST_CASE("rules: each coordinate matters", "[lamp]") {
  SelectionScratch scratch;
  const auto draw = [&](const DrawCoordinates& where) {
    Marks marks(200);
    select_random(60, where, marks);
    return marks;
  };
  const DrawCoordinates where{.seed = 1, .sequence = 2, .layer = 3, .head = 4, .row = 5, .site = 3};
  CHECK(draw(where) == draw(where));
  DrawCoordinates other = where;
  for (std::uint32_t* coordinate :
       {&other.seed, &other.sequence, &other.layer, &other.head, &other.row, &other.site}) {
    const std::uint32_t value = *coordinate;
    ++*coordinate;
    CHECK(draw(other) != draw(where));
    *coordinate = value;
  }
}

TEST_CASE("rules: budgets, edges, and the largest logits", "[lamp][law]") {
  SelectionScratch scratch;
  test::Random random(4);
  std::size_t full_row = 0, budget = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    const std::size_t n = 1 + random.below(30);
    std::vector<double> y(n), z(n);
    double sum = 0.0;
    for (std::size_t j = 0; j < n; ++j)
      y[j] = std::ldexp(random.between(-40, 40), -3), sum += z[j] = std::exp(y[j]);
    for (double& value : z) value /= sum;
    const SelectionRow row{.z = z, .y = y, .w = {}, .row_length = 2 * n};
    SelectionSpec spec{.tau = 1.0 + random.uniform()};
    const DrawCoordinates where{.row = static_cast<std::uint32_t>(trial)};
    Marks marks(n), baseline(n);
    const std::size_t count = select_row(spec, targets::softmax, row, where, marks, scratch);
    spec.rule = rule_named("random");
    CHECK(select_row(spec, targets::softmax, row, where, baseline, scratch) == count);
    CHECK(std::accumulate(baseline.begin(), baseline.end(), std::size_t{0}) == count);
    spec.rule = rule_named("largest-logit");
    CHECK(select_row(spec, targets::softmax, row, where, baseline, scratch) == count);
    // Keys are floored to 2^-40: below that, LAMP's order is the index, not the logit.
    if (*std::min_element(z.begin(), z.end()) > 0x1p-30) CHECK(baseline == marks);
    spec.rule = rule_named("random-full-row");
    full_row += select_row(spec, targets::softmax, row, where, baseline, scratch);
    budget += count;
    spec.rule = rule_named("all");
    CHECK(select_row(spec, targets::softmax, row, where, baseline, scratch) == n);
    spec.rule = rule_named("none");
    CHECK(select_row(spec, targets::softmax, row, where, baseline, scratch) == 0);
    CHECK(baseline == Marks(n, 0));
  }
  // Half of every full row is masked: half of the budget is lost, to 6 standard deviations of fair
  // coins.
  const double half = 0.5 * static_cast<double>(budget);
  CHECK(std::fabs(static_cast<double>(full_row) - half) <= 6.0 * std::sqrt(0.5 * half));
}

TEST_CASE("rules: largest takes signed zeros as one number and ties by index", "[lamp]") {
  SelectionScratch scratch;
  const std::vector<double> y{-0.0, 0.0, -1.0, 2.0, 0.0, -HUGE_VAL, HUGE_VAL};
  Marks marks(y.size());
  select_largest(4, y, marks, scratch);
  CHECK(marks == Marks{1, 1, 0, 1, 0, 0, 1});
  select_largest(6, y, marks, scratch);
  CHECK(marks == Marks{1, 1, 1, 1, 1, 0, 1});
}
