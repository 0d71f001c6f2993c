#include "experiments/commands/requests.hpp"

#include <set>
#include <utility>

#include "experiments/run/cell_recorder.hpp"

namespace lamp::experiments {

RunRequest request_of(const Experiment& experiment, const std::vector<Cell>& cells,
                      std::vector<TokenSequence> sequences, std::size_t threads) {
  return {.model = experiment.model,
          .options = {.activation = experiment.activation,
                      .seed = experiment.config.seed,
                      .sequence = 0},
          .reference = experiment.grid.reference,
          .cells = cells,
          .sequences = std::move(sequences),
          .recording = experiment.recording(),
          .experiment = experiment.grid.experiment,
          .threads = threads,
          .quiet = true};
}

record::Shard empty_shard(const Experiment& experiment) {
  const CellRecorder recorder(experiment.recording());
  return {.experiment = experiment.grid.experiment,
          .sequence_id = {},
          .quantities = recorder.quantities(),
          .cells = {},
          .reference_quantities = recorder.reference_quantities(),
          .reference = {}};
}

std::vector<Cell> distinct_cells(const Grid& grid) {
  std::vector<Cell> cells;
  std::set<Digest> seen;
  for (const Cell& cell : grid.cells)
    if (seen.insert(cell.id).second) cells.push_back(cell);
  return cells;
}

}  // namespace lamp::experiments
