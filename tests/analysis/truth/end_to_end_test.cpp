// Truth end to end: the effects of single changes against whole passes, bit for bit by forward()
// and to rounding errors by the oracle; derivatives against the oracle's.
#include "analysis/truth/end_to_end.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "analysis/oracle/derivatives.hpp"
#include "analysis/oracle/losses.hpp"
#include "analysis/oracle/pass.hpp"
#include "analysis/truth/passes.hpp"
#include "tests/analysis/truth/question.hpp"
#include "tests/support/bits.hpp"

namespace lamp {
namespace {

using oracle::Score;
using test::Asked;
using test::same_bits;
using test::sorter;
using truth::Background;
using truth::Change;
using truth::Derivative;
using truth::Effect;
using truth::LogitSum;
using truth::Row;

using Logits = oracle::Matrix<double>;
using Pass = oracle::Pass<double>;

oracle::Index at(std::size_t i) { return static_cast<oracle::Index>(i); }

/// 0, 1, ..: a change of one key is a part of it.
const std::vector<std::uint32_t>& keys() {
  static const std::vector<std::uint32_t> all = [] {
    std::vector<std::uint32_t> numbers(64);
    for (std::size_t j = 0; j < numbers.size(); ++j) numbers[j] = static_cast<std::uint32_t>(j);
    return numbers;
  }();
  return all;
}

/// Every stride-th score by itself.
std::vector<Change> single_changes(const Asked& asked, std::size_t stride = 1) {
  std::vector<Change> changes;
  std::size_t number = 0;
  for (const Row& row : truth::all_rows(asked.model.config, Site::scores, asked.tokens.size()))
    for (std::size_t j = 0; j <= row.query; ++j)
      if (number++ % stride == 0) changes.push_back({row, std::span(keys()).subspan(j, 1)});
  return changes;
}

bool same(const Effect& x, const Effect& y) {
  return same_bits(x.kl, y.kl) && same_bits(x.logit_max, y.logit_max);
}
bool same(const std::vector<Effect>& x, const std::vector<Effect>& y) {
  return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                    [](const Effect& a, const Effect& b) { return same(a, b); });
}
bool same(const std::vector<Derivative>& x, const std::vector<Derivative>& y) {
  return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                    [](const Derivative& a, const Derivative& b) {
                      return same_bits(a.half_variance, b.half_variance) && same_bits(a.kl, b.kl) &&
                             same_bits(a.log_likelihood, b.log_likelihood);
                    });
}

/// Each change on both backgrounds against a whole pass with it.
void check_by_whole_passes(const Asked& asked, std::span<const Change> changes) {
  const Background exact = Background::reference(asked.question()),
                   low = Background::all_low(asked.question(), exact);
  const Matrix<double> reference = test::logits_of(asked, asked.reference);
  const Arithmetic& own = asked.reference.at(Site::scores);
  CHECK(same(low.effect(),
             test::effect_of(asked, reference, test::logits_of(asked, asked.low_scores()))));
  for (const bool one_high : {false, true}) {
    const std::vector<Effect> effects = (one_high ? low : exact).effects(changes, 2, {});
    REQUIRE(effects.size() == changes.size());
    for (std::size_t c = 0; c < changes.size(); ++c) {
      const auto is_changed = [&](const Row& row, std::size_t key) {
        const auto changed = changes[c].keys;
        return row == changes[c].row &&
               std::find(changed.begin(), changed.end(), key) != changed.end();
      };
      const auto is_high = [&](const Row& row, std::size_t key) {
        return is_changed(row, key) == one_high;
      };
      const Effect want = test::effect_of(
          asked, reference, test::logits_of(asked, one_high ? asked.high : own, is_high));
      const Row& row = changes[c].row;
      INFO((one_high ? "high" : "low")
           << " in layer " << row.layer.value << ", head " << row.head.value << ", query "
           << row.query << ", key " << (changes[c].keys.empty() ? 99 : changes[c].keys[0]));
      REQUIRE(same(effects[c], want));
    }
  }
}

/// x rounded to binary32, then to mu + 1 bits, both RNE. Pre: neither overflows nor underflows.
double ps(double x, int mu) {
  int exponent = 0;
  const double y = static_cast<double>(static_cast<float>(x));
  (void)std::frexp(y, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(y, mu + 1 - exponent)), exponent - mu - 1);
}

double& value_of(double& x) { return x; }
double& value_of(oracle::Dual<double>& x) { return x.value; }
double value_of(const double& x) { return x; }
double value_of(const oracle::Dual<double>& x) { return x.value; }

