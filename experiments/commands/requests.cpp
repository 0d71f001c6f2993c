#include "experiments/commands/requests.hpp"

#include <set>
#include <utility>

#include "experiments/run/cell_recorder.hpp"

namespace lamp::experiments {

RunRequest request_of(const Experiment& experiment, const std::vector<Cell>& cells,
                      std::vector<TokenSequence> sequences, std::size_t threads) {
  std::vector<RunVariant> variants;
  for (const Variant& variant : experiment.grid.variants)
    variants.push_back({.model = experiment.model_at(variant.model),
                        .reference = experiment.reference_at(variant.model),
                        .activation = experiment.activation_at(variant.model),
                        .seed = variant.seed.value_or(0)});
  return {.variants = std::move(variants),
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
  std::set<std::pair<std::size_t, Digest>> seen;
  for (const Cell& cell : grid.cells)
    if (seen.insert({cell.variant, cell.id}).second) cells.push_back(cell);
  return cells;
}

}  // namespace lamp::experiments
