// Ground truth at coarser grain: the scores of each head, each site of each layer, and each layer,
// alone low and alone in the reference arithmetic, by whole passes.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "analysis/truth/end_to_end.hpp"

namespace lamp::truth {

/// KL(reference || run), means over positions.
struct Coarse {
  /// (layer, head): its scores low and the rest in the reference arithmetic; its scores recomputed,
  /// all others low, the rest in the reference arithmetic.
  std::vector<double> low_heads, high_heads;
  /// (layer, site), sites as layer_sites gives them: low alone; in the reference arithmetic alone,
  /// where all other sites of layers are low. Low is what the scores are in that layer's head 0.
  std::vector<double> low_sites, high_sites;
  /// (layer): all sites of the layer low alone; in the reference arithmetic alone, all other layers
  /// low. Low is the same.
  std::vector<double> low_layers, high_layers;
  std::vector<double> all_low_layers;  // one number: all sites of all layers low
};

/// The sites of a network's layers, in the order of its table.
std::vector<Site> layer_sites(const ModelConfig& model);

/// Nothing where `stop` said so. The same bits for any number of threads.
std::optional<Coarse> coarse(const Question& question, const ReferenceDistribution& target,
                             std::size_t threads, const std::function<bool()>& stop);

/// How many passes that is.
std::size_t coarse_passes(const ModelConfig& model, Site site);

}  // namespace lamp::truth
