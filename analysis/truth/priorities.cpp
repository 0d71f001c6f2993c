#include "analysis/truth/priorities.hpp"

#include <cmath>
#include <limits>
#include <utility>

#include "analysis/truth/evidence.hpp"
#include "analysis/truth/local.hpp"
#include "core/base/contract.hpp"

namespace lamp::truth {
namespace {

using Stop = std::function<bool()>;

/// One number for each score of `rows`, in their order: the KL with it alone changed.
std::optional<std::vector<double>> kl_of_each(const Background& background,
                                              std::span<const Row> rows, std::size_t threads,
                                              const Stop& stop) {
  std::vector<std::uint32_t> keys(background.pass().length());
  for (std::size_t j = 0; j < keys.size(); ++j) keys[j] = static_cast<std::uint32_t>(j);
  std::vector<Change> changes;
  for (const Row& row : rows)
    for (std::size_t j = 0; j <= row.query; ++j)
      changes.push_back({row, std::span(keys).subspan(j, 1)});
  const std::vector<Effect> effects = background.effects(changes, threads, stop);
  if (effects.size() != changes.size()) return std::nullopt;
  std::vector<double> kl;
  for (const Effect& effect : effects) kl.push_back(effect.kl);
  return kl;
}

}  // namespace

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
                                             std::size_t threads, const Stop& stop) {
  const ModelConfig& model = question.model.config;
  const std::size_t heads = heads_of(model, question.site), length = question.tokens.size();
  const std::vector<Row> rows = all_rows(model, question.site, length);
  const Needs& needs = predictor.needs;
  const Background exact = Background::reference(question);

  // 1. What the ranking reads of all scores, in the order of the rows.
  std::vector<double> one_low, benefit;
  std::vector<Derivative> derivative;
  if (needs.one_low) {
    std::optional<std::vector<double>> kl = kl_of_each(exact, rows, threads, stop);
    if (!kl) return std::nullopt;
    one_low = *std::move(kl);
  }
  if (needs.one_high) {
    const Background all_low = Background::all_low(question, exact);
    std::optional<std::vector<double>> kl = kl_of_each(all_low, rows, threads, stop);
    if (!kl) return std::nullopt;
    for (const double one : *kl) benefit.push_back(all_low.effect().kl - one);
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
        if (std::isnan(priority)) priority = -std::numeric_limits<double>::infinity();
    }
  }
  return all;
}

}  // namespace lamp::truth
