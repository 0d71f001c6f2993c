#include "experiments/commands/suffix_cost.hpp"

#include <algorithm>

#include "experiments/commands/sample.hpp"
#include "experiments/commands/timing.hpp"

namespace lamp::experiments {
namespace {

/// A model of the shape of another one's first layers. All tokens have one vector for the logits,
/// whose time does not depend on it.
Model random_model(ModelConfig config, std::size_t layers, std::size_t length) {
  config.n_layer = layers;
  Model model;
  model.config = config;
  SampleWeights weights(config);
  std::vector<double> head(config.n_embd);
  RandomNumbers random(9);
  for (double& w : head) w = static_cast<double>(static_cast<float>(0.02 * random()));
  for (const SiteRow& row : config.network->sites)
    for (std::size_t l = 0; l < layers_of(config, row.site); ++l) switch (row.operation) {
        case Operation::embed:
        case Operation::embed_tokens:
          model.weights.add(row.site, weights.embedding(row, length));
          break;
        case Operation::rms_norm:
          model.weights.add(row.site, weights.rms_norm());
          break;
        case Operation::layer_norm:
          model.weights.add(row.site, weights.layer_norm());
          break;
        case Operation::linear:
          model.weights.add(row.site, weights.linear(row, row.width(config)));
          break;
        case Operation::logits:
          model.weights.add(row.site,
                            Linear{PackedMatrix(MatrixView<const double>(head.data(), head.size(),
                                                                         config.vocab_size, 1, 0)),
                                   {}});
          break;
        case Operation::rope:
        case Operation::product:
        case Operation::scores:
        case Operation::softmax:
        case Operation::values:
        case Operation::residual:
        case Operation::activation:
          model.weights.add(row.site, {});
          break;
      }
  return model;
}

/// Through three points: Lagrange's formula.
double interpolated(const std::array<double, 3>& x, const std::array<double, 3>& y, double at) {
  double sum = 0.0;
  for (std::size_t i = 0; i < 3; ++i) {
    double term = y[i];
    for (std::size_t j = 0; j < 3; ++j)
      if (j != i) term *= (at - x[j]) / (x[i] - x[j]);
    sum += term;
  }
  return sum;
}

}  // namespace

SuffixCost::SuffixCost(const Experiment& experiment, const PrecisionPlan& low, double row_seconds)
    : layers_(experiment.model.config.n_layer) {
  constexpr double sample_seconds = 2.5e-2;
  const std::size_t length = std::max<std::size_t>(experiment.config.tokens.sequence_length, 3),
                    sample_layers = std::min(layers_, depths);
  const Model model = random_model(experiment.model.config, sample_layers, length);
  const std::vector<TokenId> tokens(length, 0);
  const PassOptions options{.activation = experiment.activation};
  const SelectionPlan* selection = low.selection(Site::scores);
  const Arithmetic& high =
      selection != nullptr ? selection->recompute : experiment.grid.reference.at(Site::scores);
  const truth::Question question{.model = model,
                                 .tokens = tokens,
                                 .options = options,
                                 .reference = experiment.grid.reference,
                                 .low = low,
                                 .high = high};
  const truth::Background exact = truth::Background::reference(question);
  const auto never = [] { return false; };
  const std::uint32_t key = 0;
  const auto seconds = [&](Layer layer, std::size_t query, std::size_t count) {
    const std::vector<truth::Change> changes(count, {{layer, Head{}, query}, {&key, 1}});
    return seconds_of([&] { static_cast<void>(exact.effects(changes, 1, never)); });
  };
  const std::size_t rows_together =
      std::clamp<std::size_t>(static_cast<std::size_t>(sample_seconds / row_seconds), 32, 256);
  const std::array<std::size_t, points> queries{0, length / 2, length - 1};
  for (std::size_t p = 0; p < points; ++p) {
    query_[p] = rows(queries[p]);
    for (std::size_t above = 0; above < sample_layers; ++above) {
      const Layer layer{sample_layers - 1 - above};
      const std::size_t each = above == 0 ? 1 : length - queries[p],
                        count = std::max<std::size_t>(1, rows_together / each);
      seconds(layer, queries[p], count);
      const double some = seconds(layer, queries[p], count),  // with what a thread sets up
          more = seconds(layer, queries[p], 3 * count);
      seconds_[above][p] = std::max(0.0, more - some) / (2.0 * rows(count));
    }
  }
  const std::vector<truth::Row> first(1, truth::Row{});  // with one score
  const double derivative =
      seconds_of([&] { static_cast<void>(exact.derivatives(first, 1, never)); });
  derivative_ = derivative / seconds(Layer{}, 0, 1);
}

double SuffixCost::at(std::size_t depth, std::size_t query) const {
  return std::max(0.0, interpolated(query_, seconds_[depth], rows(query)));
}

double SuffixCost::effect(Layer layer, std::size_t query) const {
  const std::size_t above = layers_ - 1 - layer.value;
  if (above < depths) return at(above, query);
  return at(2, query) + rows(above - 2) * std::max(0.0, at(2, query) - at(1, query));
}

}  // namespace lamp::experiments
