// A pass that goes on from earlier rows against the pass over the whole sequence: every site,
// selected set and local value, bit by bit; and greedy decoding against the argmax of a whole pass
// over what was generated. What the whole pass computes is golden_test.cpp's matter.
#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "core/arith/engine.hpp"
#include "core/arith/orders/order_text.hpp"
#include "core/model/greedy.hpp"
#include "core/model/ops/sites.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random_model.hpp"

namespace lamp {
namespace {

using test::same_bits;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

Model read(const std::string& folder) {
  Result<Model> model = read_model(std::string(LAMP_SOURCE_DIR) + folder);
  INFO((model.ok() ? "" : model.error().message));
  REQUIRE(model.ok());
  return *std::move(model);
}

/// 3 layers, 3 heads, width 48, 3 tokens, 11 positions: small enough for any arithmetic.
const Model& sort_model() {
  static const Model model = read("/tests/golden/gpt-nano-sort");
  return model;
}
const Model& nano_model() {
  static const Model model = read("/data/models/gpt2-nano");
  return model;
}

std::vector<TokenId> some_tokens(const Model& model, std::size_t length) {
  std::vector<TokenId> tokens;
  for (std::size_t t = 0; t < length; ++t)
    tokens.push_back(static_cast<TokenId>((t * t * 37 + t * 11 + 5) % model.config.vocab_size));
  return tokens;
}

/// Everything that a pass shows, by site, layer and head; rows that never came are NaN.
class Everything final : public TapSink {
 public:
  explicit Everything(std::size_t length) : length_(length) {}
  void values(const TapPoint& point, MatrixView<const double> x) override {
    put(passed[key(point)], point, x);
  }
  [[nodiscard]] bool wants_local(Site) const override { return true; }
  void local(const TapPoint& point, MatrixView<const double> x,
             MatrixView<const double> reference) override {
    REQUIRE(same_bits(x.row(0).first(1),
                      std::as_const(passed[key(point)]).row(point.first_row).first(1)));
    put(locals[key(point)], point, reference);
  }
  void selected(const TapPoint& point, std::span<const std::uint8_t> chosen) override {
    marks[{point.layer.value, point.head.value, point.first_row}].assign(chosen.begin(),
                                                                         chosen.end());
  }

  using Key = std::tuple<Site, std::size_t, std::size_t>;
  std::map<Key, Matrix<double>> passed, locals;
  std::map<std::tuple<std::size_t, std::size_t, std::size_t>, std::vector<std::uint8_t>>
      marks;  // by layer, head, row

 private:
  static Key key(const TapPoint& point) {
    return {point.site, point.layer.value, point.head.value};
  }
  void put(Matrix<double>& all, const TapPoint& point, MatrixView<const double> x) const {
    const bool causal = info(point.site).causal;
    if (all.rows() == 0) all = Matrix<double>(length_, causal ? length_ : x.cols, nan);
    for (std::size_t i = 0; i < x.rows; ++i) {
      const std::size_t row = point.first_row + i;
      std::copy_n(x.row(i).begin(), causal ? row + 1 : x.cols, all.row(row).begin());
    }
  }
  std::size_t length_;
};

bool same_bits_everywhere(const std::map<Everything::Key, Matrix<double>>& a,
                          const std::map<Everything::Key, Matrix<double>>& b) {
  return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](const auto& entry) {
           const auto other = b.find(entry.first);
           return other != b.end() && same_bits(entry.second.flat(), other->second.flat());
         });
}

bool same(const Everything& a, const Everything& b) {
  return same_bits_everywhere(a.passed, b.passed) && same_bits_everywhere(a.locals, b.locals) &&
         a.marks == b.marks;
}

struct Pass {
  const Model& model;
  PrecisionPlan plan;
  PassOptions options;

