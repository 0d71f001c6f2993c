// Priorities of whole passes: what they say of each score, against single evaluations; how rules
// recompute by them.
#include "analysis/truth/priorities.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "analysis/truth/evidence.hpp"
#include "analysis/truth/local.hpp"
#include "core/model/ops/sites.hpp"
#include "core/selection/target.hpp"
#include "tests/analysis/truth/question.hpp"

namespace lamp {
namespace {

using test::Asked;
using test::sorter;
using truth::Background;
using truth::Row;

constexpr std::size_t length = 5;

std::vector<const Rule*> rules_that_know() {
  std::vector<const Rule*> found;
  for (const Rule& rule : rules)
    if (rule.traits.knows_pass) found.push_back(&rule);
  return found;
}

GivenPriorities priorities_of(const char* rule, const Asked& asked, std::size_t threads = 1) {
  std::optional<GivenPriorities> found = truth::priorities_of(
      truth::predictor_of_rule(*rule_named(rule)), asked.question(), threads, {});
  REQUIRE(found);
  REQUIRE((found->heads == asked.model.config.n_head && found->rows == asked.tokens.size() &&
           found->components == asked.tokens.size()));
  return *std::move(found);
}

/// Each score's priority is f(row, key).
template <class F>
void check_each(const GivenPriorities& found, const Asked& asked, F&& f) {
  std::size_t place = 0;
  for (std::size_t l = 0; l < asked.model.config.n_layer; ++l)
    for (std::size_t h = 0; h < asked.model.config.n_head; ++h)
      for (std::size_t i = 0; i < asked.tokens.size(); ++i)
        for (std::size_t j = 0; j < asked.tokens.size(); ++j, ++place) {
          CAPTURE(l, h, i, j);
          CHECK(found.values[place] == (j <= i ? f(Row{Layer{l}, Head{h}, i}, j) : 0.0));
        }
  CHECK(place == found.values.size());
}

}  // namespace

TEST_CASE("priorities: the KL of single runs, the benefit, and the error of the row",
          "[truth][priorities]") {
  const Asked asked = test::asked_of_ps(sorter(), length, 2);
  const truth::Question question = asked.question();
  const Background exact = Background::reference(question),
                   low = Background::all_low(question, exact);
  const auto effect = [](const Background& background, const Row& row, std::size_t j) {
    const std::vector<std::uint32_t> keys{static_cast<std::uint32_t>(j)};
    const std::vector<truth::Change> change{{row, keys}};
    return background.effects(change, 1, {})[0].kl;
  };
  check_each(priorities_of("truth:one-low", asked), asked,
             [&](const Row& row, std::size_t j) { return effect(exact, row, j); });
  check_each(priorities_of("truth:one-high", asked), asked,
             [&](const Row& row, std::size_t j) { return low.effect().kl - effect(low, row, j); });
  check_each(priorities_of("truth:local", asked), asked, [&](const Row& row, std::size_t j) {
    truth::HeadEvidence head(question, exact, row.layer, row.head);
    const truth::LocalRow local(exact.other(row), head.recomputed(row.query));
    std::vector<std::uint8_t> others(row.query + 1, 1);
    others[j] = 0;
    return local.errors(others).rel;
  });
}

TEST_CASE("priorities: Fisher's look at the reference alone", "[truth][priorities]") {
  const Asked asked = test::asked_of_ps(sorter(), length, 2),
              finer = test::asked_of_ps(sorter(), length, 9);
  const truth::Question question = asked.question();
  const Background exact = Background::reference(question);
  const GivenPriorities found = priorities_of("fisher", asked);
  check_each(found, asked, [&](const Row& row, std::size_t j) {
    const std::vector<Row> this_row{row};
    const double d = exact.derivatives(this_row, 1, {})[j].log_likelihood;
    Matrix<double> bounds(length, length);
    score_bounds(exact.input_of_scores(0, row.layer, row.head),
                 exact.input_of_scores(1, row.layer, row.head), bounds.view());
    const double w = bounds(row.query, j);
    return d * d * (w * w);
  });
  CHECK(priorities_of("fisher", finer).values == found.values);
  CHECK(priorities_of("truth:one-low", finer).values !=
        priorities_of("truth:one-low", asked).values);
}

TEST_CASE("priorities: the same for any number of threads; none where it is stopped",
          "[truth][priorities]") {
  const Asked asked = test::asked_of_ps(sorter(), length, 3);
  CHECK(rules_that_know().size() == 4);
  for (const Rule* rule : rules_that_know()) {
    CAPTURE(rule->name);
    const char* name = rule->name.data();
    CHECK(priorities_of(name, asked, 3).values == priorities_of(name, asked, 1).values);
    if (rule->name == "truth:local") continue;  // too short to be stopped
    CHECK_FALSE(truth::priorities_of(truth::predictor_of_rule(*rule), asked.question(), 2,
                                     [] { return true; }));
  }
}

TEST_CASE("priorities: what is not finite comes last", "[truth][priorities]") {
  PrecisionPlan low(lamp_paper(2));
  Arithmetic tiny = fused(binary64);
  tiny.mac.format = {.p = 4, .emin = -6, .emax = 1};  // scores overflow: NaN in softmax
  const Asked asked{sorter(), length, PrecisionPlan(fused(binary64)), PrecisionPlan(tiny),
                    fused(binary64)};
  const GivenPriorities found = priorities_of("truth:one-low", asked);
  std::size_t last = 0;
  for (const double x : found.values) {
    CHECK_FALSE(std::isnan(x));
    last += x == -std::numeric_limits<double>::infinity() ? 1U : 0U;
  }
  CHECK(last > 0);
}

TEST_CASE("priorities: a pass recomputes the largest of each row, as many as LAMP or the rate does",
          "[truth][priorities]") {
  const Asked asked = test::asked_of_ps(sorter(), length, 2);
  GivenPriorities given = priorities_of("truth:one-low", asked);
  std::vector<std::uint8_t> marks(3);
  SelectionScratch scratch;
  const std::vector<double> z{0.2, 0.5, 0.3};
  given.values[(1 * given.heads + 2) * 25 + 2 * 5 + 0] = 4.0;
  given.values[(1 * given.heads + 2) * 25 + 2 * 5 + 1] = -1.0;
  given.values[(1 * given.heads + 2) * 25 + 2 * 5 + 2] = 4.0;
  SelectionSpec spec{.rule = rule_named("truth:one-low"), .priorities = &given};
  const auto select = [&] {
    return select_row(spec, targets::softmax, {.z = z}, {.layer = 1, .head = 2, .row = 2}, marks,
                      scratch);
  };
  spec.tau = {}, spec.rate = 0.3;  // of equal ones the lower index
  CHECK(select() == 1);
  CHECK(marks == std::vector<std::uint8_t>{1, 0, 0});
  spec.rate = 0.6;
  CHECK(select() == 2);
  CHECK(marks == std::vector<std::uint8_t>{1, 0, 1});
  spec.tau = 1.5, spec.rate = {};  // LAMP's set costs 0.7 + 0.6 without 1: one more
  SelectionSpec lamp = spec;
  lamp.rule = rule_named("lamp");
  std::vector<std::uint8_t> of_lamp(3);
  const std::size_t count = select_row(lamp, targets::softmax, {.z = z}, {}, of_lamp, scratch);
  CHECK((count > 0 && count < 3));
  CHECK(select() == count);
}

}  // namespace lamp