/// Change of the oracle's pass: all scores in PS(mu), from its own queries and keys. Derivatives
/// stay those of the scores.
auto all_in_ps(int mu) {
  return [mu](const auto& head) {
    const double root = std::sqrt(static_cast<double>(head.q.cols()));
    for (oracle::Index i = head.first_row; i < head.y.rows(); ++i)
      for (oracle::Index j = 0; j <= i; ++j) {
        double sum = 0.0;
        for (oracle::Index c = 0; c < head.q.cols(); ++c)
          sum = ps(std::fma(value_of(head.q(i, c)), value_of(head.k(j, c)), sum), mu);
        value_of(head.y(i, j)) = ps(sum / root, mu);
      }
  };
}

double largest_error(const Logits& x, const Logits& y) { return (x - y).cwiseAbs().maxCoeff(); }

}  // namespace

// Tolerances: the logits of either run are off by up to e, KL by sqrt(2 KL) e + e^2 / 2
// (oracle_test); for both together twice that.
TEST_CASE("truth end to end: every score alone low and alone recomputed, by the oracle",
          "[truth][end-to-end]") {
  constexpr double e = 0x1p-44;
  constexpr int mu = 2;
  const Asked asked = test::asked_of_ps(sorter(), 6, mu);
  const Background exact = Background::reference(asked.question()),
                   low = Background::all_low(asked.question(), exact);
  const oracle::Weights<double> weights(asked.model);
  const auto all_low = all_in_ps(mu);
  const Pass exact_pass = oracle::forward<double>(weights, asked.tokens),
             low_pass = oracle::forward<double>(weights, asked.tokens, all_low);
  const auto agrees = [&](const Effect& found, const Logits& logits) {
    const double kl = oracle::mean_kl(exact_pass.logits, logits);
    return std::abs(found.kl - kl) <= 2.0 * (std::sqrt(2.0 * kl) * e + e * e / 2.0) &&
           std::abs(found.logit_max - largest_error(logits, exact_pass.logits)) <= 2.0 * e;
  };
  CHECK(same(exact.effect(), Effect{0.0, 0.0}));
  CHECK(agrees(low.effect(), low_pass.logits));

  const std::vector<Change> changes = single_changes(asked);
  REQUIRE(changes.size() == 3 * 3 * 21);
  LogitSum found_sum;
  const std::vector<Effect> one_low = exact.effects(changes, 2, {}, &found_sum),
                            one_high = low.effects(changes, 2, {});
  REQUIRE((one_low.size() == changes.size() && one_high.size() == changes.size()));
  Logits sum = Logits::Zero(exact_pass.logits.rows(), exact_pass.logits.cols());
  std::size_t no_effect = 0, harmful = 0;
  for (std::size_t c = 0; c < changes.size(); ++c) {
    const auto& [row, key] = changes[c];
    const Score s{row.layer, row.head, row.query, key[0]};
    CAPTURE(s.layer.value, s.head.value, s.query, s.key);
    Logits low_scores = exact_pass.layers[s.layer.value].scores[s.head.value];
    const auto& qkv = exact_pass.layers[s.layer.value].qkv;
    const oracle::Index d = weights.d_head(), h = at(s.head.value) * d;
    all_low(oracle::HeadScores<double>{s.layer, s.head, 0, qkv.middleCols(h, d),
                                       qkv.middleCols(weights.width() + h, d), low_scores});
    const double low_score = low_scores(at(s.query), at(s.key));
    REQUIRE(same_bits(exact.other(row)[s.key], low_score));
    const Pass run = oracle::rerun(weights, exact_pass, s, oracle::replace(s, low_score));
    CHECK(agrees(one_low[c], run.logits));
    sum += run.logits - exact_pass.logits;
    const Pass high = oracle::rerun(weights, low_pass, s, [&](const auto& head) {
      const Logits recomputed = head.y;
      all_low(head);
      if (head.layer == s.layer && head.head == s.head)
        head.y(at(s.query), at(s.key)) = recomputed(at(s.query), at(s.key));
    });
    CHECK(agrees(one_high[c], high.logits));
    no_effect += one_low[c].kl == 0.0, harmful += one_high[c].kl > low.effect().kl;
  }
  CHECK(no_effect == 9);  // rows of one
  CHECK((harmful > 20 && harmful < 160));
  // LogitSum cuts each of the 189 terms to multiples of 2^-44, and each is off by up to e.
  const double variance = oracle::half_variance(exact_pass.logits, sum) / 6.0,
               cut = static_cast<double>(changes.size()) * (LogitSum::unit + e);
  CHECK(std::abs(found_sum.half_variance(exact.target()) - variance) <=
        std::sqrt(2.0 * variance) * cut + cut * cut);
}