  [[nodiscard]] Everything whole(const std::vector<TokenId>& tokens) const {
    Everything sink(tokens.size());
    Workspace workspace;
    forward(model, tokens, plan, options, sink, workspace);
    return sink;
  }
  /// By steps of the given numbers of rows. slip: added to the rows that the first step leaves
  /// behind.
  [[nodiscard]] Everything by_steps(const std::vector<TokenId>& tokens,
                                    const std::vector<std::size_t>& steps, std::size_t length,
                                    std::size_t slip = 0) const {
    Everything sink(tokens.size());
    Workspace workspace;
    EarlierRows earlier(model.config, length);
    std::size_t done = 0;
    for (const std::size_t rows : steps) {
      forward_from(model, earlier, std::span(tokens).subspan(done, rows), plan, options, sink,
                   workspace);
      if (done == 0) earlier.rows -= slip;
      done += rows;
    }
    return sink;
  }
};

std::vector<Arithmetic> arithmetics() {
  std::vector<Arithmetic> list{fused(binary64), fused(binary32), lamp_paper(7)};
  BlockFormat blocks = *BlockFormat::named("mxfp4");
  blocks.size = 4;  // the last block of a row of keys is short more often than not
  list.push_back({.mac = {.operands = blocks}, .order = {}});
  for (const char* order : {"reverse", "blocked:4", "pairwise:2", "lanes:4", "split:3",
                            "numpy-sum:8192", "kahan", "neumaier", "exact", "multiterm:4,10"})
    list.push_back({.mac = lamp_paper(7).mac, .order = *parse_order(order)});
  list.push_back(
      {.mac = {.format = ps(9)}, .order = *parse_order("blocked:3"), .block = MacSpec{}});
  list.push_back(
      {.mac = {.operands = binary16, .format = binary32}, .order = *parse_order("multiterm:8,24")});
  list.push_back({.mac = {.operands = binary16,
                          .product = binary32,
                          .format = binary32,
                          .rounding = Rounding::rtz},
                  .order = {}});
  for (const Rounding mode : {Rounding::sr, Rounding::sre})
    list.push_back({.mac = {.format = ps(7), .rounding = mode}, .order = {}});
  list.push_back({.mac = {.product = ps(9), .format = ps(9), .rounding = Rounding::sr},
                  .order = *parse_order("pairwise:2")});
  list.push_back({.mac = {},
                  .order = *parse_order("blocked:4"),
                  .block = MacSpec{.format = ps(9), .rounding = Rounding::sr}});
  list.push_back(*engine_arithmetic("h100", binary16, binary32));
  list.push_back(*engine_arithmetic("v100", binary16, binary32));
  return list;
}

const Arithmetic stochastic{.mac = {.format = ps(7), .rounding = Rounding::sr}, .order = {}};

}  // namespace

TEST_CASE(
    "forward_from: by any steps, the bits of the whole pass at every site, in every arithmetic and "
    "order",
    "[model]") {
  const std::vector<TokenId> tokens = some_tokens(sort_model(), 11);
  for (const Arithmetic& arithmetic : arithmetics()) {
    INFO((is<MatrixEngine>(arithmetic.order) ? "engine" : order_text(arithmetic.order))
         << ", p " << arithmetic.mac.format.p << ", rounding "
         << rounding_name(arithmetic.mac.rounding));
    const PrecisionPlan reference(fused(binary64));
    const Pass pass{sort_model(),
                    PrecisionPlan(arithmetic),
                    {.seed = 5, .sequence = 3, .local_reference = &reference}};
    const Everything whole = pass.whole(tokens);
    CHECK(same(pass.by_steps(tokens, {7, 1, 1, 1, 1}, 11), whole));
    CHECK(same(pass.by_steps(tokens, {1, 4, 6}, 11), whole));
    CHECK(!same(pass.by_steps(tokens, {7, 1, 1, 1, 1}, 11, 1),
                whole));  // control: a row offset one too small
  }
}

