#include "experiments/commands/requests.hpp"

#include <set>
#include <string>
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

Result<void> check_parts(const Experiment& experiment, std::size_t parts) {
  if (!experiment.config.stop || parts == 1) return {};
  return Error{ExitCode::bad_data,
               "[stop] with --shard: no part alone can tell when the means of all are known; "
               "legal: one process without --shard, or a fixed count of sequences "
               "(tokens.sequences) without [stop]"};
}

Result<void> check_planned_parts(const Experiment& experiment, std::size_t parts) {
  if (Result<void> legal = check_parts(experiment, parts); !legal) return legal;
  const std::size_t most = experiment.tokens.sequences.size();
  if (parts <= most) return {};
  return Error{ExitCode::usage, "--shards " + std::to_string(parts) +
                                    " is not legal: parts without a sequence; legal: 1 to " +
                                    std::to_string(most) + ", the sequences of all texts" +
                                    (experiment.grid.variants.size() == 1 ? "" : " and variants")};
}

}  // namespace lamp::experiments
