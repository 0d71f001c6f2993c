// What the ground truth of one cell takes, and what rules take that know it.
#pragma once

#include <cstddef>

#include "experiments/commands/time_cost.hpp"
#include "experiments/run/experiment.hpp"

namespace lamp::experiments {

/// Work and memory of the ground truth of one cell of one sequence; all 0 without [truth].
struct TruthCost {
  std::size_t cells = 0;                  // that have one
  double scores = 0.0;                    // evaluated by themselves
  double suffixes = 0.0;                  // rests of passes from a changed score on
  double passes = 0.0;                    // whole ones: coarser grain and budgets
  double subsets = 0.0;                   // of rows, by relative error and by 1-norm
  double macs = 0.0;                      // multiply-accumulates of suffixes
  double seconds = 0.0;                   // of one thread
  double shared = 0.0, per_thread = 0.0;  // bytes while it is evaluated
};

/// Work and memory of the rankings that the rules of a sequence's cells recompute by; all 0 where
/// no rule knows the pass.
struct RankingCost {
  std::size_t rankings = 0;               // cells that differ in less share one
  double suffixes = 0.0, macs = 0.0;      // rests of passes; their multiply-accumulates
  double seconds = 0.0;                   // of one thread
  double shared = 0.0, per_thread = 0.0;  // bytes while one is found, and of those that are kept
};

RankingCost ranking_cost(const Experiment& experiment, const std::vector<Cell>& cells,
                         TimeCost& time);

TruthCost truth_cost(const Experiment& experiment, const std::vector<Cell>& cells, TimeCost& time);

}  // namespace lamp::experiments
