#include "experiments/run/sharing.hpp"

#include <algorithm>

namespace lamp::experiments {

void EqualCells::add(const Cell& cell, const SelectionScratch::Seen* seen) {
  if (cell.records.truth) return;
  const auto stands_for = [&](const Digest& work, Proof proof) {
    known_.try_emplace({work, proof, cell.records.errors, cell.records.activations}, &cell);
  };
  const Work& work = cell.work;
  stands_for(work.own, Proof::own);
  if (seen == nullptr) return;
  if (work.if_nothing && !seen->selected) {
    stands_for(*work.if_nothing, Proof::own);
    stands_for(*work.if_nothing, Proof::nothing_selected);
  }
  if (work.if_lamps && !seen->unlike_lamp) stands_for(*work.if_lamps, Proof::own);
}

const Cell* EqualCells::equal_to(const Cell& cell) const {
  if (cell.records.truth) return nullptr;
  const auto find = [&](const Digest& work, Proof proof) {
    const auto found = known_.find({work, proof, cell.records.errors, cell.records.activations});
    return found == known_.end() ? nullptr : found->second;
  };
  if (const Cell* known = find(cell.work.own, Proof::own)) return known;
  return cell.work.if_nothing ? find(*cell.work.if_nothing, Proof::nothing_selected) : nullptr;
}

std::vector<const Cell*> worth_computing(std::span<const Cell* const> pending) {
  std::vector<const Cell*> order(pending.begin(), pending.end());
  std::stable_partition(order.begin(), order.end(), [](const Cell* cell) {
    return cell->work.if_nothing || cell->work.if_lamps;
  });  // those whose passes prove something come first
  constexpr SelectionScratch::Seen all_goes_well{};
  EqualCells proved;
  std::vector<const Cell*> now;
  for (const Cell* cell : order)
    if (proved.equal_to(*cell) == nullptr) {
      now.push_back(cell);
      proved.add(*cell, &all_goes_well);
    }
  return now;
}

}  // namespace lamp::experiments
