// LAMP's step at a linear site evaluates few of the high values: every component is the low one or
// the one of the whole product in the arithmetic of `recompute`, as its mark says.
#include <algorithm>
#include <catch2/catch.hpp>
#include <optional>
#include <vector>

#include "core/arith/orders/order_text.hpp"
#include "core/model/forward.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random_model.hpp"

namespace lamp {
namespace {

/// What a pass shows of one site of the first layer: values and marks, (rows, width).
class OneSite final : public TapSink {
 public:
  explicit OneSite(Site site) : site_(site) {}
  void values(const TapPoint& point, MatrixView<const double> x) override {
    if (point.site != site_) return;
    for (std::size_t i = 0; i < x.rows; ++i)
      numbers.insert(numbers.end(), x.row(i).begin(), x.row(i).end());
  }
  void selected(const TapPoint&, std::span<const std::uint8_t> row) override {
    marks.insert(marks.end(), row.begin(), row.end());
  }
  std::vector<double> numbers;
  std::vector<std::uint8_t> marks;

 private:
  Site site_;
};

Model model_of(const char* network, Activation activation) {
  ModelConfig config{.network = &test::network_called(network),
                     .vocab_size = 150,
                     .n_positions = 32,
                     .n_embd = 48,
                     .n_layer = 1,
                     .n_head = 4,
                     .n_inner = 100,
                     .activation = activation,
                     .end_of_text = {}};
  if (config.network->model_type == "llama")
    config.llama = LlamaShape{.n_kv_head = 2, .d_head = 12, .rope = {.theta = 100.0}};
  return test::random_model(config, 8, 0x1p-2F);
}

OneSite pass(const Model& model, Site site, const Arithmetic& arithmetic,
             const std::optional<SelectionPlan>& selection) {
  PrecisionPlan plan(fused(binary32));
  plan.set(site, arithmetic);
  if (selection) plan.select(site, *selection);
  std::vector<TokenId> tokens;
  for (TokenId t = 0; t < 29; ++t) tokens.push_back(t * t % 150);
  OneSite sink(site);
  Workspace work;
  forward(model, tokens, plan, {.activation = model.config.activation, .seed = 4}, sink, work);
  return sink;
}

}  // namespace

TEST_CASE("selecting: components are the low or the whole high product's, as marked", "[model]") {
  const Arithmetic low = lamp_paper(4);
  Arithmetic drawn = fused(ps(15));
  drawn.mac.rounding = Rounding::sr;
  Arithmetic rounded = fused(binary32);
  rounded.mac.operands = bfloat16;
  const Arithmetic highs[] = {fused(binary32), fused(binary64), fused(ps(12)), rounded, drawn};
  std::size_t some = 0, all_rows = 0;
  for (const Model& model :
       {model_of("gpt2", Activation::gelu_new), model_of("llama", Activation::silu)})
    for (const SiteRow& row : model.config.network->sites) {
      if (!row.f || (row.operation != Operation::linear && row.operation != Operation::logits))
        continue;
      const OneSite as_low = pass(model, row.site, low, {});
      for (const Arithmetic& high : highs) {
        const OneSite as_high = pass(model, row.site, high, {});
        for (const double tau : {0.25, 0.5, 1.0, 1.5, 2.0, 4.0}) {
          const SelectionPlan selection{.spec = {.weights = ErrorWeights::relative, .tau = tau},
                                        .recompute = high};
          const OneSite mixed = pass(model, row.site, low, selection);
          INFO(info(row.site).name << " tau " << tau);
          REQUIRE(mixed.marks.size() == as_low.numbers.size());
          std::size_t wrong = 0, chosen = 0, rows_chosen = 0;
          const std::size_t width = mixed.marks.size() / 29;
          for (std::size_t i = 0; i < mixed.marks.size(); ++i) {
            const double expected = mixed.marks[i] != 0 ? as_high.numbers[i] : as_low.numbers[i];
            wrong += test::same_bits(mixed.numbers[i], expected) ? 0 : 1;
            chosen += mixed.marks[i];
            if (i % width == 0) {
              const auto first = mixed.marks.begin() + static_cast<std::ptrdiff_t>(i);
              rows_chosen += std::count(first, first + static_cast<std::ptrdiff_t>(width), 1) > 0;
            }
          }
          CHECK(wrong == 0);
          some += chosen > 0 && rows_chosen < 29 ? 1 : 0;
          all_rows += rows_chosen == 29 && chosen < mixed.marks.size() ? 1 : 0;
        }
      }
    }
  CHECK(some > 10);
  CHECK(all_rows > 10);
}

}  // namespace lamp
