// Forward selection against whole passes, one for every candidate of every step.
#include "analysis/truth/forward.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "tests/analysis/truth/question.hpp"
#include "tests/support/bits.hpp"

namespace lamp {
namespace {

using test::Asked;
using test::same_bits;
using test::sorter;
using truth::Background;
using truth::ForwardSelection;
using truth::Row;
using truth::Step;

struct Score {
  Row row;
  std::uint32_t key;
};

std::vector<Score> scores_of(std::span<const Row> rows) {
  std::vector<Score> all;
  for (const Row& row : rows)
    for (std::uint32_t j = 0; j <= row.query; ++j) all.push_back({row, j});
  return all;
}

bool has(const std::vector<Score>& scores, const Row& row, std::size_t key) {
  return std::any_of(scores.begin(), scores.end(),
                     [&](const Score& s) { return s.row == row && s.key == key; });
}

/// KL of a whole pass with these scores recomputed.
double kl_with(const Asked& asked, const Matrix<double>& reference,
               const std::vector<Score>& recomputed) {
  return test::effect_of(asked, reference,
                         test::logits_of(asked, asked.high,
                                         [&](const Row& row, std::size_t key) {
                                           return has(recomputed, row, key);
                                         }))
      .kl;
}

/// The definition: whole passes of all candidates, the first least one.
ForwardSelection by_brute_force(const Asked& asked, std::span<const Row> rows, std::size_t steps) {
  const Matrix<double> reference = test::logits_of(asked, asked.reference);
  const std::vector<Score> all = scores_of(rows);
  ForwardSelection found;
  std::vector<Score> chosen, single;
  std::vector<double> first(all.size());
  for (std::size_t k = 0; k < steps && k < all.size(); ++k) {
    const Score* best = nullptr;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t c = 0; c < all.size(); ++c) {
      if (has(chosen, all[c].row, all[c].key)) continue;
      chosen.push_back(all[c]);
      const double kl = kl_with(asked, reference, chosen);
      chosen.pop_back();
      if (k == 0) first[c] = kl;
      if (kl < least) least = kl, best = &all[c];
    }
    chosen.push_back(*best);
    found.steps.push_back({best->row, best->key, least});
  }
  for (std::size_t k = 0; k < steps && k < all.size(); ++k) {
    std::size_t best = all.size();
    for (std::size_t c = 0; c < all.size(); ++c)
      if (!has(single, all[c].row, all[c].key) && (best == all.size() || first[c] < first[best]))
        best = c;
    single.push_back(all[best]);
    found.single_kl.push_back(kl_with(asked, reference, single));
  }
  return found;
}

bool same(const std::vector<Step>& x, const std::vector<Step>& y) {
  return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](const Step& a, const Step& b) {
    return a.row == b.row && a.key == b.key && same_bits(a.kl, b.kl);
  });
}
bool same(const ForwardSelection& x, const ForwardSelection& y) {
  return same(x.steps, y.steps) && x.single_kl.size() == y.single_kl.size() &&
         same_bits(x.single_kl, y.single_kl);
}

ForwardSelection forward_of(const Asked& asked, std::span<const Row> rows, std::size_t steps,
                            std::size_t threads = 2) {
  const Background exact = Background::reference(asked.question());
  auto found = truth::forward_selection(asked.question(), exact, rows, steps, threads, {});
  REQUIRE(found.has_value());
  return *std::move(found);
}

}  // namespace

