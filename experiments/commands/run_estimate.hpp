// What a run will take, all together: what `lamp plan` prints and `lamp slurm` asks a cluster for.
#pragma once

#include <cstddef>
#include <vector>

#include "experiments/commands/plan_cost.hpp"
#include "experiments/commands/plan_products.hpp"
#include "experiments/commands/truth_cost.hpp"
#include "experiments/run/experiment.hpp"

namespace lamp::experiments {

struct RunPlan {
  std::size_t points = 0, cells = 0, sequences = 0;  // of the grid; that differ; of all texts
  std::size_t least_sequences = 0;                   // that [stop] may end with; 0 without it
  std::size_t variants = 1;                          // references and shards of a sequence
  std::size_t computed = 0;  // cells that take a pass, if proofs succeed, in all variants
  double macs = 0.0;         // of a pass
  MemoryCost memory;
  double program = 0.0, peak = 0.0;   // bytes: what is left without all below; all together
  double shards = 0.0, result = 0.0;  // bytes on disk
  double start_seconds = 0.0;         // until everything is read
  double reference_seconds = 0.0, cell_seconds = 0.0;
  double output_seconds = 0.0;  // of a sequence
  double crowding = 1.0;        // how many times as long a thread takes beside the others
  double meetings = 0.0;        // of the threads that share a pass
  bool unlimited_reference = false;
  std::vector<ProductPlan> products{};
  TruthCost truth{};
  RankingCost rankings{};
  std::size_t threads = 1;
};

/// Of a child that evaluates own rules, with numpy (measured). What a rule takes itself is not
/// known.
inline constexpr double interpreter_bytes = 0x1p25;

/// Of the run of an experiment whose models were read without weights. Times some passes' parts,
/// for a few seconds. `start_seconds` is without what it took to prepare the experiment.
RunPlan estimate(const Experiment& experiment, std::size_t threads);

/// Of a run of that many sequences of each variant; of a part `--shard K/N` may have some of some
/// variants alone, so that the number need not be whole.
double seconds_of(const RunPlan& plan, std::size_t threads, double sequences);

/// One of the parts `--shard K/N` of a run that has the most to do.
struct PartPlan {
  std::size_t parts = 1;
  std::size_t sequences = 0;           // each in one variant: as many as it has shards
  double seconds = 0.0, shards = 0.0;  // with the plan's threads; bytes on disk
};
/// Pre: 1 <= parts <= sequences x variants.
PartPlan largest_part(const RunPlan& plan, std::size_t parts);

/// Of `lamp merge` of the whole run.
double merge_seconds(const RunPlan& plan);

}  // namespace lamp::experiments
