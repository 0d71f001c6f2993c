// A changed score row, from its layer and row on, has the bits of a whole pass in which it is
// changed: there by a selection rule of the test's own, which recomputes all scores but one, or one
// alone.
#include "core/model/suffix.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "core/arith/engine.hpp"
#include "core/arith/orders/order_text.hpp"
#include "core/model/ops/sites.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random_model.hpp"

namespace lamp {
namespace {

using test::same_bits;

Model read(const std::string& folder) {
  Result<Model> model = read_model(std::string(LAMP_SOURCE_DIR) + folder);
  INFO((model.ok() ? "" : model.error().message));
  REQUIRE(model.ok());
  return *std::move(model);
}

std::vector<TokenId> some_tokens(const Model& model, std::size_t length) {
  std::vector<TokenId> tokens;
  for (std::size_t t = 0; t < length; ++t)
    tokens.push_back(static_cast<TokenId>((t * t * 37 + t * 11 + 5) % model.config.vocab_size));
  return tokens;
}

/// The score that the rules below single out.
struct Score {
  std::size_t layer = 0, head = 0, query = 0, key = 0;
};
Score single;

std::size_t mark_but_one(const RuleInput& input, std::span<std::uint8_t> selected, bool chosen) {
  const bool here = input.where.layer == single.layer && input.where.head == single.head &&
                    input.where.row == single.query;
  std::fill(selected.begin(), selected.end(), static_cast<std::uint8_t>(chosen ? 0 : 1));
  if (here) selected[single.key] = chosen ? 1 : 0;
  return static_cast<std::size_t>(std::count(selected.begin(), selected.end(), 1));
}
constexpr Rule all_but_one{
    "all but one", [](const RuleInput& in, std::span<std::uint8_t> marks, SelectionScratch&) {
      return mark_but_one(in, marks, false);
    }};
constexpr Rule one_alone{"one alone",
                         [](const RuleInput& in, std::span<std::uint8_t> marks, SelectionScratch&) {
                           return mark_but_one(in, marks, true);
                         }};

/// The logits of a whole pass in which the rule chooses what is `high`.
Matrix<double> whole(const Model& model, std::span<const TokenId> tokens, PrecisionPlan plan,
                     const PassOptions& options, const Rule& rule, const Arithmetic& high) {
  plan.select(Site::scores, {.spec = {.rule = &rule}, .recompute = high});
  KeptPass pass(model.config, tokens.size());
  Workspace workspace;
  forward(model, tokens, plan, options, pass, workspace);
  return pass.at(Site::logits);
}

/// Row `query` of a head's scores in an arithmetic, from the queries and keys of a pass.
std::vector<double> score_row(const Model& model, const KeptPass& pass, const Arithmetic& a,
                              const PassOptions& options, const Score& at) {
  const SiteRow& row = row_of(*model.config.network, Site::scores);
  const Layer layer{at.layer};
  const auto input = [&](std::size_t k) {
    const Columns c = input_columns(model.config, row, k, Head{at.head}, pass.length());
    return pass.at(*row.inputs[k].site, layer).view().columns(c.first, c.count);
  };
  Matrix<double> y(pass.length(), pass.length());
  scores(drawing_at(a, options, {.site = Site::scores, .layer = layer, .head = Head{at.head}}),
         input(0), input(1), y.view(), model.config.score_divisor(layer));
  const std::span<const double> all = std::as_const(y).row(at.query).first(at.query + 1);
  return {all.begin(), all.end()};
}

struct Case {
  std::string name;
  Arithmetic high, low;
};

std::vector<Case> cases() {
  Arithmetic stochastic = fused(ps(4));
  stochastic.mac.rounding = Rounding::sr;
  Arithmetic blocked = lamp_paper(3);
  blocked.order = *parse_order("blocked:8");
  return {{"binary64, ps2", fused(binary64), lamp_paper(2)},
          {"binary32, ps7", fused(binary32), lamp_paper(7)},
          {"binary64, stochastic", fused(binary64), stochastic},
          {"ps10, blocked", fused(ps(10)), blocked}};
}

/// Every `stride`th score, one-low and one-high.
void check(const Model& model, std::size_t length, const Case& c, std::size_t stride) {
  const std::vector<TokenId> tokens = some_tokens(model, length);
  const PassOptions options{.activation = model.config.activation, .seed = 7, .sequence = 3};
  const PrecisionPlan reference(c.high);
  PrecisionPlan low(c.high);
  low.set(Site::scores, c.low);
  Workspace workspace;
  for (const bool chosen : {false, true}) {
    const PrecisionPlan& plan = chosen ? low : reference;
    KeptPass base(model.config, length);
    forward(model, tokens, plan, options, base, workspace);
    Suffix suffix(model, plan, options, base, Site::scores);
    std::size_t number = 0, seen = 0;
    for (std::size_t l = 0; l < model.config.n_layer; ++l) {
      std::vector<Score> scores_of_layer;  // a batch: all of a layer
      for (std::size_t h = 0; h < model.config.n_head; ++h)
        for (std::size_t i = 0; i < length; ++i)
          for (std::size_t j = 0; j <= i; ++j)
            if (number++ % stride == 0) scores_of_layer.push_back({l, h, i, j});
      std::vector<std::vector<double>> rows;
      std::vector<ChangedRow> changes;
      for (const Score& s : scores_of_layer) {
        std::vector<double> row = score_row(model, base, plan.at(Site::scores), options, s);
        row[s.key] = score_row(model, base, chosen ? c.high : c.low, options, s)[s.key];
        rows.push_back(std::move(row));
      }
      for (std::size_t n = 0; n < rows.size(); ++n)
        changes.push_back({Head{scores_of_layer[n].head}, scores_of_layer[n].query, rows[n]});
      std::vector<Matrix<double>> logits(changes.size(), base.at(Site::logits));
      suffix.evaluate(
          Layer{l}, changes, [&](std::size_t n, std::size_t first, MatrixView<const double> x) {
            for (std::size_t r = 0; r < x.rows; ++r)
              std::copy(x.row(r).begin(), x.row(r).end(), logits[n].row(first + r).begin());
          });
      for (std::size_t n = 0; n < changes.size(); ++n) {
        single = scores_of_layer[n];
        INFO(c.name << (chosen ? ", one high" : ", one low") << ": layer " << l << ", head "
                    << single.head << ", query " << single.query << ", key " << single.key);
        const Matrix<double> want =
            whole(model, tokens, low, options, chosen ? one_alone : all_but_one, c.high);
        REQUIRE(same_bits(logits[n].flat(), want.flat()));
        ++seen;
      }
    }
    REQUIRE(seen > 0);
  }
}

}  // namespace

TEST_CASE("a changed score row has the bits of the whole pass with it", "[model][suffix]") {
  Model model = read("/tests/golden/gpt-nano-sort");
  model.config.scores_by_layer = true;
  for (const Case& c : cases()) check(model, 11, c, 5);
}

TEST_CASE("a changed score row: a language model, one row and one token", "[model][suffix]") {
  const Model model = read("/data/models/gpt2-nano");
  check(model, 1, cases()[0], 1);
  check(model, 2, cases()[1], 1);
  check(model, 20, cases()[0], 101);
}

TEST_CASE("a changed score row: groups of keys, rotary positions", "[model][suffix]") {
  check(test::random_llama(), 8, cases()[1], 3);
  check(test::random_llama(), 8, cases()[2], 7);
}

TEST_CASE("a changed row is the same in any batch, and unchanged it changes nothing",
          "[model][suffix]") {
  const Model model = read("/tests/golden/gpt-nano-sort");
  const std::vector<TokenId> tokens = some_tokens(model, 9);
  const PassOptions options{.activation = model.config.activation};
  const PrecisionPlan plan(fused(binary64));
  KeptPass base(model.config, 9);
  Workspace workspace;
  forward(model, tokens, plan, options, base, workspace);
  Suffix suffix(model, plan, options, base, Site::scores);
  for (std::size_t l = 0; l < model.config.n_layer; ++l) {
    std::vector<std::vector<double>> rows;
    std::vector<ChangedRow> changes;
    for (std::size_t i = 0; i < 9; ++i)
      rows.push_back(score_row(model, base, plan.at(Site::scores), options, {l, 1, i, 0}));
    for (std::size_t i = 0; i < 9; ++i) changes.push_back({Head{1}, i, rows[i]});
    std::size_t shown = 0;
    suffix.evaluate(Layer{l}, changes,
                    [&](std::size_t n, std::size_t first, MatrixView<const double> x) {
                      REQUIRE(first >= n);
                      for (std::size_t r = 0; r < x.rows; ++r, ++shown)
                        REQUIRE(same_bits(x.row(r), base.at(Site::logits).row(first + r)));
                    });
    CHECK(shown == (l + 1 == model.config.n_layer ? 9 : 45));
    rows[4][2] += 0.5;
    std::vector<double> alone, together;
    const auto keep = [](std::vector<double>& to, std::size_t which) {
      return [&to, which](std::size_t n, std::size_t, MatrixView<const double> x) {
        if (n != which) return;
        for (std::size_t r = 0; r < x.rows; ++r)
          to.insert(to.end(), x.row(r).begin(), x.row(r).end());
      };
    };
    suffix.evaluate(Layer{l}, changes, keep(together, 4));
    suffix.evaluate(Layer{l}, std::span(changes).subspan(4, 1), keep(alone, 0));
    CHECK(!alone.empty());
    CHECK(same_bits(alone, together));
  }
}

}  // namespace lamp
