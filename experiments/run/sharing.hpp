// Cells of one sequence that must be equal are computed once: what a pass has proved, and in which
// order cells are computed so that passes prove most.
#pragma once

#include <map>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "core/selection/selection.hpp"
#include "experiments/config/grid.hpp"

namespace lamp::experiments {

/// The cells that are known, by what they stand for. Cells that record different things, or a
/// ground truth, stand for themselves alone.
class EqualCells {
 public:
  /// The cell is known, and `seen` is what its pass showed; without one nothing is proved.
  void add(const Cell& cell, const SelectionScratch::Seen* seen);
  /// A known cell that must have the same values; none where none is known to.
  [[nodiscard]] const Cell* equal_to(const Cell& cell) const;

 private:
  enum class Proof : std::uint8_t { own, nothing_selected };
  using Key =
      std::tuple<Digest, Proof, bool, bool>;  // and whether errors, activations are recorded
  std::map<Key, const Cell*> known_;
};

/// Which of `pending`, none of them known, to compute now: no two of them are equal if all goes
/// well. The rest waits for what these prove. Not empty unless `pending` is.
std::vector<const Cell*> worth_computing(std::span<const Cell* const> pending);

}  // namespace lamp::experiments