TEST_CASE("forward_from: rotary positions and groups of keys and values", "[model]") {
  const Model model = test::random_llama(11);
  const std::vector<TokenId> tokens = some_tokens(model, 11);
  for (const Arithmetic& arithmetic : {fused(binary64), lamp_paper(7), stochastic}) {
    const PrecisionPlan reference(fused(binary64));
    const Pass pass{
        model,
        PrecisionPlan(arithmetic),
        {.activation = Activation::silu, .seed = 5, .sequence = 3, .local_reference = &reference}};
    const Everything whole = pass.whole(tokens);
    CHECK(same(pass.by_steps(tokens, {7, 1, 1, 1, 1}, 11), whole));
    CHECK(!same(pass.by_steps(tokens, {7, 1, 1, 1, 1}, 11, 1), whole));
  }
}

TEST_CASE("forward_from: every rule selects what it selects in the whole pass", "[model]") {
  const std::vector<TokenId> tokens = some_tokens(sort_model(), 11);
  std::vector<SelectionSpec> specs;
  for (const Rule* rule :
       {rule_named("lamp"), rule_named("random"), rule_named("random-full-row"),
        rule_named("largest-logit"), rule_named("window"), rule_named("block-mean"),
        rule_named("page-bound"), rule_named("none"), rule_named("all")})
    specs.push_back({.rule = rule, .tau = 1.3});
  for (const ErrorWeights weights : {ErrorWeights::relative, ErrorWeights::dot})
    specs.push_back({.weights = weights, .tau = 0.5});
  specs.push_back({.solver = Solver::exact, .tau = 1.2});
  specs.push_back({.norm = Norm::normwise1, .tau = 0.3});
  specs.push_back({.mask = Mask::as_zero, .tau = 1.2});
  specs.push_back({.tau = std::nullopt, .rate = 0.3});
  specs.push_back({.rule = rule_named("value-aware"), .tau = 0.3});
  BlockFormat blocks = *BlockFormat::named("mxfp4");
  blocks.size = 4;
  for (const Arithmetic& recompute : {fused(binary32), stochastic}) {
    for (std::size_t s = 0; s < specs.size(); ++s) {
      INFO("selection " << s);
      const PrecisionPlan reference(fused(binary64));
      Pass pass{sort_model(),
                PrecisionPlan(fused(binary32)),
                {.seed = 5, .sequence = 3, .local_reference = &reference}};
      pass.plan.set(Site::scores, lamp_paper(2));
      pass.plan.set(SitePath{Site::scores, Layer{1}, Head{2}}, stochastic);
      pass.plan.set(Site::softmax, lamp_paper(5));
      pass.plan.set(Site::values, {.mac = {.operands = blocks}, .order = {}});
      pass.plan.select(Site::scores, {.spec = specs[s],
                                      .recompute = recompute,
                                      .shift = shift_names[s % shift_names.size()].value});
      const Everything whole = pass.whole(tokens);
      CHECK(whole.marks.size() == 3 * 3 * 11);
      CHECK(same(pass.by_steps(tokens, {5, 1, 1, 1, 1, 1, 1}, 11), whole));
      CHECK(same(pass.by_steps(tokens, {1, 7, 3}, 11), whole));
    }
  }
}

TEST_CASE("forward_from: what sites and the cache store, row by row", "[model][store]") {
  const std::vector<TokenId> tokens = some_tokens(sort_model(), 11);
  BlockFormat blocks = *BlockFormat::named("mxfp4");
  blocks.size = 4;
  const std::vector<NumberSystem> systems{bfloat16, binary16, e4m3fn, blocks,
                                          *BlockFormat::named("nvfp4")};
  for (std::size_t s = 0; s < systems.size(); ++s) {
    const NumberSystem &one = systems[s], &other = systems[(s + 1) % systems.size()];
    Storage of_one_site;
    of_one_site.sites[{Site::scores, Layer{1}}] = one;
    for (const Storage& storage : {Storage{.everywhere = one}, Storage{.keys = one},
                                   Storage{.everywhere = one, .keys = other, .values = one},
                                   Storage{.values = one}, of_one_site}) {
      const PrecisionPlan reference(fused(binary64));
      Pass pass{sort_model(),
                PrecisionPlan(fused(binary32)),
                {.seed = 5, .sequence = 3, .local_reference = &reference}};
      pass.plan.set(Site::scores, lamp_paper(2));
      pass.plan.set(Site::values, stochastic);
      pass.plan.select(Site::scores,
                       {.spec = {.tau = 1.3}, .recompute = fused(binary32), .shift = Shift::mean});
      const Everything as_computed = pass.whole(tokens);
      pass.plan.store(storage);
      const Everything whole = pass.whole(tokens);
      INFO(name_of(one));
      CHECK(same(pass.by_steps(tokens, {5, 1, 1, 1, 1, 1, 1}, 11), whole));
      CHECK(same(pass.by_steps(tokens, {1, 7, 3}, 11), whole));
      CHECK(!same(whole, as_computed));
    }
  }
}