TEST_CASE("truth end to end: derivatives of every score, by the oracle", "[truth][end-to-end]") {
  const Asked asked = test::asked_of_ps(sorter(), 6, 2);
  const Background exact = Background::reference(asked.question()),
                   low = Background::all_low(asked.question(), exact);
  const std::span<const TokenId> tokens(asked.tokens);
  const oracle::Weights<double> weights(asked.model);
  const auto all_low = all_in_ps(2);
  const Pass exact_pass = oracle::forward<double>(weights, tokens),
             low_pass = oracle::forward<double>(weights, tokens, all_low);
  const auto dual = oracle::forward<oracle::Dual<double>>(weights, tokens),
             low_dual = oracle::forward<oracle::Dual<double>>(weights, tokens, all_low);
  const auto likelihood = oracle::gradient(
                 weights, exact_pass, oracle::log_likelihood_gradient(exact_pass.logits, tokens)),
             low_likelihood = oracle::gradient(
                 weights, low_pass, oracle::log_likelihood_gradient(low_pass.logits, tokens)),
             kl = oracle::gradient(weights, low_pass,
                                   oracle::kl_gradient(exact_pass.logits, low_pass.logits));
  const std::vector<Row> rows = truth::all_rows(asked.model.config, Site::scores, 6);
  const std::vector<Derivative> derivatives = exact.derivatives(rows, 2, {}),
                                low_derivatives = low.derivatives(rows, 2, {});
  REQUIRE((derivatives.size() == 189 && low_derivatives.size() == 189));
  const auto agree = [](double found, double want, double floor) {
    return std::abs(found - want) <= 1e-6 * std::abs(want) + floor;
  };
  // Logits off by e make a difference quotient of h off by e / h; half a variance v by sqrt(2 v)
  // times that, a mean by that times the size of what it is a mean of.
  constexpr double h = 0x1p-12, slope_error = 0x1p-47 / h;
  std::size_t n = 0, differ = 0;
  for (const Row& row : rows)
    for (std::size_t j = 0; j <= row.query; ++j, ++n) {
      const Score s{row.layer, row.head, row.query, j};
      CAPTURE(s.layer.value, s.head.value, s.query, s.key);
      const auto of = [&](const auto& gradient) {
        return gradient[s.layer.value][s.head.value](at(s.query), at(j));
      };
      const auto variance_along = [&](const Logits& tangent) {
        return oracle::half_variance(exact_pass.logits, tangent) / 6.0;
      };
      const double variance = variance_along(oracle::tangent(weights, dual, s)),
                   low_variance = variance_along(oracle::tangent(weights, low_dual, s, all_low));
      CHECK(agree(derivatives[n].half_variance, variance, std::sqrt(variance) * slope_error));
      CHECK(agree(derivatives[n].log_likelihood, of(likelihood), slope_error));
      CHECK(std::abs(derivatives[n].kl) <= slope_error);  // KL is least at the reference
      CHECK((variance > 0.0) == (s.query > 0));
      CHECK(agree(low_derivatives[n].half_variance, low_variance,
                  std::sqrt(low_variance) * slope_error));
      CHECK(agree(low_derivatives[n].log_likelihood, of(low_likelihood), slope_error));
      CHECK(agree(low_derivatives[n].kl, of(kl) / 6.0, slope_error));
      differ += s.layer.value == 0 && std::abs(low_variance - variance) > 0.01 * variance;
    }
  CHECK(differ > 30);
}

TEST_CASE("truth end to end: the bits of whole passes", "[truth][end-to-end]") {
  Arithmetic stochastic = fused(ps(4));
  stochastic.mac.rounding = Rounding::sr;
  PrecisionPlan mixed(lamp_paper(3));  // of a plan for low the scores alone are looked at
  mixed.set({.site = Site::scores, .layer = Layer{1}}, lamp_paper(1));
  mixed.set({.site = Site::scores, .layer = Layer{1}, .head = Head{2}}, stochastic);
  mixed.set(Site::softmax, lamp_paper(1));
  PrecisionPlan reference(fused(binary64));
  reference.set(Site::mlp_fc, fused(binary32));
  for (const Asked& asked :
       {test::asked_of_ps(sorter(), 11, 2),
        Asked(sorter(), 9, PrecisionPlan(fused(binary32)), mixed, fused(ps(10))),
        Asked(sorter(), 1, reference, mixed, fused(binary32))}) {
    std::vector<Change> changes = single_changes(asked, 11);
    for (const Row& row : truth::all_rows(asked.model.config, Site::scores, asked.tokens.size()))
      if (row.query % 5 == 0)  // none, the even keys, all
        for (const std::size_t count : {std::size_t{0}, row.query + 1})
          changes.push_back({row, std::span(keys()).first(count)});
    const std::vector<std::uint32_t> even{0, 2, 4};
    if (asked.tokens.size() > 5) changes.push_back({{Layer{1}, Head{0}, 5}, even});
    check_by_whole_passes(asked, changes);
  }
  const Model nano = test::model_in("/data/models/gpt2-nano");
  const Asked asked = test::asked_of_ps(nano, 12, 4);
  check_by_whole_passes(asked, single_changes(asked, 67));
}

