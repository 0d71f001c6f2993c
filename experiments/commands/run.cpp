// lamp run, lamp merge: from a config to shards, from shards to result.h5.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/model/files/strict_json.hpp"
#include "core/record/publish.hpp"
#include "core/record/shard.hpp"
#include "experiments/commands/as_json.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/commands/requests.hpp"
#include "experiments/config/value.hpp"
#include "experiments/own_rules/own_rules.hpp"
#include "experiments/run/experiment.hpp"
#include "experiments/run/interrupt.hpp"
#include "experiments/run/nan_cells.hpp"
#include "experiments/run/progress.hpp"
#include "experiments/run/runner.hpp"
#include "experiments/run/stopping.hpp"
#include "experiments/run/study_inputs.hpp"
#include "experiments/run/what_changed.hpp"

namespace lamp::experiments {
namespace {

using Json = nlohmann::ordered_json;

/// runs/<title>, the title with what a shell or file system dislikes turned into '-'.
std::filesystem::path default_folder(const std::string& title) {
  std::string name;
  for (const char c : title) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                       c == '.' || c == '_';
    if (plain && !(name.empty() && c == '.'))
      name += c;
    else if (!name.empty() && name.back() != '-')
      name += '-';
  }
  while (!name.empty() && name.back() == '-') name.pop_back();
  return std::filesystem::path("runs") / (name.empty() ? "untitled" : name);
}

std::vector<TokenSequence> sequences_of_part(const std::vector<TokenSequence>& all,
                                             const ShardPart& part) {
  std::vector<TokenSequence> mine;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (i % part.of == part.part - 1) mine.push_back(all[i]);
  return mine;
}

/// The NaN cells in the shards of a part, for which there is no result yet.
Result<NanCells> nan_cells_of_part(const Experiment& experiment, const RunFolder& folder,
                                   const ShardPart& part) {
  std::map<std::pair<std::size_t, Digest>, const Cell*> by_id;  // and variant
  for (const Cell& cell : experiment.grid.cells)
    by_id.emplace(std::pair(cell.variant, cell.id), &cell);
  NanCells found;
  for (const TokenSequence& sequence : sequences_of_part(experiment.tokens.sequences, part)) {
    const Result<record::Shard> shard =
        record::read_shard(folder.shard(sequence.index, sequence.id));
    if (!shard) return shard.error();
    for (const record::CellRecord* record : nan_records(*shard)) {
      const auto cell = by_id.find({sequence.variant, record->id});
      if (cell == by_id.end()) continue;  // of another grid
      found.add([&] {
        const std::string point = point_name(experiment.grid.axes, cell->second->index);
        return sequence_name(experiment.config, sequence.text, sequence.index) +
               (point.empty() ? "" : ", " + point);
      });
    }
  }
  return found;
}

/// The NaN cells of a result.
Result<NanCells> nan_cells_of(const std::filesystem::path& result) {
  const Result<record::StoredFile> stored = record::StoredFile::open(result);
  return stored ? nan_cells(*stored) : Result<NanCells>(stored.error());
}

/// A line of its own, also where no progress is wanted: NaN is nothing one expects.
void report_nan(const char* command, const NanCells& nan, std::size_t cells) {
  if (nan.count > 0) std::cerr << "lamp " << command << ": " << in_words(nan, cells) << "\n";
}

/// Shards that a result was made without.
void report_damaged(const char* command, const record::MergeSummary& merged) {
  for (const std::string& damaged : merged.damaged)
    std::cerr << "lamp " << command << ": left out: " << one_line(damaged) << "\n";
}

/// "7 of them equal to others, " where some are.
std::string equal_text(const RunSummary& summary) {
  const std::size_t equal = summary.computed - summary.passes;
  return equal == 0 ? "" : std::to_string(equal) + " of them equal to others, ";
}

std::vector<std::string> names_of(const std::vector<std::filesystem::path>& folders) {
  std::vector<std::string> names;
  for (const std::filesystem::path& folder : folders) names.push_back(folder.string());
  return names;
}

/// Of a merge, as one could type it again.
std::string command_line(const MergeOptions& options) {
  std::vector<std::string> words = names_of(options.folders);
  words.insert(words.begin(), {"lamp", "merge"});
  if (options.out) words.insert(words.end(), {"--out", options.out->string()});
  return shell_line(words);
}

/// The folders whose cells a result is to have: that of the experiment, and others of the same one.
Result<std::vector<RunFolder>> folders_of(const std::vector<std::filesystem::path>& paths,
                                          const Experiment& experiment) {
  const std::string first = to_hex(experiment.grid.experiment);
  std::vector<RunFolder> folders;
  for (const std::filesystem::path& path : paths) {
    const Result<std::string> present = experiment_of(path);
    if (!present) return present.error();
    if (*present != first)
      return Error{ExitCode::bad_data,
                   path.string() + ": holds another experiment (" + present->substr(0, 12) +
                       ", that of " + paths.front().string() + " is " + first.substr(0, 12) +
                       "): " + what_changed(path, experiment.config, experiment.inputs())};
    folders.push_back(RunFolder::for_reading(path, experiment.grid.experiment));
  }
  return folders;
}

}  // namespace

