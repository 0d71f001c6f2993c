// The rules LAMP is compared with: uniformity by a binomial bound, budgets, the documented
// counter, and the laws of windows and blocks.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <vector>

#include "core/base/philox.hpp"
#include "core/selection/rules/blocks.hpp"
#include "core/selection/rules/largest_logit.hpp"
#include "core/selection/rules/own.hpp"
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

std::size_t count(const Marks& marks) {
  return std::accumulate(marks.begin(), marks.end(), std::size_t{0});
}

/// A row with its softmax, q and k. y is random: the rules do not know that it is q . k_j.
struct Row {
  std::vector<double> y, z, q;
  Matrix<double> k;

  Row(test::Random& random, std::size_t n, std::size_t d) : y(n), z(n), q(d), k(n, d) {
    double sum = 0.0;
    for (std::size_t j = 0; j < n; ++j)
      y[j] = std::ldexp(random.between(-40, 40), -3), sum += z[j] = std::exp(y[j]);
    for (double& value : z) value /= sum;
    for (double& value : q) value = random.between(-3, 3);
    for (double& value : k.flat()) value = random.between(-3, 3);
  }
  [[nodiscard]] SelectionRow view() const {
    return {.z = z, .y = y, .row_length = z.size(), .q = q, .k = k.view()};
  }
  [[nodiscard]] Marks marks_of(std::string_view rule, double tau) const {
    SelectionScratch scratch;
    Marks marks(z.size(), 7);
    const std::size_t size = select_row({.rule = rule_named(rule), .tau = tau}, targets::softmax,
                                        view(), {}, marks, scratch);
    CHECK(size == count(marks));
    return marks;
  }
};

