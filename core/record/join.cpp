#include "core/record/join.hpp"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "core/base/contract.hpp"

namespace lamp::record {
namespace {

/// The first of the quantities of which both have values, and other ones. Values that `values` has
/// not are moved there.
std::optional<std::string> join_values(std::vector<Values>& values, std::vector<Values> others,
                                       const std::vector<Quantity>& quantities) {
  for (std::size_t q = 0; q < values.size(); ++q) {
    const auto ours = bytes(std::as_const(values[q])), theirs = bytes(std::as_const(others[q]));
    if (ours.empty())
      values[q] = std::move(others[q]);
    else if (!theirs.empty() && !std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end()))
      return quantities[q].path;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Conflict> join(Shard& shard, Shard other) {
  expects(shard.experiment == other.experiment && shard.sequence_id == other.sequence_id &&
              shard.quantities == other.quantities &&
              shard.reference_quantities == other.reference_quantities,
          "join: shards of one sequence, with equal quantities");
  if (const auto dataset =
          join_values(shard.reference, std::move(other.reference), shard.reference_quantities))
    return Conflict{.dataset = *dataset};
  std::map<Digest, std::size_t> places;
  for (std::size_t i = 0; i < shard.cells.size(); ++i) places.emplace(shard.cells[i].id, i);
  for (CellRecord& theirs : other.cells) {
    const auto place = places.find(theirs.id);
    if (place == places.end()) {
      shard.cells.push_back(std::move(theirs));
      continue;
    }
    CellRecord& ours = shard.cells[place->second];
    if (theirs.status != CellStatus::done) continue;
    if (ours.status != CellStatus::done)
      ours = std::move(theirs);
    else if (const auto dataset =
                 join_values(ours.values, std::move(theirs.values), shard.quantities))
      return Conflict{.cell = ours.id, .dataset = *dataset};
  }
  return std::nullopt;
}

}  // namespace lamp::record
