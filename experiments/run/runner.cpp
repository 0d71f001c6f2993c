#include "experiments/run/runner.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "core/base/side_by_side.hpp"
#include "core/selection/rules/own.hpp"
#include "experiments/run/cell_recorder.hpp"
#include "experiments/run/experiment.hpp"
#include "experiments/run/finished_cells.hpp"
#include "experiments/run/interrupt.hpp"
#include "experiments/run/pass_priorities.hpp"
#include "experiments/run/progress.hpp"
#include "experiments/run/sharing.hpp"
#include "experiments/run/stored_models.hpp"

namespace lamp::experiments {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds publish_interval{30};

/// What one pass needs: buffers that live as long as the run, and threads.
struct Worker {
  Workspace workspace;
  CellRecorder recorder;
  Team resting{};  // the team before: a sequence begins with all threads, and mostly ends with one

  void take_threads(std::size_t count) {
    if (workspace.team.size() == count) return;
    std::swap(workspace.team, resting);
    if (workspace.team.size() != count) workspace.team = Team(count);
  }
};

/// One for each thread.
std::vector<Worker> workers_of(const RunRequest& request) {
  std::vector<Worker> workers;
  for (std::size_t i = 0; i < std::max<std::size_t>(request.threads, 1); ++i)
    workers.push_back({{}, CellRecorder(request.recording, request.instruments)});
  return workers;
}

/// Calls work(worker, i) for i = 0, .., n - 1 as side_by_side does. Passes come first: as many as
/// there are threads are made side by side. Those that are left, fewer than threads, share all.
template <class Work>
void passes_first(std::span<Worker> workers, std::size_t n, const Work& work) {
  const std::size_t threads = workers.size(), left = n % threads;
  for (Worker& worker : workers) worker.take_threads(1);
  side_by_side(workers, n - left, work);
  if (left == 0) return;
  for (std::size_t w = 0; w < left; ++w)
    workers[w].take_threads(threads / left + (w < threads % left ? 1 : 0));
  side_by_side(workers.first(left), left,
               [&](Worker& worker, std::size_t i) { return work(worker, n - left + i); });
}

/// The cells of each variant in grid order; of points that mean the same, the first.
std::vector<std::vector<const Cell*>> different_cells(const RunRequest& request) {
  std::vector<std::vector<const Cell*>> cells(request.variants.size());
  std::set<std::pair<std::size_t, Digest>> seen;
  for (const Cell& cell : request.cells)
    if (seen.insert({cell.variant, cell.id}).second) cells.at(cell.variant).push_back(&cell);
  return cells;
}

PassOptions options_of(const RunRequest& request, const TokenSequence& sequence,
                       std::uint32_t seed) {
  PassOptions options{.activation = request.variants[sequence.variant].activation, .seed = seed};
  options.sequence = static_cast<std::uint32_t>(sequence.index);
  options.local_reference = &request.reference;
  options.local_model = &request.variants[sequence.variant].reference;
  options.threads = std::max<std::size_t>(request.threads, 1);  // of a reference in unlimited(p)
  options.stop = &stop_request();
  return options;
}

void run_pass(const Pass& pass, TapSink& sink) {
  forward(pass.model, pass.tokens, pass.plan, pass.options, sink, pass.workspace);
}

/// The pass that every cell of a sequence is compared with; nothing where a signal stopped it.
std::optional<Reference> reference_of(const Pass& pass, const CellRecorder& recorder,
                                      const Recording& recording) {
  try {
    ReferenceRecorder logits_and_sites(recorder, recording, pass.tokens.size());
    run_pass(pass, logits_and_sites);
    Reference reference = logits_and_sites.take(pass.tokens, pass.workspace.team);
    recorder.end_reference(pass, reference);
    return reference;
  } catch (const Stopped&) {
    return std::nullopt;
  }
}

/// Nothing where a signal stopped it. An error where an own rule failed.
Result<std::optional<record::CellRecord>> computed_cell(const Cell& cell, const Pass& pass,
                                                        const Reference& reference,
                                                        CellRecorder& recorder) {
  recorder.begin(reference, pass.plan, cell.records);
  try {
    run_pass(pass, recorder);
    recorder.end(pass);
  } catch (const Stopped&) {
    return std::optional<record::CellRecord>();
  } catch (const RuleFailed& failed) {
    return failed.error();
  }
  if (!recorder.is_complete()) return std::optional<record::CellRecord>();
  return std::optional(record::CellRecord{
      .id = cell.id, .status = record::CellStatus::done, .values = recorder.cell_values()});
}

/// One sequence of one variant: its cells and its shard.
struct Task {
  const TokenSequence& sequence;
  const std::vector<const Cell*>& cells;
  SequenceShard shard;
};

/// Cells of one sequence that were added to its shard, and how many of them by a pass.
struct Computed {
  std::size_t cells = 0, passes = 0;
};

/// Those of `cells` that are not finished.
std::vector<const Cell*> missing_of(std::span<const Cell* const> cells,
                                    const FinishedCells& finished) {
  std::vector<const Cell*> missing;
  for (const Cell* cell : cells)
    if (!finished.contains(cell->id)) missing.push_back(cell);
  return missing;
}

/// Computes the cells that the task's shard lacks, into `finished`, which holds those it has.
Result<Computed> compute(const RunRequest& request, std::span<Worker> workers, Task& task,
                         StoredModels& models, FinishedCells& finished, Progress& progress) {
  const TokenSequence& sequence = task.sequence;
  const std::vector<const Cell*>& cells = task.cells;
  const RunVariant& variant = request.variants[sequence.variant];
  const Model& model = variant.model;
  std::vector<const Cell*> missing = missing_of(cells, finished);

  // 1. What every cell is compared with, with all threads.
  workers[0].take_threads(workers.size());
  const PassOptions of_reference = options_of(request, sequence, variant.seed);
  const CellRecorder& any = workers[0].recorder;  // what the recorders record is the same
  const std::optional<Reference> made = reference_of(
      {variant.reference, sequence.ids, request.reference, of_reference, workers[0].workspace}, any,
      request.recording);
  if (!made) return Computed{};
  const Reference& reference = *made;
  const auto publish = [&] {
    return task.shard.publish(cells, finished, any.reference_quantities(),
                              any.reference_values(reference));
  };

  // 2. What their rules have to know of the whole pass, with all threads.
  PassPriorities priorities;
  for (const Cell* cell : missing) {
    const SelectionPlan* selection = cell->plan.selection(Site::scores);
    if (selection == nullptr) continue;
    if (!priorities.find({.model = model,
                          .tokens = sequence.ids,
                          .options = options_of(request, sequence, cell->seed),
                          .reference = request.reference,
                          .low = cell->plan,
                          .high = selection->recompute},
                         [] { return interrupted_by() != 0; }))
      return Computed{};
  }

  // 3. What they run on.
  std::map<const Cell*, const Model*> runs_on;
  for (const Cell* cell : missing) runs_on.emplace(cell, &models.of(*cell, model));

  // 4. The cells: those with ground truth one after the other, since that takes all threads itself,
  // the others in whatever order threads come to them, as long as none is known to be equal to one
  // that is there. Finished ones are published now and then.
  const auto others = std::stable_partition(missing.begin(), missing.end(),
                                            [](const Cell* cell) { return cell->records.truth; });
  std::mutex mutex;  // of all that follows
  Computed computed;
  EqualCells known;
  for (const Cell* cell : cells)
    if (request.share && finished.contains(cell->id)) known.add(*cell, nullptr);
  std::optional<Error> failure;
  bool may_publish = true;
  Clock::time_point published = Clock::now();
  const auto finish = [&](const Cell& cell, record::CellRecord record) {
    finished.insert_or_assign(cell.id, std::move(record));
    ++computed.cells;
    if (Clock::now() - published >= publish_interval) {
      if (const Result<void> done = publish(); !done) failure = done.error(), may_publish = false;
      published = Clock::now();
    }
    progress.step(sequence_name(request.recording.config, sequence.text, sequence.index));
    return !failure;
  };
  const auto compute_cell = [&](Worker& worker, const Cell& cell) {
    if (interrupted_by() != 0) return false;
    const PrecisionPlan plan = priorities.plan(cell.plan, model.config, cell.seed);
    const PassOptions options = options_of(request, sequence, cell.seed);
    worker.workspace.forget_selections();
    Result<std::optional<record::CellRecord>> record =
        computed_cell(cell, {*runs_on.at(&cell), sequence.ids, plan, options, worker.workspace},
                      reference, worker.recorder);
    const std::lock_guard lock(mutex);
    if (!record && !failure) failure = record.error();
    if (failure || !*record) return false;
    const SelectionScratch::Seen seen = worker.workspace.selections_seen();
    if (request.share) known.add(cell, &seen);
    ++computed.passes;
    return finish(cell, **std::move(record));
  };
  for (auto cell = missing.begin(); cell != others; ++cell)
    if (!compute_cell(workers[0], **cell)) break;
  std::vector<const Cell*> pending(others, missing.end());
  while (!failure && interrupted_by() == 0 && !pending.empty()) {
    std::erase_if(pending, [&](const Cell* cell) {
      const Cell* same = known.equal_to(*cell);
      if (same == nullptr) return false;
      record::CellRecord record = finished.at(same->id);
      record.id = cell->id;
      finish(*cell, std::move(record));
      return true;
    });
    const std::vector<const Cell*> now = request.share ? worth_computing(pending) : pending;
    passes_first(workers, failure ? 0 : now.size(),
                 [&](Worker& worker, std::size_t i) { return compute_cell(worker, *now[i]); });
    std::erase_if(pending, [&](const Cell* cell) { return finished.contains(cell->id); });
  }

  // 5. The whole sequence, or what there is of it when a signal came or an own rule failed.
  if (may_publish)
    if (const Result<void> done = publish(); !done && !failure) failure = done.error();
  if (failure) return *failure;
  return computed;
}

}  // namespace