int run_command(const RunOptions& options) {
  const std::string started = utc_now();
  Result<Experiment> experiment = prepare(options.config, options.sets);
  if (!experiment) return report("run", experiment.error());
  const std::vector<std::filesystem::path> models = model_paths(experiment->config);
  for (std::size_t i = 0; i < models.size(); ++i)
    warn_of_head("run", models[i], experiment->model_at(i));
  const Grid& grid = experiment->grid;
  if (const Result<void> legal = check_parts(*experiment, options.parts); !legal)
    return report("run", legal.error());

  const Result<std::unique_ptr<OwnRules>> rules =
      OwnRules::start(*experiment, options.threads, &stop_request());
  if (!rules) return report("run", rules.error());

  const std::filesystem::path out = options.out.value_or(default_folder(experiment->config.title));
  const ShardPart part{.part = options.part, .of = options.parts};
  const Result<RunFolder> folder = RunFolder::open(out, part, *experiment);
  if (!folder) return report("run", folder.error());
  if (Result<void> written = folder->write_study(
          inputs_comment(experiment->inputs(), experiment->read_at, experiment->python) +
          resolved_toml(experiment->config));
      !written)
    return report("run", written.error());

  const InterruptGuard guard("stopping at the next site of the network; finished cells are written",
                             "the cells being computed, and those finished in the last 30 s");
  Reached so_far{.sequences = experiment->config.tokens.sequences};
  if (experiment->config.stop) so_far.stopping.emplace(experiment->config, grid);
  RunRequest request =
      request_of(*experiment, grid.cells, sequences_of_part(experiment->tokens.sequences, part),
                 options.threads);
  request.quiet = options.quiet;
  request.stopping = so_far.stopping ? &*so_far.stopping : nullptr;
  const Result<RunSummary> summary = run_sequences(request, *folder);
  if (!summary) return report("run", summary.error());
  if (summary->signal != 0) {
    std::cerr
        << "lamp run: stopped by signal " << summary->signal << " with "
        << summary->resumed + summary->computed << " of " << summary->cells
        << " cells done; the cells that were being computed are lost, the finished ones are in "
        << one_line(out.string()) << "; run the same command again to continue\n";
    return 128 + summary->signal;
  }
  if (so_far.stopping) so_far.sequences = so_far.stopping->sequences();

  const Occasion occasion{.command_line = shell_line(options.command_line),
                          .started = started,
                          .threads = options.threads};
  const Result<record::MergeSummary> merged =
      part.of == 1
          ? merge_result(*experiment, std::span(&*folder, 1), so_far, folder->result(), occasion)
          : record::MergeSummary{.pending = 1};
  if (!merged) return report("run", merged.error());
  const bool complete = merged->pending == 0 && merged->failed == 0;
  const Result<NanCells> nan =
      part.of == 1 ? nan_cells_of(folder->result()) : nan_cells_of_part(*experiment, *folder, part);
  if (!nan) return report("run", nan.error());
  if (options.json)
    std::cout << json_text(Json{{"result", complete ? folder->result().string() : ""},
                                {"cells", summary->cells},
                                {"resumed", summary->resumed},
                                {"computed", summary->computed},
                                {"passes", summary->passes},
                                {"seconds", summary->seconds},
                                {"set_aside", summary->set_aside},
                                {"stop", as_json(so_far.stopping)},
                                {"nan", as_json(*nan)}})
              << "\n";
  report_nan("run", *nan, part.of == 1 ? merged->done : summary->cells);
  report_damaged("run", *merged);
  if (part.of > 1) {
    if (!options.quiet)
      std::cerr << "lamp run: part " << part.part << "/" << part.of
                << " is done; when all are, run `lamp merge " << out.string() << "`\n";
    return static_cast<int>(ExitCode::partial);
  }
  if (!options.quiet)
    std::cerr << "lamp run: " << folder->result().string() << " (" << summary->computed
              << " cells computed, " << equal_text(*summary) << summary->resumed << " found, "
              << duration_text(summary->seconds) << ")\n";
  return static_cast<int>(complete ? ExitCode::done : ExitCode::partial);
}

int merge_command(const MergeOptions& options) {
  const std::string started = utc_now();
  if (options.out)
    if (const Result<void> fits = record::check_target(*options.out); !fits)
      return report("merge", fits.error());
  const Result<Experiment> experiment = prepare_again(options.folders.front());
  if (!experiment) return report("merge", experiment.error());
  const Result<std::vector<RunFolder>> folders = folders_of(options.folders, *experiment);
  if (!folders) return report("merge", folders.error());
  const std::filesystem::path out = options.out.value_or(folders->front().result());
  const Result<Reached> so_far =
      reached(experiment->config, experiment->grid, experiment->tokens.sequences, *folders);
  if (!so_far) return report("merge", so_far.error());
  const Result<record::MergeSummary> merged =
      merge_result(*experiment, *folders, *so_far, out,
                   {.command_line = command_line(options), .started = started});
  if (!merged) return report("merge", merged.error());
  const Result<NanCells> nan = merged->done > 0
                                   ? nan_cells_of(out)
                                   : NanCells{};  // without a shard it is not known what cells hold
  if (!nan) return report("merge", nan.error());
  if (options.json)
    std::cout << json_text(Json{{"result", out.string()},
                                {"folders", names_of(options.folders)},
                                {"done", merged->done},
                                {"pending", merged->pending},
                                {"failed", merged->failed},
                                {"damaged", merged->damaged},
                                {"nan", as_json(*nan)}})
              << "\n";
  std::cerr << "lamp merge: " << out.string() << " (" << merged->done << " cells done";
  if (merged->pending + merged->failed > 0)
    std::cerr << ", " << merged->pending << " pending, " << merged->failed << " failed";
  std::cerr << ")\n";
  report_nan("merge", *nan, merged->done);
  report_damaged("merge", *merged);
  return static_cast<int>(merged->pending + merged->failed == 0 ? ExitCode::done
                                                                : ExitCode::partial);
}

}  // namespace lamp::experiments
