#include "experiments/run/runner.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "core/record/shard.hpp"
#include "experiments/run/cell_recorder.hpp"
#include "experiments/run/interrupt.hpp"
#include "experiments/run/progress.hpp"

namespace lamp::experiments {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds publish_interval{30};

/// What one thread needs for passes: buffers that live as long as the run.
struct Worker {
  Workspace workspace;
  CellRecorder recorder;
};

/// The finished cells of one sequence, by cell id; what a shard is made from and read back into.
using FinishedCells = std::map<Digest, record::CellRecord>;

/// Whether cells of a shard fit among this run's: their values are parallel to its quantities.
bool same_places(const std::vector<record::Quantity>& a, const std::vector<record::Quantity>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) {
    return one.path == other.path && one.shape == other.shape && one.prototype == other.prototype;
  });
}

class Runner {
 public:
  Runner(const RunRequest& request, const RunFolder& folder) : request_(request), folder_(folder) {
    for (std::size_t i = 0; i < std::max<std::size_t>(request.threads, 1); ++i)
      workers_.push_back({{}, CellRecorder(request.recording, request.instruments)});
    std::set<Digest> seen;
    for (const Cell& cell : request.cells)
      if (seen.insert(cell.id).second) cells_.push_back(&cell);
  }

  Result<RunSummary> run() {
    const Clock::time_point start = Clock::now();
    RunSummary summary{.cells = cells_.size() * request_.sequences.size()};
    std::vector<FinishedCells> finished;
    for (const TokenSequence& sequence : request_.sequences) {
      Result<FinishedCells> present = read_finished(sequence);
      if (!present) return present.error();
      summary.resumed += static_cast<std::size_t>(
          std::count_if(cells_.begin(), cells_.end(),
                        [&](const Cell* cell) { return present->contains(cell->id); }));
      finished.push_back(*std::move(present));
    }
    Progress progress(summary.cells, summary.resumed, request_.quiet);
    for (std::size_t s = 0; s < request_.sequences.size() && interrupted_by() == 0; ++s) {
      const Result<std::size_t> computed =
          run_sequence(request_.sequences[s], std::move(finished[s]), progress);
      if (!computed) return computed.error();
      summary.computed += *computed;
    }
    summary.signal = interrupted_by();
    summary.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return summary;
  }

 private:
  [[nodiscard]] std::filesystem::path shard_of(const TokenSequence& sequence) const {
    return folder_.shard(sequence.index, sequence.id);
  }

  /// Cells of an earlier run. A shard that is damaged is an error: nothing is thrown away silently.
  [[nodiscard]] Result<FinishedCells> read_finished(const TokenSequence& sequence) const {
    FinishedCells finished;
    const std::filesystem::path file = shard_of(sequence);
    if (!std::filesystem::exists(file)) return finished;
    Result<record::Shard> shard = record::read_shard(file);
    if (!shard) return shard.error();
    if (shard->experiment != request_.experiment || shard->sequence_id != sequence.id)
      return Error{ExitCode::cannot_create,
                   file.string() + ": belongs to another experiment; choose another --out"};
    if (!same_places(shard->quantities, recorder().quantities()))
      return Error{ExitCode::cannot_create,
                   file.string() +
                       ": records other quantities than this version of lamp, or in "
                       "another order; choose another --out"};
    for (record::CellRecord& cell : shard->cells)
      if (cell.status == record::CellStatus::done)
        finished.insert_or_assign(cell.id, std::move(cell));
    return finished;
  }

  [[nodiscard]] Reference reference_of(const Pass& pass) const {
    ReferenceRecorder logits_and_sites(recorder(), request_.recording);
    run_pass(pass, logits_and_sites);
    Reference reference = logits_and_sites.take(pass.tokens);
    recorder().end_reference(pass, reference);
    return reference;
  }

  static record::CellRecord computed_cell(const Cell& cell, const Pass& pass,
                                          const Reference& reference, CellRecorder& recorder) {
    recorder.begin(reference, pass.plan, cell.records_errors);
    run_pass(pass, recorder);
    recorder.end(pass);
    return {.id = cell.id, .status = record::CellStatus::done, .values = recorder.cell_values()};
  }