TEST_CASE(
    "forward_from: rules that count masked entries depend on the length of the whole sequence",
    "[model]") {
  const std::vector<TokenId> all = some_tokens(sort_model(), 11),
                             tokens(all.begin(), all.begin() + 6);
  for (const SelectionSpec& spec :
       {SelectionSpec{.mask = Mask::as_zero, .tau = 1.9},
        SelectionSpec{.rule = rule_named("random-full-row"), .tau = 1.2}}) {
    const PrecisionPlan reference(fused(binary64));
    Pass pass{sort_model(), PrecisionPlan(fused(binary32)), {.local_reference = &reference}};
    pass.plan.set(Site::scores, lamp_paper(2));
    pass.plan.select(Site::scores, {.spec = spec, .recompute = fused(binary32)});
    CHECK(same(pass.by_steps(tokens, {3, 3}, 6), pass.whole(tokens)));
    CHECK(!same(pass.by_steps(tokens, {3, 3}, 11), pass.whole(tokens)));
  }
}

TEST_CASE("forward_from: gpt2-nano, one row at a time after a prefix; rows may be forgotten",
          "[model]") {
  const std::vector<TokenId> tokens =
      some_tokens(nano_model(), 70);  // logits by more than one block
  const PrecisionPlan reference(fused(binary32));
  Pass pass{nano_model(), PrecisionPlan(fused(binary32)), {.local_reference = &reference}};
  pass.plan.set(Site::scores, lamp_paper(4));
  pass.plan.select(Site::scores, {.spec = {}, .recompute = fused(binary32)});
  const Everything whole = pass.whole(tokens);
  std::vector<std::size_t> steps(7, 1);
  steps[0] = 64;
  CHECK(same(pass.by_steps(tokens, steps, 70), whole));

  Everything sink(70);
  Workspace workspace;
  EarlierRows earlier(nano_model().config, 70);
  std::vector<TokenId> others = tokens;
  std::reverse(others.begin() + 50, others.end());
  forward_from(nano_model(), earlier, others, pass.plan, pass.options, sink, workspace);
  CHECK(earlier.rows == 70);
  CHECK(!same(sink, whole));
  earlier.rows = 50;
  forward_from(nano_model(), earlier, std::span(tokens).subspan(50), pass.plan, pass.options, sink,
               workspace);
  CHECK(same(sink, whole));
}

TEST_CASE("forward_from: rules that look at more than one block of keys", "[model]") {
  const std::vector<TokenId> tokens = some_tokens(nano_model(), 40);
  const PrecisionPlan reference(fused(binary32));
  std::vector<Everything> passes;
  for (const char* rule : {"block-mean", "page-bound"}) {
    Pass pass{nano_model(), PrecisionPlan(fused(binary32)), {.local_reference = &reference}};
    pass.plan.set(Site::scores, lamp_paper(3));
    pass.plan.select(Site::scores, {.spec = {.rule = rule_named(rule), .tau = 1.4},
                                    .recompute = fused(binary32),
                                    .shift = Shift::mean});
    passes.push_back(pass.whole(tokens));
    CHECK(same(pass.by_steps(tokens, {15, 1, 1, 15, 8}, 40), passes.back()));
  }
  CHECK(passes[0].marks != passes[1].marks);
}

