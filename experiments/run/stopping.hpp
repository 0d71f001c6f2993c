// [stop]: what the sequences so far tell of each cell's mean, and whether that is enough.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/intervals.hpp"
#include "core/base/result.hpp"
#include "core/record/merge.hpp"
#include "experiments/config/grid.hpp"
#include "experiments/config/tokens.hpp"
#include "experiments/run/finished_cells.hpp"
#include "experiments/run/run_folder.hpp"

namespace lamp::experiments {

/// Means over the sequences of a text, of every text and grid point, and their ratios to the
/// baseline. A mean that is not finite stays so whatever comes: it holds nothing up. Sequences come
/// in a random order, one for all texts: the first ones of a text are alike, and no sample of it.
class Stopping {
 public:
  /// Refers to config and grid. Pre: config.stop.
  Stopping(const Config& config, const Grid& grid);

  /// Sequences of each text at the end of each round.
  [[nodiscard]] const std::vector<std::size_t>& rounds() const { return rounds_; }
  /// Whether the sequence is one of those begin .. end - 1 in the order in which they come.
  [[nodiscard]] bool is_among(const TokenSequence& sequence, std::size_t begin,
                              std::size_t end) const {
    return ranks_[sequence.index] >= begin && ranks_[sequence.index] < end;
  }
  /// The cells of one sequence in its variant; `quantities` is what their values are parallel to.
  void add(const TokenSequence& sequence, const FinishedCells& cells,
           const std::vector<record::Quantity>& quantities);
  /// Looks at the first `sequences` of each text. A mean is unknown where a cell of them was not
  /// added.
  void look(std::size_t sequences);

  /// Sequences of each text that it looked at.
  [[nodiscard]] std::size_t sequences() const { return sequences_; }
  /// After look(): how many means and ratios there are, how many of them are not known to the
  /// asked error, and what is said of it.
  [[nodiscard]] std::size_t means() const;
  [[nodiscard]] std::size_t unknown() const;
  [[nodiscard]] std::string in_words() const;
  /// /stop of the result, over texts and grid points: count, mean, low, high, relative_error, and
  /// of ratios the same; ratios and their ends are exponentials of means of logarithms.
  [[nodiscard]] std::vector<record::PointQuantity> recorded() const;

 private:
  struct Known {
    MeanInterval mean, log_ratio;  // NaN without a baseline
    bool complete = false;         // all sequences have the cell and what it is compared with
  };
  [[nodiscard]] bool compares() const { return !stop_.baseline.empty(); }
  [[nodiscard]] std::string place(std::size_t cell) const;

  const Config& config_;
  const Grid& grid_;
  const StopConfig& stop_;
  std::vector<std::size_t> rounds_;
  std::vector<std::size_t> ranks_;                          // by number: when it comes
  std::vector<std::size_t> baseline_;                       // of each grid point
  std::vector<std::vector<std::optional<double>>> values_;  // (text, point), then by rank
  std::size_t sequences_ = 0;                               // looked at
  std::vector<Known> known_;                                // (text, point)
};

/// How far the folder of a run is: the round that is under way, or the last one.
struct Reached {
  std::size_t sequences = 0;           // of each text
  std::optional<Stopping> stopping{};  // without [stop]: nothing

  [[nodiscard]] bool has(const TokenSequence& sequence) const {
    return stopping ? stopping->is_among(sequence, 0, sequences) : sequence.index < sequences;
  }
};

/// Reads the shards of the run's folders, round by round, until a sequence lacks a cell or all
/// means are known. Without [stop] nothing is read: all sequences. Errors: as of read_shard, but a
/// shard that is not there or damaged.
Result<Reached> reached(const Config& config, const Grid& grid,
                        const std::vector<TokenSequence>& sequences,
                        std::span<const RunFolder> folders);

}  // namespace lamp::experiments