TEST_CASE("truth end to end: low scores that are infinite or NaN", "[truth][end-to-end]") {
  // xmax is 1.75 and 1.875: about half of the scores overflow.
  const FloatFormat to_nan{.p = 4,
                           .emin = -6,
                           .emax = 0,
                           .infinities = false,
                           .top_codes_lost = 1,
                           .overflow = Overflow::nan},
      to_infinity{.p = 4, .emin = -6, .emax = 0};
  for (const FloatFormat& format : {to_nan, to_infinity}) {
    const Asked asked(sorter(), 7, PrecisionPlan(fused(binary64)), PrecisionPlan(fused(format)),
                      fused(binary64));
    const Background exact = Background::reference(asked.question()),
                     low = Background::all_low(asked.question(), exact);
    const std::vector<Change> changes = single_changes(asked);
    check_by_whole_passes(asked, changes);
    LogitSum sum;
    const std::vector<Effect> effects = exact.effects(changes, 1, {}, &sum);
    std::size_t finite = 0, minus_infinity = 0;
    for (std::size_t c = 0; c < changes.size(); ++c) {
      const double y = exact.other(changes[c].row)[changes[c].keys[0]];
      const bool masks = y < 0.0 && changes[c].row.query > 0 && std::isinf(y);
      CAPTURE(y, changes[c].row.query);
      CHECK(std::isnan(effects[c].kl) == !(std::isfinite(y) || masks));
      CHECK(std::isnan(effects[c].logit_max) == std::isnan(effects[c].kl));
      finite += std::isfinite(y), minus_infinity += masks;
    }
    CHECK((finite > 50 && finite < changes.size() - 50));
    CHECK((minus_infinity > 10) == format.infinities);
    CHECK((std::isnan(low.effect().kl) && std::isnan(low.effect().logit_max)));
    CHECK(std::isnan(sum.half_variance(exact.target())));
    for (const Derivative& d :
         low.derivatives(truth::all_rows(sorter().config, Site::scores, 7), 1, {}))
      CHECK(std::isnan(d.half_variance) == std::isnan(d.kl));

    // Infinite logits of the reference itself.
    const Asked broken(sorter(), 4, PrecisionPlan(fused(format)), PrecisionPlan(lamp_paper(2)),
                       fused(format));
    const Background reference = Background::reference(broken.question());
    CHECK((std::isnan(reference.effect().kl) && std::isnan(reference.effect().logit_max)));
    for (const Effect& effect : reference.effects(single_changes(broken), 1, {}))
      CHECK((std::isnan(effect.kl) && std::isnan(effect.logit_max)));
  }
}

TEST_CASE("truth end to end: the same bits for any threads, order and division of the list",
          "[truth][end-to-end]") {
  const Asked asked = test::asked_of_ps(sorter(), 11, 2);
  const Background exact = Background::reference(asked.question()),
                   low = Background::all_low(asked.question(), exact);
  std::vector<Change> changes = single_changes(asked);
  LogitSum sum;
  const std::vector<Effect> effects = low.effects(changes, 1, {}, &sum);
  const double variance = sum.half_variance(low.target());
  CHECK(variance > 0.0);
  for (const std::size_t threads : std::array<std::size_t, 3>{0, 2, 7}) {
    LogitSum other;
    CHECK(same(low.effects(changes, threads, {}, &other), effects));
    CHECK(same_bits(other.half_variance(low.target()), variance));
  }
  LogitSum parts;  // of 1, 38, 555 changes
  std::vector<Effect> found;
  for (const auto& [first, count] : {std::pair{0, 1}, {1, 38}, {39, 555}})
    for (const Effect& effect : low.effects(
             std::span(changes).subspan(std::size_t(first), std::size_t(count)), 2, {}, &parts))
      found.push_back(effect);
  CHECK(same(found, effects));
  CHECK(same_bits(parts.half_variance(low.target()), variance));
  CHECK(low.effects({}, 2, {}).empty());

  std::vector<std::size_t> order(changes.size());  // layers mixed: batches of one
  for (std::size_t c = 0; c < order.size(); ++c) order[c] = c * 101 % order.size();
  std::vector<Change> mixed;
  std::vector<Effect> expected;
  for (const std::size_t c : order) mixed.push_back(changes[c]), expected.push_back(effects[c]);
  LogitSum shuffled;
  CHECK(same(low.effects(mixed, 3, {}, &shuffled), expected));
  CHECK(same_bits(shuffled.half_variance(low.target()), variance));

  const std::vector<Row> rows = truth::all_rows(asked.model.config, Site::scores, 11);
  REQUIRE(rows.size() == 99);
  const std::vector<Derivative> derivatives = exact.derivatives(rows, 1, {});
  CHECK(same(exact.derivatives(rows, 3, {}), derivatives));
  std::vector<Derivative> one_by_one;
  for (const Row& row : rows)
    for (const Derivative& d : exact.derivatives(std::span(&row, 1), 1, {}))
      one_by_one.push_back(d);
  CHECK(same(one_by_one, derivatives));
}

