// The finished cells of one sequence, and the shard file that holds them.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/base/sha256.hpp"
#include "core/record/shard.hpp"
#include "experiments/config/grid.hpp"

namespace lamp::experiments {

/// By cell id: of this grid, and of earlier grids of the same experiment.
using FinishedCells = std::map<Digest, record::CellRecord>;

/// The shard of one sequence. Its cells' values are parallel to its quantities.
class SequenceShard {
 public:
  SequenceShard(std::filesystem::path file, const Digest& experiment, const Digest& sequence_id,
                std::vector<record::Quantity> quantities)
      : file_(std::move(file)),
        experiment_(experiment),
        sequence_id_(sequence_id),
        quantities_(std::move(quantities)) {}

  /// Cells of an earlier run; none where there is no file. A shard that is damaged, of another
  /// experiment, or with other quantities is an error: nothing is thrown away silently.
  [[nodiscard]] Result<FinishedCells> read() const;

  /// Replaces the file: first `grid`'s cells in their order, then those of earlier grids in the
  /// order of their ids.
  [[nodiscard]] Result<void> publish(std::span<const Cell* const> grid,
                                     const FinishedCells& finished,
                                     std::vector<record::Quantity> reference_quantities,
                                     std::vector<record::Values> reference) const;

 private:
  std::filesystem::path file_;
  Digest experiment_, sequence_id_;
  std::vector<record::Quantity> quantities_;
};

}  // namespace lamp::experiments
