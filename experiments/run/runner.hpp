// The heart of `lamp run`: for each sequence of each variant one reference pass, then one pass per
// cell of the variant that its shard lacks.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/model/forward.hpp"
#include "experiments/config/grid.hpp"
#include "experiments/config/tokens.hpp"
#include "experiments/run/cell_recorder.hpp"
#include "experiments/run/run_folder.hpp"
#include "experiments/run/stopping.hpp"

namespace lamp::experiments {

/// What the passes of a variant of the grid are made with.
struct RunVariant {
  const Model& model;
  const Model& reference;  // what its reference runs on: reference.model, or the same
  Activation activation = Activation::gelu_new;
  std::uint32_t seed = 0;  // of the draws of its reference
};

struct RunRequest {
  std::vector<RunVariant> variants;  // as in Grid::variants
  PrecisionPlan reference;
  const std::vector<Cell>& cells;        // each is computed for the sequences of its variant
  std::vector<TokenSequence> sequences;  // those of this part
  Recording recording;
  Digest experiment{};
  std::size_t threads = 1;
  bool quiet = false;
  Stopping* stopping = nullptr;  // [stop]: `sequences` in rounds, until it knows enough
  bool share = true;             // cells that must be equal are computed once; else each by itself
  std::span<const InstrumentMaker> instruments = all_instruments();
};

struct RunSummary {
  std::size_t cells = 0;    // asked for, over all sequences of the rounds that were begun
  std::size_t resumed = 0;  // found done
  std::size_t computed = 0;
  std::size_t passes = 0;  // that took: the other computed cells must be equal to one of these
  std::vector<std::string> set_aside{};  // damaged shards, in words
  int signal = 0;                        // that stopped the run, 0 for none
  double seconds = 0.0;
};

/// Computes what the folder's shards lack, round by round where the config has [stop]. A sequence's
/// shard is published when it is complete, at a cell boundary when 30 s have passed since the last
/// time, and when a signal stops the run. Threads make passes side by side; those that would have
/// none, in a reference pass or beside the last cells, share one. The bits do not depend on
/// `threads`.
Result<RunSummary> run_sequences(const RunRequest& request, const RunFolder& folder);

}  // namespace lamp::experiments