TEST_CASE("forward selection: each step by whole passes of all that is left", "[truth][forward]") {
  // High is not the reference's own arithmetic, and low differs by head.
  PrecisionPlan low(lamp_paper(2));
  low.set({.site = Site::scores, .layer = Layer{1}, .head = Head{0}}, lamp_paper(3));
  const Asked asked(sorter(), 5, PrecisionPlan(fused(binary64)), low, fused(ps(12)));
  const std::vector<Row> rows = truth::all_rows(asked.model.config, Site::scores, 5);
  const ForwardSelection expected = by_brute_force(asked, rows, 6),
                         found = forward_of(asked, rows, 6);
  REQUIRE((expected.steps.size() == 6 && expected.single_kl.size() == 6));
  CHECK(same(found, expected));
  CHECK(same_bits(found.steps[0].kl, found.single_kl[0]));
  // It is another thing than the first ranking, and the ranking is over layers.
  CHECK(found.steps[5].kl < found.single_kl[5]);
  CHECK(std::any_of(found.steps.begin(), found.steps.end(),
                    [](const Step& s) { return s.row.layer != Layer{2}; }));
  for (const std::size_t threads : std::array<std::size_t, 3>{0, 1, 5})
    CHECK(same(forward_of(asked, rows, 6, threads), found));
}

TEST_CASE("forward selection: ties, few scores, few rows", "[truth][forward]") {
  // Nothing that is recomputed changes anything: always the first that is left.
  const Asked same_arithmetic(sorter(), 3, PrecisionPlan(fused(binary64)),
                              PrecisionPlan(lamp_paper(2)), lamp_paper(2));
  const std::vector<Row> rows = truth::all_rows(sorter().config, Site::scores, 3);
  const std::vector<Score> all = scores_of(rows);
  const ForwardSelection tied = forward_of(same_arithmetic, rows, 60);
  REQUIRE((tied.steps.size() == 54 && tied.single_kl.size() == 54));
  for (std::size_t k = 0; k < all.size(); ++k) {
    CHECK((tied.steps[k].row == all[k].row && tied.steps[k].key == all[k].key));
    CHECK((same_bits(tied.steps[k].kl, tied.steps[0].kl) &&
           same_bits(tied.single_kl[k], tied.steps[0].kl)));
  }

  const Asked asked = test::asked_of_ps(sorter(), 6, 2);
  const std::vector<Row> two{{Layer{2}, Head{1}, 3}, {Layer{0}, Head{2}, 5}};
  CHECK(same(forward_of(asked, two, 100), by_brute_force(asked, two, 10)));
  CHECK(forward_of(asked, two, 100).steps.size() == 10);
  CHECK(same(forward_of(asked, two, 0), {}));
  CHECK(same(forward_of(asked, {}, 3), {}));
  const Asked one = test::asked_of_ps(sorter(), 1, 2);  // a row of one: no score has an effect
  const ForwardSelection none =
      forward_of(one, truth::all_rows(sorter().config, Site::scores, 1), 2);
  REQUIRE(none.steps.size() == 2);
  CHECK((none.steps[1].row == Row{Layer{0}, Head{1}, 0} && none.steps[1].kl == 0.0));
}

TEST_CASE("forward selection: what recomputing makes NaN is never chosen", "[truth][forward]") {
  constexpr FloatFormat to_nan{
      .p = 8, .emin = -20, .emax = -1, .infinities = false, .overflow = Overflow::nan};
  const Asked asked(sorter(), 5, PrecisionPlan(fused(binary64)), PrecisionPlan(lamp_paper(2)),
                    fused(to_nan));
  const std::vector<Row> rows{{Layer{0}, Head{1}, 4}, {Layer{1}, Head{0}, 4}};
  const Background exact = Background::reference(asked.question()),
                   low = Background::all_low(asked.question(), exact);
  const ForwardSelection found = forward_of(asked, rows, 10);
  std::size_t numbers = 0;  // of the recomputed scores where all others are low
  for (const Row& row : rows)
    for (const double y : low.other(row)) numbers += !std::isnan(y);
  REQUIRE((numbers > 0 && numbers < 10));
  CHECK((!found.steps.empty() && found.steps.size() < 10 && found.single_kl.size() == numbers));
  for (const Step& step : found.steps) CHECK(std::isfinite(step.kl));
}

