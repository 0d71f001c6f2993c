#include "analysis/truth/priorities.hpp"

#include <cmath>
#include <utility>

#include "analysis/not_finite.hpp"
#include "analysis/truth/evidence.hpp"
#include "analysis/truth/local.hpp"
#include "core/base/contract.hpp"

namespace lamp::truth {

const Predictor& predictor_of_rule(const Rule& rule) {
  constexpr std::string_view prefix = "truth:";
  std::string_view name = rule.name;
  if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  const Predictor* predictor = predictor_named(name);
  expects(predictor != nullptr && rule.traits.knows_pass,
          "predictor_of_rule: a rule that knows the pass");
  return *predictor;
}

std::optional<GivenPriorities> priorities_of(const Predictor& predictor, const Question& question,
                                             std::size_t threads,
                                             const std::function<bool()>& stop) {
  const ModelConfig& model = question.model.config;
  const std::size_t heads = heads_of(model, question.site), length = question.tokens.size();
  const std::vector<Row> rows = all_rows(model, question.site, length);
  const Needs& needs = predictor.needs;
  const Background exact = Background::reference(question);

  // 1. What the ranking reads of all scores, in the order of the rows.
  std::vector<double> one_low, benefit;
  std::vector<Derivative> derivative;
  if (needs.one_low) {
    const std::vector<Effect> effects = exact.effects_of_scores(rows, threads, stop);
    if (effects.empty()) return std::nullopt;
    for (const Effect& effect : effects) one_low.push_back(effect.kl);
  }
  if (needs.one_high) {
    const Background all_low = Background::all_low(question, exact);
    const std::vector<Effect> effects = all_low.effects_of_scores(rows, threads, stop);
    if (effects.empty()) return std::nullopt;
    for (const Effect& effect : effects) benefit.push_back(all_low.effect().kl - effect.kl);
  }
  if (needs.derivative) {
    derivative = exact.derivatives(rows, threads, stop);
    if (derivative.empty()) return std::nullopt;
  }
  expects(!needs.low_derivative,
          "priorities_of: a ranking that reads derivatives at the reference");

  // 2. The ranking, row by row.
  GivenPriorities all{.heads = heads,
                      .rows = length,
                      .components = length,
                      .values = std::vector<double>(model.n_layer * heads * length * length)};
  SelectionScratch scratch;
  std::size_t first = 0;
  for (std::size_t head = 0; head < model.n_layer * heads; ++head) {
    HeadEvidence evidence(question, exact, Layer{head / heads}, Head{head % heads});
    for (std::size_t i = 0; i < length; first += ++i) {
      const auto part = [&]<class T>(const std::vector<T>& values) {
        return values.empty() ? std::span<const T>{} : std::span(values).subspan(first, i + 1);
      };
      Evidence e = evidence.of_row(i);
      e.one_low = part(one_low), e.benefit = part(benefit), e.derivative = part(derivative);
      std::vector<double> local;
      if (needs.local) local = LocalRow(e.row.y, evidence.recomputed(i)).one_low().rel;
      e.local = local;
      const std::span<double> row =
          std::span(all.values).subspan((head * length + i) * length, i + 1);
      predictor.rank(e, 0, row, scratch);
      for (double& priority : row)
        if (std::isnan(priority)) priority = -positive_infinity;
    }
  }
  return all;
}

}  // namespace lamp::truth
