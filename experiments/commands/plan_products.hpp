// How the matrix products of a run will be evaluated, and what one of their multiply-accumulates
// costs.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/arith/gemm/evaluation.hpp"
#include "experiments/commands/time_cost.hpp"

namespace lamp::experiments {

/// Products that are evaluated alike.
struct ProductPlan {
  std::vector<std::string> what;  // "scores", "scores recomputed", "reference": all of its
  Evaluation evaluation = Evaluation::naive;
  std::size_t arithmetics = 0;      // of one of them, over the grid
  double fastest = 0, slowest = 0;  // seconds a multiply-accumulate, by the arithmetic
};

/// The products of all cells, then those of the reference, unless it is in unlimited(p), which MPFR
/// evaluates. `time` measures each product once an arithmetic; of many arithmetics it takes a few,
/// evenly spaced.
std::vector<ProductPlan> products_of(const Experiment& experiment, const std::vector<Cell>& cells,
                                     TimeCost& time);

}  // namespace lamp::experiments
