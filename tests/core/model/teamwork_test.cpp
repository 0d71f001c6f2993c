// A pass by a team against the pass by one thread: all that it shows, bit by bit and in the same
// order, where even the smallest piece of work is shared.
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <catch2/catch.hpp>
#include <chrono>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/arith/engine.hpp"
#include "core/arith/orders/order_text.hpp"
#include "core/model/compositions.hpp"
#include "core/model/forward.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random_model.hpp"

namespace lamp {
namespace {

constexpr double share_all = 0.0;  // multiply-accumulates that are worth sharing
constexpr std::array<std::size_t, 3> teams{2, 3, 7}, lengths{1, 2, 65};

/// Whatever a pass shows, as words in the order in which it is shown.
class Trace final : public TapSink {
 public:
  void values(const TapPoint& point, MatrixView<const double> x) override { put(1, point, x); }
  [[nodiscard]] bool wants_local(Site) const override { return true; }
  void local(const TapPoint& point, MatrixView<const double> x,
             MatrixView<const double> reference) override {
    put(2, point, x), put(3, point, reference);
  }
  void selected(const TapPoint& point, std::span<const std::uint8_t> marks) override {
    begin(4, point);
    for (const std::uint8_t mark : marks) words.push_back(mark);
    chosen += static_cast<std::size_t>(std::count(marks.begin(), marks.end(), 1));
    components += marks.size();
  }
  void fell_back(const TapPoint& point, std::size_t rows) override {
    begin(5, point), words.push_back(rows);
    fallen += rows;
  }

  std::vector<std::uint64_t> words;
  std::size_t chosen = 0, components = 0, fallen = 0;