TEST_CASE("truth end to end: a stop leaves nothing behind", "[truth][end-to-end]") {
  const Asked asked = test::asked_of_ps(sorter(), 11, 2);
  const Background exact = Background::reference(asked.question());
  const std::vector<Change> changes = single_changes(asked);
  const std::vector<Row> rows = truth::all_rows(asked.model.config, Site::scores, 11);
  const std::vector<PrecisionPlan> plans(5, asked.low_scores());
  std::atomic<int> asked_so_far = 0;
  const auto after = [&](int calls) { return [&, calls] { return asked_so_far++ >= calls; }; };
  for (const std::size_t threads : std::array<std::size_t, 2>{1, 2})
    for (const int calls : {0, 3}) {
      LogitSum sum;
      CHECK(exact.effects(changes, threads, after(asked_so_far + calls), &sum).empty());
      CHECK(std::isnan(sum.half_variance(exact.target())));  // of no position at all
      CHECK(exact.derivatives(rows, threads, after(asked_so_far + calls)).empty());
      CHECK(truth::kl_of_passes(asked.question(), exact.target(), plans, threads,
                                after(asked_so_far + calls))
                .empty());
    }
  asked_so_far = 0;
  CHECK(exact.effects(changes, 1, after(1000000)).size() == changes.size());
  CHECK(asked_so_far == 9);
}

TEST_CASE("truth end to end: sums of logit changes", "[truth][end-to-end]") {
  const std::vector<TokenId> tokens{0, 1};
  const auto variance = [&](const std::vector<std::array<double, 2>>& changes,
                            std::size_t vocabulary) {
    const ReferenceDistribution p(Matrix<double>(2, vocabulary, 0.0), tokens);
    LogitSum sum(2, vocabulary);
    std::vector<double> from(vocabulary, 3.0), to = from;
    for (const auto& [first, last] : changes) {
      to.front() = 3.0 + first, to.back() = 3.0 + last;
      sum.add(1, to, from);
    }
    return sum.half_variance(p);
  };
  // Under the uniform distribution of two, position 1 alone: ((a - b) / 2)^2 / 2 / 2.
  CHECK(variance({}, 2) == 0.0);
  CHECK(variance({{1.0, 1.0}}, 2) == 0.0);
  CHECK(variance({{1.0, 0.5}, {0.5, -0.5}}, 2) == 0x1.2p-3);
  CHECK(variance({{1023.0, 0.0}}, 2) == 1023.0 * 1023.0 / 16.0);
  for (const double bad : {1024.0, -1024.0, std::numeric_limits<double>::infinity(),
                           std::numeric_limits<double>::quiet_NaN()})
    CHECK(std::isnan(variance({{0.0, bad}, {0.0, 0.0}}, 2)));
  // So many large changes that integers of 64 bits may not hold their sum.
  CHECK(variance(std::vector<std::array<double, 2>>(500, {1000.0, 0.0}), 2) == 62.5e9 / 4.0);
  CHECK(std::isnan(variance(std::vector<std::array<double, 2>>(600, {1000.0, 0.0}), 2)));
  // Where probabilities are not kept: p is 1/V, of the change of one logit in V the variance is
  // (1 - 1/V) / V.
  constexpr std::size_t large = ReferenceDistribution::stored_probabilities / 2 + 1;
  CHECK(variance({{1.0, 0.0}}, large) * 4.0 * static_cast<double>(large) ==
        Approx(1.0).epsilon(1e-6));
}

}  // namespace lamp