TEST_CASE("forward selection: the first ranking, more sets of it than are together in memory",
          "[truth][forward]") {
  const Asked asked = test::asked_of_ps(sorter(), 4, 2);
  const std::vector<Row> rows = truth::all_rows(sorter().config, Site::scores, 4);
  const Background exact = Background::reference(asked.question()),
                   low = Background::all_low(asked.question(), exact);
  std::vector<Score> order = scores_of(rows);
  std::vector<std::pair<double, std::size_t>> kl;
  for (std::size_t c = 0; c < order.size(); ++c) {
    const truth::Change change{order[c].row, std::span(&order[c].key, 1)};
    kl.emplace_back(low.effects(std::span(&change, 1), 1, {})[0].kl, c);
  }
  std::sort(kl.begin(), kl.end());
  const Matrix<double> reference = test::logits_of(asked, asked.reference);
  const std::vector<double> found = forward_of(asked, rows, 70).single_kl;
  REQUIRE(found.size() == 70);
  std::vector<Score> recomputed;
  for (std::size_t k = 0; k < found.size(); ++k) {
    recomputed.push_back(order[kl[k].second]);
    CHECK(same_bits(found[k], kl_with(asked, reference, recomputed)));
  }
}

TEST_CASE("forward selection: a stop leaves nothing", "[truth][forward]") {
  const Asked asked = test::asked_of_ps(sorter(), 4, 2);
  const Background exact = Background::reference(asked.question());
  const std::vector<Row> rows = truth::all_rows(sorter().config, Site::scores, 4);
  const auto stopped_after = [&](int calls) {
    std::atomic<int> so_far = 0;
    return !truth::forward_selection(asked.question(), exact, rows, 3, 2, [&] {
              return so_far++ >= calls;
            }).has_value();
  };
  // 3 layers are 3 batches of a step; then there are 3 whole passes.
  CHECK((stopped_after(0) && stopped_after(4) && stopped_after(9) && stopped_after(11)));
  CHECK_FALSE(stopped_after(12));
}

TEST_CASE("truth beside scores that are recomputed already: the bits of whole passes",
          "[truth][forward]") {
  Arithmetic stochastic = fused(ps(4));
  stochastic.mac.rounding = Rounding::sr;
  PrecisionPlan mixed(lamp_paper(3));
  mixed.set({.site = Site::scores, .layer = Layer{1}, .head = Head{2}}, stochastic);
  Arithmetic noisy = fused(ps(12));
  noisy.mac.rounding = Rounding::sr;
  for (const Arithmetic& high : {fused(binary64), noisy}) {
    const Asked asked(sorter(), 7, PrecisionPlan(fused(binary64)), mixed, high);
    const Background exact = Background::reference(asked.question());
    const std::vector<Row> rows = truth::all_rows(asked.model.config, Site::scores, 7);
    std::vector<Score> chosen;  // in some rows all, in some none
    GivenSets sets = GivenSets::none(3, 3, 7, 7);
    const std::vector<Score> all = scores_of(rows);
    for (std::size_t c = 0; c < all.size(); ++c) {
      const auto& [row, key] = all[c];
      if (row.query == 4 || (c * c % 7 > 1 && row.query % 3 != 0)) continue;
      chosen.push_back(all[c]);
      sets.marks[((row.layer.value * 3 + row.head.value) * 7 + row.query) * 7 + key] = 1;
    }
    REQUIRE((chosen.size() > 90 && chosen.size() < 200));
    const Background some = Background::with_recomputed(asked.question(), exact, sets);
    const Matrix<double> reference = test::logits_of(asked, asked.reference);
    CHECK(same_bits(some.effect().kl, kl_with(asked, reference, chosen)));
    std::vector<truth::Change> changes;
    for (const auto& [row, key] : all) changes.push_back({row, std::span(&key, 1)});
    const std::vector<truth::Effect> effects = some.effects(changes, 2, {});
    REQUIRE(effects.size() == all.size());
    for (std::size_t c = 0; c < all.size(); c += 5) {
      std::vector<Score> with = chosen;
      with.push_back(all[c]);
      CAPTURE(all[c].row.layer.value, all[c].row.head.value, all[c].row.query, all[c].key);
      CHECK(same_bits(effects[c].kl, kl_with(asked, reference, with)));
    }
  }
}

}  // namespace lamp