 private:
  void begin(std::uint64_t what, const TapPoint& point) {
    for (const std::uint64_t word :
         {what, static_cast<std::uint64_t>(point.site), std::uint64_t{point.layer.value},
          std::uint64_t{point.head.value}, std::uint64_t{point.first_row}})
      words.push_back(word);
  }
  void put(std::uint64_t what, const TapPoint& point, MatrixView<const double> x) {
    begin(what, point);
    for (std::size_t i = 0; i < x.rows; ++i)
      for (const double value :
           x.row(i).first(info(point.site).causal ? point.first_row + i + 1 : x.cols))
        words.push_back(std::bit_cast<std::uint64_t>(value));
  }
};

/// 2 layers; widths that are no multiples of a panel, some panels of logits.
const Model& model_of(const std::string& network) {
  const auto made = [](const char* name, Activation activation) {
    ModelConfig config{.network = &test::network_called(name),
                       .vocab_size = 150,
                       .n_positions = 70,
                       .n_embd = 36,
                       .n_layer = 2,
                       .n_head = 3,
                       .n_inner = 70,
                       .activation = activation,
                       .end_of_text = {}};
    if (config.network->model_type == "llama") {
      config.n_head = 4;
      config.llama = LlamaShape{.n_kv_head = 2, .d_head = 10, .rope = {.theta = 100.0}};
    }
    return test::random_model(config, 8, 0x1p-1F);
  };
  static const Model gpt2 = made("gpt2", Activation::gelu_new),
                     llama = made("llama", Activation::silu);
  return network == "gpt2" ? gpt2 : llama;
}
const std::vector<std::string> networks_here{"gpt2", "llama"};

std::vector<TokenId> some_tokens(std::size_t length) {
  std::vector<TokenId> tokens;
  for (std::size_t t = 0; t < length; ++t)
    tokens.push_back(static_cast<TokenId>((t * t * 37 + t * 11 + 5) % 150));
  return tokens;
}

PassOptions options_of(const Model& model, const PrecisionPlan& reference) {
  return {.activation = model.config.activation,
          .seed = 5,
          .sequence = 3,
          .local_reference = &reference};
}

const PrecisionPlan& local_plan() {
  static const PrecisionPlan plan(fused(binary64));
  return plan;
}

Trace pass_by(std::size_t threads, const Model& model, const PrecisionPlan& plan,
              std::size_t length) {
  Trace sink;
  Workspace workspace;
  workspace.team = Team(threads, share_all);
  forward(model, some_tokens(length), plan, options_of(model, local_plan()), sink, workspace);
  return sink;
}

/// The pass of one thread, which those of teams must show again.
Trace same_by_teams(const Model& model, const PrecisionPlan& plan, std::size_t length,
                    std::span<const std::size_t> sizes = teams) {
  Trace alone = pass_by(1, model, plan, length);
  for (const std::size_t threads : sizes) {
    INFO(threads << " threads, " << length << " tokens");
    CHECK((pass_by(threads, model, plan, length).words == alone.words));
  }
  return alone;
}

Arithmetic drawing(const FloatFormat& format) {
  return {.mac = {.format = format, .rounding = Rounding::sr}, .order = {}};
}

BlockFormat small_blocks() {
  BlockFormat blocks = *BlockFormat::named("mxfp4");
  blocks.size = 4;
  return blocks;
}

}  // namespace

TEST_CASE("Team: each part once, side by side; what one throws arrives", "[base]") {
  for (const std::size_t size : {1U, 2U, 5U}) {
    Team team(size);
    REQUIRE(team.size() == size);
    for (std::size_t meeting = 0; meeting < 200; ++meeting) {
      const std::size_t parts = meeting % (size + 1);
      std::vector<std::size_t> calls(size);
      std::atomic<std::size_t> begun = 0;
      team.each(parts, [&](std::size_t part) {
        ++calls[part];
        ++begun;
        while (begun < parts) std::this_thread::yield();  // for ever, were they not side by side
      });
      std::vector<std::size_t> once(size);
      std::fill_n(once.begin(), parts, std::size_t{1});
      CHECK(calls == once);
      if (meeting % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // asleep
    }
    for (std::size_t thrower = 0; thrower < size; ++thrower) {
      std::atomic<std::size_t> ended = 0;
      CHECK_THROWS_AS(team.each(size,
                                [&](std::size_t part) {
                                  if (part == thrower) throw std::runtime_error("from a member");
                                  ++ended;
                                }),
                      std::runtime_error);
      CHECK(ended == size - 1);
    }
    CHECK(team.members_for(Team::worth_sharing) == size);
    CHECK(team.members_for(Team::worth_sharing - 1.0) == 1);
  }
}

TEST_CASE("RowBlocks: every row once, in order; blocks of as much work", "[base]") {
  for (std::size_t rows = 0; rows < 140; ++rows)
    for (const std::size_t parts : {1U, 2U, 3U, 7U, 16U})
      for (const std::optional<double> first_takes :
           {std::optional<double>(), std::optional(1.0), std::optional(100.0)}) {
        const RowBlocks blocks{.rows = rows, .parts = parts, .first = first_takes};
        REQUIRE(blocks.begin(0) == 0);
        REQUIRE(blocks.begin(parts) == rows);
        for (std::size_t part = 0; part < parts; ++part)
          REQUIRE(blocks.begin(part) <= blocks.begin(part + 1));
      }
  const RowBlocks even{.rows = 1024, .parts = 4};
  CHECK(even.begin(1) == 256);
  const RowBlocks causal{.rows = 1024, .parts = 2, .first = 1.0};
  const std::size_t half = causal.begin(1);
  CHECK(half * (half + 1) / 2 > 1024 * 1025 / 4 * 97 / 100);
  CHECK(half * (half + 1) / 2 < 1024 * 1025 / 4 * 103 / 100);
}

TEST_CASE("forward: by teams, the bits of one thread in any arithmetic and order", "[model]") {
  std::vector<Arithmetic> arithmetics{fused(binary64), lamp_paper(7), drawing(ps(7))};
  for (const NumberSystem& operands :
       {NumberSystem(bfloat16), NumberSystem(small_blocks()), *parse_number_system("nvfp4")})
    arithmetics.push_back({.mac = {.operands = operands}, .order = {}});
  for (const char* order : {"blocked:4", "pairwise:2", "lanes:4", "kahan", "reverse"})
    arithmetics.push_back({.mac = lamp_paper(7).mac, .order = *parse_order(order)});
  arithmetics.push_back({.mac = {},
                         .order = *parse_order("blocked:4"),
                         .block = MacSpec{.format = ps(9), .rounding = Rounding::sr}});
  arithmetics.push_back(*engine_arithmetic("h100", binary16, binary32));
  for (const std::string& network : networks_here)
    for (std::size_t a = 0; a < arithmetics.size(); ++a)
      for (const std::size_t length : lengths) {
        INFO(network << ", arithmetic " << a);
        same_by_teams(model_of(network), PrecisionPlan(arithmetics[a]), length,
                      std::span(teams).subspan((a + length) % 3, 1));
      }
}

TEST_CASE("forward: by teams, products whose weights share a scale", "[model]") {
  BlockFormat blocks = small_blocks();
  blocks.tensor_scale = {.automatic = true};
  for (const std::string& network : networks_here) {
    const Model& model = model_of(network);
    PrecisionPlan plan(fused(binary32));
    for (const SiteRow& row : model.config.network->sites)
      if (row.operation == Operation::linear)
        plan.set(row.site, {.mac = {.operands = blocks}, .order = {}});
    for (const std::size_t length : lengths) same_by_teams(model, plan, length);
  }
}

TEST_CASE("forward: by teams, what sites and the cache store", "[model][store]") {
  for (const std::string& network : networks_here)
    for (const Storage& storage :
         {Storage{.everywhere = bfloat16}, Storage{.everywhere = small_blocks(), .keys = e4m3fn},
          Storage{.values = small_blocks()}}) {
      PrecisionPlan plan(fused(binary32));
      plan.store(storage);
      const Trace stored = same_by_teams(model_of(network), plan, 65);
      CHECK((stored.words !=
             pass_by(1, model_of(network), PrecisionPlan(fused(binary32)), 65).words));
    }
}

TEST_CASE("forward: by teams, every rule at every site that selects", "[model]") {
  std::size_t some = 0, fell_back = 0, kind = 0;
  for (const std::string& network : networks_here) {
    const Model& model = model_of(network);
    for (const SiteRow& row : model.config.network->sites) {
      if (!row.f) continue;
      const bool of_scores = *row.f == Composition::softmax;
      for (const Rule& rule : rules) {
        const RuleTraits& traits = rule.traits;
        const bool elsewhere = !traits.reads_keys && !traits.by_place && !traits.full_row &&
                               traits.ahead == LookAhead::none &&
                               (!traits.reads_values || *row.f == Composition::activation);
        if (traits.knows_pass || (!of_scores && !elsewhere)) continue;
        const std::array weights{ErrorWeights::absolute, ErrorWeights::relative, ErrorWeights::dot};
        SelectionSpec spec{.rule = &rule, .weights = weights[kind % 3], .tau = 0.6, .terms = 4};
        const Target& target = target_of(*model.config.network, row, model.config.activation);
        if (!check(spec, target).empty()) spec.norm = Norm::normwise1;
        if (!check(spec, target).empty()) spec.weights = ErrorWeights::absolute;
        REQUIRE(check(spec, target).empty());
        SelectionPlan selection{.spec = spec,
                                .recompute = kind % 5 == 2 ? drawing(ps(12)) : fused(binary32),
                                .shift = shift_names[kind % shift_names.size()].value};
        if (kind % 4 == 1) selection.fallback = {{.tolerance = 0.02, .what = Fallback::What::row}};
        if (kind % 4 == 2) selection.fallback = {{.tolerance = 0.2, .what = Fallback::What::layer}};
        PrecisionPlan plan(fused(binary32));
        plan.set(row.site,
                 kind % 2 == 0 || traits.ahead != LookAhead::none ? drawing(ps(4)) : lamp_paper(3));
        plan.set(SitePath{row.site, Layer{0}, Head{1}}, drawing(ps(5)));
        plan.select(row.site, selection);
        if (kind % 6 == 5) plan.store({.everywhere = bfloat16});
        INFO(network << ", " << info(row.site).name << ", " << rule.name << ", kind " << kind);
        for (const std::size_t length : lengths) {
          const Trace alone =
              same_by_teams(model, plan, length, std::span(teams).subspan((kind + length) % 3, 1));
          some += alone.chosen > 0 && alone.chosen < alone.components ? 1 : 0;
          fell_back += alone.fallen > 0 ? 1 : 0;
        }
        ++kind;
      }
    }
  }
  CHECK(some > 60);
  CHECK(fell_back > 20);
}

TEST_CASE("forward: by teams, a rule that looks at the row before", "[model]") {
  const Model& model = model_of("gpt2");
  for (const double tau : {0.3, 0.6, 1.0, 1.4}) {
    PrecisionPlan plan(fused(binary32));
    plan.set(Site::scores, lamp_paper(1));
    plan.select(Site::scores, {.spec = {.rule = rule_named("previous-token"), .tau = tau},
                               .recompute = fused(binary32)});
    for (const std::size_t length : {33U, 65U, 70U}) same_by_teams(model, plan, length);
  }
}

TEST_CASE("forward_from: by teams, rows one by one and some at a time", "[model]") {
  std::size_t count = 0;
  for (const std::string& network : networks_here)
    for (const char* kind : {"selecting", "operands", "drawing", "orders"}) {
      const Model& model = model_of(network);
      PrecisionPlan plan(fused(binary32));
      if (*kind == 's')
        plan.set(Site::scores, lamp_paper(3)),
            plan.select(Site::scores, {.spec = {.tau = 1.2}, .recompute = fused(binary32)});
      if (*kind == 'o') plan = PrecisionPlan({.mac = {.operands = bfloat16}, .order = {}});
      if (*kind == 'd') plan = PrecisionPlan(drawing(ps(9)));
      if (*kind == 'o' && kind[1] == 'r')
        plan = PrecisionPlan({.mac = {}, .order = *parse_order("lanes:4")});
      const auto by = [&](std::size_t threads) {
        const std::vector<TokenId> tokens = some_tokens(70);
        Trace sink;
        Workspace workspace;
        workspace.team = Team(threads, share_all);
        EarlierRows earlier(model.config, tokens.size());
        std::size_t done = 0;
        for (const std::size_t rows : {34U, 1U, 1U, 2U, 19U, 12U, 1U}) {
          forward_from(model, earlier, std::span(tokens).subspan(done, rows), plan,
                       options_of(model, local_plan()), sink, workspace);
          done += rows;
        }
        return sink;
      };
      const Trace alone = by(1);
      INFO(network << ", " << kind);
      const std::size_t threads = teams[count++ % 3];
      CHECK((by(threads).words == alone.words));
    }
}

TEST_CASE("forward: logits to a sink that takes rows apart, each row once", "[model]") {
  class Logits final : public TapSink {
   public:
    explicit Logits(std::size_t threads) : threads_(threads) {}
    void values(const TapPoint& point, MatrixView<const double> x) override {
      if (point.site != Site::logits) return;
      wait_for_another();
      for (std::size_t i = 0; i < x.rows; ++i) {
        ++shown.at(point.first_row + i);
        std::copy(x.row(i).begin(), x.row(i).end(), all.row(point.first_row + i).begin());
      }
    }
    [[nodiscard]] bool takes_rows_apart(Site) const override { return true; }
    void selected(const TapPoint&, std::span<const std::uint8_t>) override {}

    Matrix<double> all{70, 150};
    std::vector<std::size_t> shown = std::vector<std::size_t>(70);
    bool at_once = false;

   private:
    /// The first call, until there is a second one beside it, or a minute has passed.
    void wait_for_another() {
      if (begun_++ > 0 || threads_ == 1) return;
      const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
      while (begun_ == 1 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
      at_once = begun_ > 1;
    }

    std::size_t threads_;
    std::atomic<std::size_t> begun_ = 0;
  };
  const Model& model = model_of("gpt2");
  const auto show = [&](std::size_t threads, Logits& sink) {
    Workspace workspace;
    workspace.team = Team(threads, share_all);
    forward(model, some_tokens(70), PrecisionPlan(fused(binary32)), {}, sink, workspace);
  };
  Logits alone(1);
  show(1, alone);
  for (const std::size_t threads : teams) {
    Logits apart(threads);
    show(threads, apart);
    CHECK(apart.shown == std::vector<std::size_t>(70, 1));
    CHECK(apart.at_once);
    CHECK(test::same_bits(apart.all.flat(), alone.all.flat()));
  }
}

}  // namespace lamp