TEST_CASE("forward: logits of early rows are left out on request, and nothing else", "[model]") {
  const std::vector<TokenId> tokens = some_tokens(sort_model(), 11);
  const PrecisionPlan reference(fused(binary64));
  Pass pass{sort_model(), PrecisionPlan(fused(binary32)), {.local_reference = &reference}};
  Everything whole = pass.whole(tokens);
  pass.options.first_logits = 8;
  for (auto* taps : {&whole.passed, &whole.locals})
    for (std::size_t i = 0; i < 8; ++i)
      std::ranges::fill(taps->at({Site::logits, 0, 0}).row(i), nan);
  CHECK(same(pass.whole(tokens), whole));
  CHECK(same(pass.by_steps(tokens, {7, 1, 1, 1, 1}, 11), whole));
}

TEST_CASE("most_probable: the lower index wins ties; nothing where a logit is NaN", "[model]") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  const auto of = [](std::vector<double> logits) { return most_probable(logits); };
  CHECK(of({3.0}) == 0U);
  CHECK(of({1.0, 3.0, 2.0, 3.0}) == 1U);
  CHECK(of({-0.0, 0.0}) == 0U);
  CHECK(of({-inf, -inf}) == 0U);
  CHECK(of({-inf, inf, inf}) == 1U);
  CHECK(!of({1.0, 2.0, nan}));
  CHECK(!of({nan, inf}));
}

TEST_CASE(
    "greedy_continuation: the argmax after every token of a pass over prefix and continuation",
    "[model]") {
  PrecisionPlan low(lamp_paper(3)), random(fused(binary32));
  low.set(Site::logits, fused(binary32));
  random.set(Site::values, stochastic);
  for (const PrecisionPlan& plan : {PrecisionPlan(fused(binary32)), low, random}) {
    const std::vector<TokenId> prefix = some_tokens(nano_model(), 9);
    const PassOptions options{.seed = 4};
    Workspace workspace;
    const std::vector<TokenId> continuation =
        greedy_continuation(nano_model(), prefix, 20, plan, options, workspace);
    REQUIRE(continuation.size() == 20);
    std::vector<TokenId> all = prefix;
    all.insert(all.end(), continuation.begin(), continuation.end());
    const PrecisionPlan reference(fused(binary32));
    PassOptions forced = options;
    forced.local_reference = &reference;
    const Everything whole = Pass{nano_model(), plan, forced}.whole(all);
    const Matrix<double>& logits = whole.passed.at({Site::logits, 0, 0});
    for (std::size_t t = 0; t < 20; ++t) {
      const std::span<const double> row = logits.row(prefix.size() - 1 + t);
      CHECK(static_cast<std::ptrdiff_t>(continuation[t]) ==
            std::max_element(row.begin(), row.end()) - row.begin());
    }
  }
}

TEST_CASE("greedy_continuation: to the last position; none; nothing follows from NaN", "[model]") {
  const std::vector<TokenId> prefix = some_tokens(sort_model(), 4);
  Workspace workspace;
  const auto go_on = [&](const PrecisionPlan& plan, std::size_t count) {
    return greedy_continuation(sort_model(), prefix, count, plan, {}, workspace);
  };
  const PrecisionPlan plan(fused(binary32));
  const std::vector<TokenId> seven = go_on(plan, 7), three = go_on(plan, 3);
  CHECK(seven.size() == 7);
  CHECK(std::equal(three.begin(), three.end(), seven.begin()));
  CHECK(go_on(plan, 0).empty());
  PrecisionPlan broken = plan;  // 1e-9 is the largest number, and overflow gives NaN
  broken.set(Site::logits, fused({.p = 4,
                                  .emin = -40,
                                  .emax = -30,
                                  .infinities = false,
                                  .top_codes_lost = 1,
                                  .overflow = Overflow::nan}));
  CHECK(go_on(broken, 7).empty());
}

}  // namespace lamp
