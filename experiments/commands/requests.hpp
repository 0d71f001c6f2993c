// What commands ask of the runner, from an experiment.
#pragma once

#include <cstddef>
#include <vector>

#include "core/base/result.hpp"
#include "experiments/run/experiment.hpp"
#include "experiments/run/runner.hpp"

namespace lamp::experiments {

/// A quiet run of some cells of some sequences. `experiment` and `cells` must outlive it.
RunRequest request_of(const Experiment& experiment, const std::vector<Cell>& cells,
                      std::vector<TokenSequence> sequences, std::size_t threads);

/// What a shard of the experiment holds, without cells and reference values.
record::Shard empty_shard(const Experiment& experiment);

/// The grid's cells in grid order, each once where several points of a variant mean the same.
std::vector<Cell> distinct_cells(const Grid& grid);

/// Whether the run may be made by so many parts, `--shard K/N`: [stop] knows no parts.
Result<void> check_parts(const Experiment& experiment, std::size_t parts);

/// The same of parts that are to be planned: none may have nothing to do.
Result<void> check_planned_parts(const Experiment& experiment, std::size_t parts);

}  // namespace lamp::experiments