/// Whether the marks are whole blocks with the highest scores, ties lower block first, but for the
/// last one, which may have its first keys only.
bool is_of_highest_blocks(const Marks& marks, const std::vector<double>& scores) {
  const auto first = [&](std::size_t block) {
    return marks.begin() + static_cast<std::ptrdiff_t>(16 * block);
  };
  std::vector<std::size_t> whole, partly, empty;
  for (std::size_t b = 0; b < scores.size(); ++b) {
    const auto begin = first(b), end = b + 1 < scores.size() ? first(b + 1) : marks.end();
    if (!std::is_sorted(begin, end, std::greater<>())) return false;
    (std::find(begin, end, 0) == end   ? whole
     : std::find(begin, end, 1) == end ? empty
                                       : partly)
        .push_back(b);
  }
  const auto before = [&](std::size_t a, std::size_t b) {
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  };
  const auto all_before = [&](const auto& some, const auto& others) {
    for (const std::size_t a : some)
      for (const std::size_t b : others)
        if (!before(a, b)) return false;
    return true;
  };
  return partly.size() <= 1 && all_before(whole, partly) && all_before(whole, empty) &&
         all_before(partly, empty);
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

TEST_CASE("rules: what was seen of rows: whether any was selected, and any set not LAMP's",
          "[lamp]") {
  SelectionScratch scratch;
  const auto select = [&](const char* rule, const SelectionSpec& like, const std::vector<double>& y,
                          const std::vector<double>& z) {
    SelectionSpec spec = like;
    spec.rule = rule_named(rule);
    Marks marks(z.size());
    return select_row(spec, targets::softmax, {.z = z, .y = y}, {}, marks, scratch);
  };
  const std::vector<double> y{1.0, 3.0, 2.0}, z{0.1, 0.7, 0.2};
  for (const char* rule : {"none", "lamp", "largest-logit", "random"}) {
    CHECK(select(rule, {.tau = 2.0}, y, z) == 0);
    CHECK_FALSE(scratch.seen.selected);
  }
  CHECK(select("largest-logit", {.tau = 1.0}, y, z) > 0);
  CHECK((scratch.seen.selected && !scratch.seen.unlike_lamp));
  CHECK(select("lamp", {.tau = 2.0}, y, z) == 0);
  CHECK(scratch.seen.selected);  // until it is cleared
  // Integers tie, the y do not: LAMP takes index 0, the largest logit is index 2; equal y tie too.
  const double small = 0x1p-41;
  const SelectionSpec two{.tau = {}, .rate = 2.0 / 3.0};
  CHECK(select("largest-logit", two, {-40.0, 0.0, -40.0}, {small, 1.0, small}) == 2);
  CHECK_FALSE(scratch.seen.unlike_lamp);
  CHECK(select("largest-logit", two, {-40.0, 0.0, -39.9}, {small, 1.0, 1.1 * small}) == 2);
  CHECK(scratch.seen.unlike_lamp);
}

TEST_CASE("rules: a window is key 0 and the most recent keys", "[lamp][law]") {
  test::Random random(5);
  std::size_t partial = 0;
  for (int trial = 0; trial < 400; ++trial) {
    const std::size_t n = 1 + random.below(40);
    const Row row(random, n, 1);
    const double tau = 0.8 + random.uniform();
    const std::size_t budget = count(row.marks_of("lamp", tau));
    Marks expected(n, 0);
    for (std::size_t j = 0; j < n; ++j)
      expected[j] = budget > 0 && (j == 0 || j > n - budget) ? 1 : 0;
    CHECK(row.marks_of("window", tau) == expected);
    partial += budget > 1 && budget < n ? 1 : 0;
  }
  CHECK(partial > 100);
}

TEST_CASE("rules: blocks with the highest mean magnitude, or the highest bound", "[lamp][law]") {
  test::Random random(6);
  std::size_t partial = 0, differ = 0;
  for (int trial = 0; trial < 1000; ++trial) {
    const std::size_t n = 1 + random.below(90), blocks = (n + 15) / 16, d = 1 + random.below(5);
    const Row row(random, n, d);
    const double tau = 0.8 + random.uniform();
    std::vector<double> means(blocks, 0.0), bounds(blocks, 0.0);
    for (std::size_t b = 0; b < blocks; ++b) {
      const std::size_t first = 16 * b, end = std::min(n, first + 16);
      for (std::size_t j = first; j < end; ++j) means[b] += std::abs(row.y[j]);  // eighths: exact
      means[b] /= static_cast<double>(end - first);
      for (std::size_t c = 0; c < d; ++c) {  // integers: exact
        double largest = -HUGE_VAL;
        for (std::size_t j = first; j < end; ++j)
          largest = std::max(largest, row.q[c] * row.k(j, c));
        bounds[b] += largest;
      }
    }
    const std::size_t budget = count(row.marks_of("lamp", tau));
    const Marks by_mean = row.marks_of("block-mean", tau),
                by_bound = row.marks_of("page-bound", tau);
    REQUIRE((count(by_mean) == budget && count(by_bound) == budget));
    CHECK(is_of_highest_blocks(by_mean, means));
    CHECK(is_of_highest_blocks(by_bound, bounds));
    partial += budget > 16 && budget % 16 != 0 && budget < n ? 1 : 0;
    differ += by_mean != by_bound ? 1 : 0;
  }
  CHECK(partial > 50);
  CHECK(differ > 50);
}

TEST_CASE("rules: blocks tie by index; the last block may be short; NaN comes first", "[lamp]") {
  SelectionScratch scratch;
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const auto marked = [&](std::size_t n, std::size_t size, const std::vector<double>& scores) {
    Marks marks(n, 7);
    mark_blocks(size, scores, marks, scratch);
    std::vector<std::size_t> indices;
    for (std::size_t j = 0; j < n; ++j)
      if (marks[j] != 0) indices.push_back(j);
    return indices;
  };
  const auto from_to = [](std::size_t first, std::size_t last, std::vector<std::size_t> more = {}) {
    std::vector<std::size_t> indices(last + 1 - first);
    std::iota(indices.begin(), indices.end(), first);
    more.insert(more.end(), indices.begin(), indices.end());
    return more;
  };
  CHECK(marked(35, 3, {1.0, 2.0, 2.0}) == from_to(16, 18));
  CHECK(marked(35, 5, {1.0, 2.0, 3.0}) == from_to(32, 34, {16, 17}));
  CHECK(marked(35, 2, {HUGE_VAL, 2.0, nan}) == from_to(32, 33));
  CHECK(marked(35, 1, {-0.0, 0.0, -1.0}) == from_to(0, 0));
  CHECK(marked(35, 35, {nan, nan, nan}) == from_to(0, 34));
  CHECK(marked(1, 1, {-HUGE_VAL}) == from_to(0, 0));
  CHECK(marked(16, 0, {1.0}).empty());
  CHECK(marked(0, 0, {}).empty());
}

TEST_CASE("rules: the bound of a page is a fused sum, and a box", "[lamp]") {
  const double a = 1.0 + 0x1p-30, b = 1.0 + 0x1p-30, product = a * b;
  const double rest = std::fma(a, b, -product);
  REQUIRE(rest > 0.0);
  test::Random random(7);
  const auto first_marked = [&](std::vector<double> q, const std::vector<double>& last_page) {
    Row row(random, 20, q.size());
    row.q = std::move(q);
    std::fill(row.z.begin(), row.z.end(), 1.0 / 20), std::fill(row.y.begin(), row.y.end(), 0.0);
    for (std::size_t j = 0; j < 20; ++j)
      for (std::size_t c = 0; c < row.q.size(); ++c)
        row.k(j, c) = j < 16 ? 0.0 : last_page[(j % 2) * row.q.size() + c];
    SelectionScratch scratch;
    Marks marks(20);
    select_row({.rule = rule_named("page-bound"), .tau = std::nullopt, .rate = 0.05},
               targets::softmax, row.view(), {}, marks, scratch);
    return std::find(marks.begin(), marks.end(), 1) - marks.begin();
  };
  CHECK(first_marked({-1.0, a}, {product, b, product, b}) == 16);  // rounded products: a tie
  CHECK(first_marked({1.0, 1.0}, {3.0, -2.0, -2.0, 3.0}) == 16);   // 6, though no key has above 1
  CHECK(first_marked({1.0, 1.0}, {0.0, 0.0, -1.0, 0.0}) == 0);
  CHECK(first_marked({0.0, 1.0}, {HUGE_VAL, -9.0, HUGE_VAL, -9.0}) == 16);  // 0 inf: no bound
}

TEST_CASE("rules: a row that LAMP refuses is selected whole by the rules with its budget",
          "[lamp]") {
  test::Random random(8);
  Row row(random, 40, 2);
  row.y[3] = row.z[3] = std::numeric_limits<double>::quiet_NaN();
  row.k(3, 0) = row.k(3, 1) = std::numeric_limits<double>::quiet_NaN();
  for (const std::string_view rule : {"window", "block-mean", "page-bound"})
    CHECK(row.marks_of(rule, 1.5) == Marks(40, 1));
}

TEST_CASE("rules: an own rule is shown LAMP's sets, row by row or together", "[lamp]") {
  // Takes what LAMP leaves, and notes which rows it was shown together.
  struct Others final : OwnRule {
    std::vector<std::uint32_t> first{}, shown{};
    void mark(const OwnRows& rows, std::span<const std::span<std::uint8_t>> selected) override {
      first.push_back(rows.first.row);
      shown.push_back(static_cast<std::uint32_t>(rows.rows.size()));
      for (const std::span<std::uint8_t> set : selected)
        for (std::uint8_t& mark : set) mark = mark == 0 ? 1 : 0;
    }
  } others;
  test::Random random(9);
  const std::vector<Row> rows{Row(random, 3, 2), Row(random, 20, 2), Row(random, 21, 2)};
  SelectionSpec spec{.rule = &own_rule, .tau = 1.3};
  spec.own = &others;
  std::vector<SelectionRow> seen;
  std::vector<Marks> together, lamps, alone;
  for (const Row& row : rows) {
    seen.push_back(row.view());
    lamps.push_back(row.marks_of("lamp", 1.3));
    together.emplace_back(row.y.size());
    alone.emplace_back(row.y.size());
  }
  const std::vector<std::span<std::uint8_t>> sets(together.begin(), together.end());
  SelectionScratch scratch;
  select_rows(spec, targets::softmax, seen, {.row = 7}, sets, scratch);
  CHECK(scratch.seen.selected);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t size =
        select_row(spec, targets::softmax, seen[i], {.row = 7}, alone[i], scratch);
    CHECK(size == count(alone[i]));
    CHECK(alone[i] == together[i]);
    for (std::size_t j = 0; j < alone[i].size(); ++j) CHECK(alone[i][j] + lamps[i][j] == 1);
  }
  CHECK(others.first == std::vector<std::uint32_t>{7, 7, 7, 7});
  CHECK(others.shown == std::vector<std::uint32_t>{3, 1, 1, 1});
  CHECK(check(spec, targets::rms_norm).empty());

  // A rule of the table has the same marks by itself, and draws for its own row.
  spec = {.rule = rule_named("random"), .tau = 1.3};
  select_rows(spec, targets::softmax, seen, {.seed = 3, .row = 7}, sets, scratch);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    select_row(spec, targets::softmax, seen[i],
               {.seed = 3, .row = 7 + static_cast<std::uint32_t>(i)}, alone[i], scratch);
    CHECK(alone[i] == together[i]);
  }
}
