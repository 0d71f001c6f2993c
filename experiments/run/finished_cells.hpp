// The finished cells of one sequence, and the shard file that holds them.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/result.hpp"
#include "core/base/sha256.hpp"
#include "core/record/shard.hpp"
#include "experiments/config/grid.hpp"

namespace lamp::experiments {

/// By cell id: of this grid, and of earlier grids of the same experiment.
using FinishedCells = std::map<Digest, record::CellRecord>;

/// The shard of one sequence. Its cells' values are parallel to its quantities. Several processes
/// may have the same shard: what one publishes holds what the others have published.
class SequenceShard {
 public:
  /// `set_aside` is told of a damaged file that gave way: what is wrong with it and where it is.
  SequenceShard(std::filesystem::path file, const Digest& experiment, const Digest& sequence_id,
                std::vector<record::Quantity> quantities,
                std::function<void(const std::string&)> set_aside)
      : file_(std::move(file)),
        experiment_(experiment),
        sequence_id_(sequence_id),
        quantities_(std::move(quantities)),
        set_aside_(std::move(set_aside)) {}

  /// Cells of an earlier run; none where there is no file. A file that is damaged, or is the shard
  /// of another sequence or experiment under this name, is moved to `damaged/` beside it, and then
  /// there is none. A whole shard that this lamp cannot go on with (another schema version, other
  /// quantities) is an error: nothing is thrown away silently.
  [[nodiscard]] Result<FinishedCells> read();

  /// Replaces the file: first `grid`'s cells in their order, then those of other grids in the order
  /// of their ids, with those that other processes have put there since it was read or published
  /// last.
  [[nodiscard]] Result<void> publish(std::span<const Cell* const> grid,
                                     const FinishedCells& finished,
                                     std::vector<record::Quantity> reference_quantities,
                                     std::vector<record::Values> reference);

 private:
  /// What is under the file's name now.
  struct Found {
    FinishedCells cells{};
    std::optional<record::Stamp> stamp{};  // of the file; none where there is none
    std::string damage{};                  // why it is not a shard of this sequence
  };
  [[nodiscard]] Result<Found> look() const;
  /// The same by whom nobody else publishes beside: what is damaged is moved away.
  [[nodiscard]] Result<Found> look_alone() const;
  /// Beside shards/: in the folder of the run.
  [[nodiscard]] std::filesystem::path lock() const {
    return file_.parent_path().parent_path() / ".publishing";
  }

  std::filesystem::path file_;
  Digest experiment_, sequence_id_;
  std::vector<record::Quantity> quantities_;
  std::function<void(const std::string&)> set_aside_;
  std::optional<record::Stamp> seen_;  // what we read or published last
  FinishedCells of_others_{};          // that it holds besides what we are given
};

}  // namespace lamp::experiments
