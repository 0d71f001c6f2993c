#include "experiments/run/finished_cells.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace lamp::experiments {
namespace {

/// Whether the cells of a shard can join this run's: they have the same quantities.
bool same_places(const std::vector<record::Quantity>& a, const std::vector<record::Quantity>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) {
    return one.path == other.path && one.shape == other.shape && one.prototype == other.prototype;
  });
}

}  // namespace

Result<FinishedCells> SequenceShard::read() const {
  FinishedCells finished;
  if (!std::filesystem::exists(file_)) return finished;
  Result<record::Shard> shard = record::read_shard(file_);
  if (!shard) return shard.error();
  if (shard->experiment != experiment_ || shard->sequence_id != sequence_id_)
    return Error{ExitCode::cannot_create,
                 file_.string() + ": belongs to another experiment; choose another --out"};
  if (!same_places(shard->quantities, quantities_))
    return Error{ExitCode::cannot_create,
                 file_.string() +
                     ": records other quantities than this version of lamp, or in "
                     "another order; choose another --out"};
  for (record::CellRecord& cell : shard->cells)
    if (cell.status == record::CellStatus::done)
      finished.insert_or_assign(cell.id, std::move(cell));
  return finished;
}

Result<void> SequenceShard::publish(std::span<const Cell* const> grid,
                                    const FinishedCells& finished,
                                    std::vector<record::Quantity> reference_quantities,
                                    std::vector<record::Values> reference) const {
  record::Shard shard{.experiment = experiment_,
                      .sequence_id = sequence_id_,
                      .quantities = quantities_,
                      .cells = {},
                      .reference_quantities = std::move(reference_quantities),
                      .reference = std::move(reference)};
  std::set<Digest> written;
  for (const Cell* cell : grid)
    if (const auto found = finished.find(cell->id); found != finished.end()) {
      shard.cells.push_back(found->second);
      written.insert(cell->id);
    }
  for (const auto& [id, cell] : finished)
    if (!written.contains(id)) shard.cells.push_back(cell);
  return record::publish_shard(file_, shard);
}

}  // namespace lamp::experiments
