// What a run will cost: operations and memory counted from the shapes, and what its files take.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "core/model/weights.hpp"
#include "experiments/instruments/products.hpp"
#include "experiments/run/experiment.hpp"

namespace lamp::experiments {

/// Multiply-accumulates of one pass over T tokens, with those of recomputed sites where the plan
/// selects.
double macs_of_pass(const ModelConfig& model, std::size_t length, const PrecisionPlan& plan);

/// Bytes of a model's weights as the pass keeps them.
double weight_bytes(const ModelConfig& model);

/// Bytes that a pass holds besides: its Workspace, and what gemm packs. `selects`: whether LAMP
/// does at a site.
double pass_bytes(const ModelConfig& model, std::size_t length,
                  const std::function<bool(const SiteRow&)>& selects);

/// Reading a model: seconds of one thread where the file is in memory already, and the bytes that
/// it takes at most besides the weights that are kept.
struct ReadingCost {
  double seconds = 0.0, bytes = 0.0;
};
ReadingCost reading_cost(const ModelConfig& model);

/// Bytes, by what they are for.
struct MemoryCost {
  double weights = 0.0;    // of all models, and of those with their weights stored
  double reference = 0.0;  // log-probabilities, probabilities and sites, as far as they are kept
  double workspace = 0.0;  // of one thread that makes passes
  double member = 0.0;     // of one that shares a pass
  double recorded = 0.0;   // a sequence's finished cells, and the shard made from them
};
/// How many sets of weights a run holds: those it reads, and those it stores.
std::size_t weights_of_run(const Experiment& experiment);
MemoryCost memory_cost(const Experiment& experiment, const std::vector<Cell>& cells);

/// What a shard with these cells costs: its bytes on disk, those among them that are not values,
/// and the seconds to make it; extrapolated from a small one of random numbers.
struct ShardCost {
  double bytes = 0.0, structure = 0.0, seconds = 0.0;
};
ShardCost shard_cost(const Experiment& experiment, const std::vector<Cell>& cells);
/// Bytes of the texts that a result has of one sequence's continuations, in all its variants.
double text_bytes(const Experiment& experiment, const std::vector<Cell>& cells);

}  // namespace lamp::experiments