Result<RunSummary> run_sequences(const RunRequest& request, const RunFolder& folder) {
  const Clock::time_point start = Clock::now();
  const std::vector<std::vector<const Cell*>> all_cells = different_cells(request);
  std::vector<Worker> workers = workers_of(request);
  const std::vector<record::Quantity> quantities = workers[0].recorder.quantities();
  StoredModels models;
  RunSummary summary;
  Progress progress(request.quiet);
  const auto learn = [&](const TokenSequence& sequence, const FinishedCells& finished) {
    if (request.stopping != nullptr) request.stopping->add(sequence, finished, quantities);
  };

  const auto set_aside = [&](const std::string& what) {
    progress.warn(what + "; what it held is computed anew");
    summary.set_aside.push_back(what);
  };

  // Round by round: without [stop] there is one, of all sequences.
  const std::vector<std::size_t> all{std::numeric_limits<std::size_t>::max()};
  std::size_t begin = 0;
  for (const std::size_t end : request.stopping != nullptr ? request.stopping->rounds() : all) {
    // 1. What the folder has of what is asked for: each different cell of a variant, for each of
    // its sequences.
    std::vector<Task> tasks;
    std::size_t asked = 0, found = 0;
    for (const TokenSequence& sequence : request.sequences) {
      if (request.stopping != nullptr && !request.stopping->is_among(sequence, begin, end))
        continue;
      const std::vector<const Cell*>& cells = all_cells.at(sequence.variant);
      SequenceShard shard(folder.shard(sequence.index, sequence.id), request.experiment,
                          sequence.id, quantities, set_aside);
      const Result<FinishedCells> finished = shard.read();
      if (!finished) return finished.error();
      const std::size_t missing = missing_of(cells, *finished).size();
      asked += cells.size(), found += cells.size() - missing;
      if (missing == 0)
        learn(sequence, *finished);
      else
        tasks.push_back({sequence, cells, std::move(shard)});
    }
    summary.cells += asked, summary.resumed += found;
    progress.extend(asked, found);

    // 2. The rest, sequence by sequence, in each variant: a reference pass, then a pass a cell. A
    // signal ends it.
    for (Task& task : tasks) {
      if (interrupted_by() != 0) break;
      Result<FinishedCells> finished = task.shard.read();  // again: those of all tasks are too many
      if (!finished) return finished.error();
      const Result<Computed> computed =
          compute(request, workers, task, models, *finished, progress);
      if (!computed) return computed.error();
      summary.computed += computed->cells;
      summary.passes += computed->passes;
      learn(task.sequence, *finished);
    }
    if (interrupted_by() != 0) break;

    // 3. Whether the means are known.
    if (request.stopping != nullptr) {
      request.stopping->look(end);
      progress.note(request.stopping->in_words());
      if (request.stopping->unknown() == 0) break;
    }
    begin = end;
  }

  summary.signal = interrupted_by();
  summary.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return summary;
}

}  // namespace lamp::experiments