  static void run_pass(const Pass& pass, TapSink& sink) {
    forward(pass.model, pass.tokens, pass.plan, pass.options, sink, pass.workspace);
  }

  /// Computes the missing cells of a sequence; returns how many.
  Result<std::size_t> run_sequence(const TokenSequence& sequence, FinishedCells finished,
                                   Progress& progress) {
    std::vector<const Cell*> missing;
    for (const Cell* cell : cells_)
      if (!finished.contains(cell->id)) missing.push_back(cell);
    if (missing.empty()) return std::size_t{0};

    PassOptions options = request_.options;
    options.sequence = static_cast<std::uint32_t>(sequence.index);
    options.local_reference = &request_.reference;
    options.threads = workers_.size();  // of the reference: cells run while others do
    const Reference reference = reference_of(
        {request_.model, sequence.ids, request_.reference, options, workers_[0].workspace});

    std::atomic<std::size_t> next{0}, computed{0};
    std::mutex mutex;  // finished, published, failure
    Clock::time_point published = Clock::now();
    std::optional<Error> failure;
    std::exception_ptr thrown;  // of a thread; out of memory, say
    const auto compute_cells = [&](Worker& worker) {
      for (std::size_t i = next++; i < missing.size() && interrupted_by() == 0; i = next++) {
        record::CellRecord record = computed_cell(
            *missing[i],
            {request_.model, sequence.ids, missing[i]->plan, options, worker.workspace}, reference,
            worker.recorder);
        const std::lock_guard lock(mutex);
        if (failure) return;
        finished.insert_or_assign(record.id, std::move(record));
        ++computed;
        if (Clock::now() - published >= publish_interval) {
          if (Result<void> done = publish(sequence, finished, reference); !done)
            failure = done.error();
          published = Clock::now();
        }
        progress.step("text " + std::to_string(sequence.text) + ", sequence " +
                      std::to_string(sequence.index));
      }
    };
    const auto work = [&](Worker& worker) {
      try {
        compute_cells(worker);
      } catch (...) {
        const std::lock_guard lock(mutex);
        thrown = std::current_exception();
        next = missing.size();
      }
    };
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 1; i < std::min(workers_.size(), missing.size()); ++i)
        threads.emplace_back(work, std::ref(workers_[i]));
      work(workers_[0]);
    }
    if (thrown) std::rethrow_exception(thrown);
    if (!failure)
      if (Result<void> done = publish(sequence, finished, reference); !done) failure = done.error();
    if (failure) return *failure;
    return computed.load();
  }

  /// The shard holds the grid's cells in grid order, then cells of earlier grids in the order of
  /// their ids.
  [[nodiscard]] Result<void> publish(const TokenSequence& sequence, const FinishedCells& finished,
                                     const Reference& reference) const {
    record::Shard shard{.experiment = request_.experiment,
                        .sequence_id = sequence.id,
                        .quantities = recorder().quantities(),
                        .cells = {},
                        .reference_quantities = recorder().reference_quantities(),
                        .reference = recorder().reference_values(reference)};
    std::set<Digest> written;
    for (const Cell* cell : cells_)
      if (const auto found = finished.find(cell->id); found != finished.end()) {
        shard.cells.push_back(found->second);
        written.insert(cell->id);
      }
    for (const auto& [id, cell] : finished)
      if (!written.contains(id)) shard.cells.push_back(cell);
    return record::publish_shard(shard_of(sequence), shard);
  }

  /// Of any thread: what they record is the same.
  [[nodiscard]] const CellRecorder& recorder() const { return workers_[0].recorder; }

  const RunRequest& request_;
  const RunFolder& folder_;
  std::vector<const Cell*> cells_;  // in grid order; of points that mean the same, the first
  std::vector<Worker> workers_;
};

}  // namespace

Result<RunSummary> run_sequences(const RunRequest& request, const RunFolder& folder) {
  return Runner(request, folder).run();
}

}  // namespace lamp::experiments
