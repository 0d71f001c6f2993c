// A question of the truth on a small model, and whole passes that answer it: every one by
// forward(), with a selection rule that is the test's own.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "analysis/truth/end_to_end.hpp"

namespace lamp::test {

inline Model model_in(const std::string& folder) {
  Result<Model> model = read_model(std::string(LAMP_SOURCE_DIR) + folder);
  INFO((model.ok() ? "" : model.error().message));
  REQUIRE(model.ok());
  return *std::move(model);
}

/// 3 layers, 3 heads of 16, 3 tokens, 11 positions.
inline const Model& sorter() {
  static const Model model = model_in("/tests/golden/gpt-nano-sort");
  return model;
}

/// What a question refers to.
struct Asked {
  const Model& model;
  std::vector<TokenId> tokens;
  PassOptions options;
  PrecisionPlan reference, low;
  Arithmetic high;

  Asked(const Model& of, std::size_t length, const PrecisionPlan& exact,
        const PrecisionPlan& low_plan, const Arithmetic& recompute)
      : model(of),
        options{.activation = of.config.activation, .seed = 7, .sequence = 3},
        reference(exact),
        low(low_plan),
        high(recompute) {
    for (std::size_t t = 0; t < length; ++t)
      tokens.push_back(static_cast<TokenId>((t * t * 37 + t * 11 + 5) % of.config.vocab_size));
  }
  [[nodiscard]] truth::Question question() const {
    return {model, tokens, options, reference, low, high};
  }
  /// Every score low, the rest in the reference arithmetic.
  [[nodiscard]] PrecisionPlan low_scores() const {
    PrecisionPlan plan = reference;
    for (std::size_t l = 0; l < model.config.n_layer; ++l)
      for (std::size_t h = 0; h < model.config.n_head; ++h)
        plan.set({.site = Site::scores, .layer = Layer{l}, .head = Head{h}},
                 low.at(Site::scores, Layer{l}, Head{h}));
    return plan;
  }
};

/// binary64 against PS(mu) as in the paper.
inline Asked asked_of_ps(const Model& model, std::size_t length, int mu) {
  return {model, length, PrecisionPlan(fused(binary64)), PrecisionPlan(lamp_paper(mu)),
          fused(binary64)};
}

/// The logits of a whole pass.
inline Matrix<double> logits_of(const Asked& asked, const PrecisionPlan& plan) {
  KeptPass pass(asked.model.config, asked.tokens.size());
  Workspace workspace;
  forward(asked.model, asked.tokens, plan, asked.options, pass, workspace);
  return pass.at(Site::logits);
}

/// Whether a pass recomputes a score.
using Chosen = std::function<bool(const truth::Row& row, std::size_t key)>;
inline Chosen chosen_by_test;
inline constexpr Rule rule_of_test{
    "by the test", [](const RuleInput& input, std::span<std::uint8_t> marks, SelectionScratch&) {
      const truth::Row row{Layer{input.where.layer}, Head{input.where.head}, input.where.row};
      for (std::size_t j = 0; j < marks.size(); ++j) marks[j] = chosen_by_test(row, j) ? 1 : 0;
      return static_cast<std::size_t>(std::count(marks.begin(), marks.end(), 1));
    }};

/// The logits of a whole pass whose scores are low, but for those chosen, which are recomputed.
inline Matrix<double> logits_of(const Asked& asked, const Arithmetic& recompute, Chosen chosen) {
  PrecisionPlan plan = asked.low_scores();
  plan.select(Site::scores, {.spec = {.rule = &rule_of_test}, .recompute = recompute});
  chosen_by_test = std::move(chosen);
  return logits_of(asked, plan);
}

/// How far logits are from the reference's.
inline truth::Effect effect_of(const Asked& asked, const Matrix<double>& reference,
                               const Matrix<double>& logits) {
  const ReferenceDistribution distribution(reference, asked.tokens);
  PositionMetrics metrics;
  MetricsScratch scratch;
  metrics.resize(asked.tokens.size());
  compare(distribution, 0, logits.view(), metrics, scratch);
  truth::Effect effect;
  for (const double kl : metrics.kl) effect.kl += kl;
  effect.kl /= static_cast<double>(asked.tokens.size());
  for (std::size_t i = 0; i < logits.flat().size(); ++i) {
    const double error = std::abs(logits.flat()[i] - reference.flat()[i]);
    if (!(error <= effect.logit_max) && !std::isnan(effect.logit_max)) effect.logit_max = error;
  }
  return effect;
}

}  // namespace lamp::test
