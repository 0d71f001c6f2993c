#include "experiments/run/finished_cells.hpp"

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

#include "core/base/system_error.hpp"
#include "core/record/lock.hpp"

namespace lamp::experiments {
namespace {

/// Whether the cells of a shard can join this run's: they have the same quantities.
bool same_places(const std::vector<record::Quantity>& a, const std::vector<record::Quantity>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) {
    return one.path == other.path && one.shape == other.shape && one.prototype == other.prototype;
  });
}

/// Moves a file to damaged/ beside it, under a name that is free there.
Result<std::filesystem::path> moved_to_damaged(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.parent_path() / "damaged";
  std::filesystem::path target = folder / file.filename();
  std::error_code failure;
  std::filesystem::create_directory(folder, failure);
  if (failure) return system_error(folder, "cannot create it", failure.value());
  for (int n = 1; std::filesystem::exists(target, failure) && !failure; ++n)
    target = folder / (file.stem().string() + "." + std::to_string(n) + file.extension().string());
  if (!failure) std::filesystem::rename(file, target, failure);
  if (failure) return system_error(file, "cannot be set aside", failure.value());
  return target;
}

}  // namespace

Result<SequenceShard::Found> SequenceShard::look() const {
  Found found;
  const Result<record::StoredFile> stored =
      record::StoredFile::open(file_, record::FileKind::shard);
  if (!stored && stored.error().code == ExitCode::missing_input) return found;
  if (stored) found.stamp = stored->stamp();
  Result<record::Shard> shard =
      stored ? record::read_shard(*stored) : Result<record::Shard>(stored.error());
  if (!shard) {
    const std::optional<int> schema = record::schema_of_shard(file_);
    if (shard.error().code != ExitCode::bad_data || (schema && *schema > record::shard_schema))
      return shard.error();
    found.damage = shard.error().message;
    return found;
  }
  if (shard->experiment != experiment_ || shard->sequence_id != sequence_id_) {
    found.damage = file_.string() + ": the shard of another " +
                   (shard->experiment != experiment_ ? "experiment" : "sequence") +
                   " under this name";
    return found;
  }
  if (!same_places(shard->quantities, quantities_))
    return Error{ExitCode::cannot_create,
                 file_.string() +
                     ": records other quantities than this version of lamp, or in "
                     "another order; choose another --out"};
  for (record::CellRecord& cell : shard->cells)
    if (cell.status == record::CellStatus::done)
      found.cells.insert_or_assign(cell.id, std::move(cell));
  return found;
}

Result<SequenceShard::Found> SequenceShard::look_alone() const {
  Result<Found> found = look();
  if (!found || found->damage.empty()) return found;
  const Result<std::filesystem::path> there = moved_to_damaged(file_);
  if (!there) return there.error();
  set_aside_(found->damage + "; it is set aside as " + there->string());
  return Found{};
}

Result<FinishedCells> SequenceShard::read() {
  Result<Found> found = look();
  if (found && !found->damage.empty()) {
    const Result<record::ExclusiveLock> alone = record::ExclusiveLock::wait_for(lock());
    if (!alone) return alone.error();
    found = look_alone();  // again: another process may have mended it
  }
  if (!found) return found.error();
  seen_ = found->stamp;
  return std::move(found->cells);
}

Result<void> SequenceShard::publish(std::span<const Cell* const> grid,
                                    const FinishedCells& finished,
                                    std::vector<record::Quantity> reference_quantities,
                                    std::vector<record::Values> reference) {
  const Result<record::ExclusiveLock> alone = record::ExclusiveLock::wait_for(lock());
  if (!alone) return alone.error();
  if (record::stamp_of(file_) != seen_) {
    Result<Found> found = look_alone();
    if (!found) return found.error();
    of_others_ = std::move(found->cells);
    std::erase_if(of_others_, [&](const auto& cell) { return finished.contains(cell.first); });
  }
  record::Shard shard{.experiment = experiment_,
                      .sequence_id = sequence_id_,
                      .quantities = quantities_,
                      .cells = {},
                      .reference_quantities = std::move(reference_quantities),
                      .reference = std::move(reference)};
  std::map<Digest, const record::CellRecord*> left;
  for (const FinishedCells* cells : std::array<const FinishedCells*, 2>{&finished, &of_others_})
    for (const auto& [id, cell] : *cells) left.emplace(id, &cell);
  for (const Cell* cell : grid)
    if (const auto found = left.find(cell->id); found != left.end()) {
      shard.cells.push_back(*found->second);
      left.erase(found);
    }
  for (const auto& [id, cell] : left) shard.cells.push_back(*cell);
  if (Result<void> done = record::publish_shard(file_, shard); !done) return done;
  seen_ = record::stamp_of(file_);
  return {};
}

}  // namespace lamp::experiments
