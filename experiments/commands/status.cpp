// lamp status: how far a run is, from its folder alone where that suffices.
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/system_error.hpp"
#include "core/model/files/gguf_model.hpp"
#include "core/model/files/strict_json.hpp"
#include "core/record/shard.hpp"
#include "core/record/summary.hpp"
#include "experiments/commands/as_json.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/commands/text.hpp"
#include "experiments/config/own_rules.hpp"
#include "experiments/config/value.hpp"
#include "experiments/run/experiment.hpp"
#include "experiments/run/nan_cells.hpp"
#include "experiments/run/stopping.hpp"
#include "experiments/run/study_inputs.hpp"
#include "experiments/run/what_changed.hpp"

namespace lamp::experiments {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* damage_advice = "; lamp run sets it aside and computes its cells anew";

/// Of the points that differ, by identity.
using CellNames = std::map<Digest, std::string>;

/// What the folder's study asks for, as far as the files it names are there.
struct Asked {
  std::size_t points = 1;     // of the grid
  std::size_t sequences = 0;  // of all texts
  std::vector<Variant> variants{};
  std::vector<std::size_t> cells{};    // of a sequence in each variant: points that differ
  std::unique_ptr<const Grid> grid{};  // where it is known
  std::vector<CellNames> names{};      // in each variant, where the grid is known
  std::optional<Stopping> stopping{};  // with [stop]; refers to the grid
  std::optional<std::vector<TokenSequence>> tokens{};
  std::string note{};  // what could not be told

  /// Of a sequence, in all variants.
  [[nodiscard]] std::size_t cells_of_sequence() const {
    return std::accumulate(cells.begin(), cells.end(), std::size_t{0});
  }
};

struct ShardStatus {
  std::filesystem::path file;
  std::optional<std::size_t> text{}, sequence{}, variant{};  // unknown without the texts
  std::size_t done = 0, failed = 0;
  NanCells nan{};
  std::time_t published = 0;      // 0: not there
  std::string damage{};           // why it is not the shard of its sequence
  std::optional<Error> unread{};  // why that could not be told
};

struct Status {
  std::vector<ShardStatus> shards;
  std::size_t done = 0, failed = 0, complete = 0;  // cells, cells, sequences
  NanCells nan;
  std::time_t published = 0;
  bool result = false, up_to_date = false;  // result.h5: is there, holds what the shards hold
  std::string result_damage{};
  std::optional<Error> unread{};  // the first file of which nothing could be told
};

std::time_t modified(const std::filesystem::path& file) {
  struct stat status {};
  return ::stat(file.c_str(), &status) == 0 ? status.st_mtime : 0;
}

/// The cells of each variant.
std::vector<CellNames> names_of(const Grid& grid) {
  std::vector<CellNames> names(grid.variants.size());
  for (const Cell& cell : grid.cells)
    if (!names[cell.variant].contains(cell.id))
      names[cell.variant].emplace(cell.id, point_name(grid.axes, cell.index));
  return names;
}

/// The grid and the contents of its models, which are not opened where study.toml names these.
struct Study {
  Grid grid;
  std::vector<Digest> models;
};

/// Whether a file, or one in a folder, may have changed since: its status has, or cannot be seen.
bool may_have_changed(const std::filesystem::path& file, std::int64_t since) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0 || status.st_ctime >= since) return true;
  if (!S_ISDIR(status.st_mode)) return false;
  const Result<std::vector<std::filesystem::path>> entries = entries_of(file);
  return !entries || std::any_of(entries->begin(), entries->end(), [&](const auto& entry) {
    return ::stat(entry.c_str(), &status) != 0 || status.st_ctime >= since;
  });
}

/// Whether a file that the config names may have changed since the run read it.
bool may_have_changed(const Config& config, const RecordedInputs& inputs) {
  std::vector<std::filesystem::path> files = model_paths(config);
  files.insert(files.end(), config.tokens.paths.begin(), config.tokens.paths.end());
  if (!config.reference_model.empty()) files.push_back(config.reference_model);
  const std::vector<std::filesystem::path> rules = own_rule_files(config);
  files.insert(files.end(), rules.begin(), rules.end());
  return !inputs.read_at || std::any_of(files.begin(), files.end(), [&](const auto& file) {
    return may_have_changed(file, *inputs.read_at);
  });
}

/// Where a file is gone, what study.toml says of it, or nothing: what the shards hold can still be
/// told. An error where a run would refuse the folder: its study.toml was edited, a file has
/// changed or cannot be read.
Result<std::optional<Study>> study_of(const std::filesystem::path& folder, const Config& config,
                                      const std::string& experiment) {
  const auto of = [](Grid grid, const Inputs& inputs) {
    Study found{std::move(grid), {}};
    for (const ModelInputs& model : inputs.models) found.models.push_back(model.content);
    return std::optional<Study>(std::move(found));
  };
  std::optional<Study> recorded;
  const std::optional<RecordedInputs> inputs = read_inputs(folder / "study.toml");
  if (inputs && inputs->models.size() == model_paths(config).size() &&
      inputs->rules.size() == own_rule_files(config).size()) {
    Result<Grid> grid = expand(config, *inputs);
    if (!grid) return grid.error();
    if (to_hex(grid->experiment) != experiment)
      return changed_since_run(folder, experiment, *grid, config, *inputs);
    recorded = of(*std::move(grid), *inputs);
    if (!may_have_changed(config, *inputs)) return recorded;
  }
  Result<Experiment> prepared = prepare_again(folder);
  if (prepared) return of(std::move(prepared->grid), prepared->inputs());
  if (prepared.error().code != ExitCode::missing_input) return prepared.error();
  return recorded;
}

Result<std::vector<TokenSequence>> sequences_of(const Config& config,
                                                const std::vector<Digest>& models) {
  const std::filesystem::path folder = model_paths(config).front();
  const Result<ModelConfig> model = read_config_of_model(folder);
  if (!model) return model.error();
  Result<TokenSet> tokens = read_tokens(token_request(config, models), *model, folder);
  if (!tokens) return tokens.error();
  return std::move(tokens->sequences);
}

/// Grid points of each variant.
std::vector<std::size_t> points_of(const Config& config, const std::vector<Variant>& variants) {
  std::vector<std::size_t> points(variants.size());
  std::vector<std::size_t> index(config.grid.size(), 0);
  do {
    const auto at = std::find(variants.begin(), variants.end(), variant_of(config, index));
    ++points[static_cast<std::size_t>(at - variants.begin())];
  } while (next_cell(config, index));
  return points;
}

Result<Asked> asked_of(const std::filesystem::path& folder, const Config& config,
                       const std::string& experiment) {
  Asked asked{.sequences = config.tokens.paths.size() * config.tokens.sequences,
              .variants = variants_of(config)};
  for (const GridAxis& axis : config.grid) asked.points *= axis.values.size();
  asked.cells = points_of(config, asked.variants);
  std::vector<Digest> models(model_paths(config).size());
  Result<std::optional<Study>> study = study_of(folder, config, experiment);
  if (!study) return study.error();
  if (std::optional<Study>& known = *study) {
    models = std::move(known->models);
    asked.names = names_of(known->grid);
    for (std::size_t v = 0; v < asked.cells.size(); ++v) asked.cells[v] = asked.names[v].size();
    asked.grid = std::make_unique<const Grid>(std::move(known->grid));
  } else {
    asked.note =
        "the model or a text is gone: cells of other grids in the same folder are counted too";
  }
  const bool named = asked.grid || find_axis(config, model_key) == nullptr;
  if (!named)  // by the contents of the models
    asked.note += "; which text and sequence a shard is of is not known";
  else if (Result<std::vector<TokenSequence>> tokens = sequences_of(config, models))
    asked.tokens = *std::move(tokens);
  else if (asked.note.empty())
    asked.note = "which text and sequence a shard is of is not known: " + tokens.error().message;
  if (!config.stop) return asked;
  if (asked.grid && asked.tokens) {
    const RunFolder run = RunFolder::for_reading(folder, asked.grid->experiment);
    if (Result<Reached> so_far = reached(config, *asked.grid, *asked.tokens, std::span(&run, 1))) {
      asked.sequences = config.tokens.paths.size() * so_far->sequences;
      std::erase_if(*asked.tokens, [&](const TokenSequence& s) { return !so_far->has(s); });
      if (so_far->stopping) asked.stopping.emplace(*std::move(so_far->stopping));
      return asked;
    }
  }
  asked.note += (asked.note.empty() ? "" : "; ");
  asked.note += "how many sequences [stop] asks for is not known: counted are all";
  return asked;
}

/// The names that the cell's is among: those of the shard's variant, of any where that is not
/// known.
const CellNames* names_in(const ShardStatus& shard, const Asked& asked, const Digest& cell) {
  for (std::size_t v = 0; v < asked.names.size(); ++v)
    if (shard.variant.value_or(v) == v && asked.names[v].contains(cell)) return &asked.names[v];
  return nullptr;
}

/// Cells that the shard is to have.
std::size_t cells_of(const ShardStatus& shard, const Asked& asked) {
  return shard.variant ? asked.cells[*shard.variant]
                       : *std::max_element(asked.cells.begin(), asked.cells.end());
}

/// "text prose, sequence 0, arithmetic.low.mu = 4", as far as that is known.
std::string name_of(const ShardStatus& shard, const record::CellRecord& cell, const Config& config,
                    const Asked& asked) {
  const std::string name = shard.text ? sequence_name(config, *shard.text, *shard.sequence)
                                      : shard.file.filename().string();
  const CellNames* names = names_in(shard, asked, cell.id);
  const std::string point =
      names != nullptr ? names->at(cell.id) : "cell " + to_hex(cell.id).substr(0, 12);
  return point.empty() ? name : name + ", " + point;
}

ShardStatus look_at(ShardStatus shard, const Asked& asked, const Config& config,
                    const std::string& experiment) {
  shard.published = modified(shard.file);
  const Result<record::Shard> found = record::read_shard(shard.file);
  if (!found) {
    if (found.error().code == ExitCode::bad_data)
      shard.damage = found.error().message + damage_advice;
    else if (found.error().code != ExitCode::missing_input)
      shard.unread = found.error();
    return shard;
  }
  const std::string name = shard.file.filename().string();
  const bool own = name.ends_with("-" + to_hex(found->sequence_id).substr(0, 16) + ".h5");
  if (to_hex(found->experiment) != experiment || !own) {
    shard.damage = shard.file.string() + ": the shard of another " +
                   (own ? "experiment" : "sequence") + " under this name" + damage_advice;
    return shard;
  }
  const auto is_asked = [&](const record::CellRecord& cell) {
    return !asked.grid || names_in(shard, asked, cell.id) != nullptr;
  };
  for (const record::CellRecord& cell : found->cells)
    if (is_asked(cell)) ++(cell.status == record::CellStatus::done ? shard.done : shard.failed);
  for (const record::CellRecord* cell : nan_records(*found))
    if (is_asked(*cell)) shard.nan.add([&] { return name_of(shard, *cell, config, asked); });
  shard.done = std::min(shard.done, cells_of(shard, asked));
  return shard;
}

Result<std::vector<ShardStatus>> shards_of(const std::filesystem::path& folder,
                                           const Asked& asked) {
  std::vector<ShardStatus> shards;
  const Result<std::vector<std::filesystem::path>> there = entries_of(folder / "shards");
  if (!there && there.error().code != ExitCode::missing_input) return there.error();
  const RunFolder places = RunFolder::for_reading(folder, {});
  if (asked.tokens) {
    for (const TokenSequence& s : *asked.tokens)
      shards.push_back({.file = places.shard(s.index, s.id),
                        .text = s.text,
                        .sequence = s.index,
                        .variant = s.variant});
    return shards;
  }
  if (!there) return shards;
  for (const std::filesystem::path& file : *there)
    if (file.extension() == ".h5") shards.push_back({.file = file});
  return shards;
}

/// Looks whether result.h5 holds what the shards hold.
void look_at_result(const std::filesystem::path& result, Status& status, const Asked& asked,
                    const std::string& experiment) {
  status.result = may_be_there(result);
  if (!status.result) return;
  const Result<record::StoredFile> stored = record::StoredFile::open(result);
  const Result<record::FileSummary> summary =
      stored ? record::summarise(*stored) : Result<record::FileSummary>(stored.error());
  if (!summary && summary.error().code == ExitCode::bad_data)
    status.result_damage = summary.error().message;
  else if (!summary && !status.unread)
    status.unread = summary.error();
  if (!summary) return;
  const bool complete = status.done == asked.cells_of_sequence() * asked.sequences;
  status.up_to_date =
      modified(result) >= status.published && summary->experiment == experiment &&
      summary->done + summary->pending + summary->failed == asked.points * asked.sequences &&
      (summary->pending + summary->failed == 0) == complete;
}

Result<Status> status_of(const std::filesystem::path& folder, const Config& config,
                         const Asked& asked, const std::string& experiment) {
  Result<std::vector<ShardStatus>> shards = shards_of(folder, asked);
  if (!shards) return shards.error();
  Status status;
  std::map<std::pair<std::size_t, std::size_t>, std::size_t> complete;  // shards of a sequence
  std::size_t others = 0;  // complete shards, of unknown sequences
  for (ShardStatus& shard : *shards) {
    status.shards.push_back(look_at(std::move(shard), asked, config, experiment));
    const ShardStatus& found = status.shards.back();
    if (!status.unread) status.unread = found.unread;
    status.done += found.done;
    status.failed += found.failed;
    status.nan.add(found.nan);
    if (found.done == cells_of(found, asked))
      ++(found.variant ? complete[{*found.text, *found.sequence}] : others);
    status.published = std::max(status.published, found.published);
  }
  const std::size_t each = asked.variants.size();
  status.complete = others / each;
  for (const auto& [sequence, present] : complete) status.complete += present == each ? 1 : 0;
  look_at_result(folder / "result.h5", status, asked, experiment);
  return status;
}

Json as_json(const std::filesystem::path& folder, const Config& config,
             const std::string& experiment, const Asked& asked, const Status& status,
             const std::vector<std::string>& running) {
  const std::vector<std::string> texts = text_names(config);
  Json shards = Json::array();
  for (const ShardStatus& s : status.shards) {
    const std::string variant =
        s.variant ? variant_name(config, asked.variants[*s.variant]) : std::string();
    shards.push_back({{"text", s.text ? Json(texts[*s.text]) : Json()},
                      {"sequence", s.sequence ? Json(*s.sequence) : Json()},
                      {"variant", variant.empty() ? Json() : Json(variant)},
                      {"file", s.file.string()},
                      {"done", s.done},
                      {"failed", s.failed},
                      {"nan", s.nan.count},
                      {"published", s.published != 0 ? Json(utc_text(s.published)) : Json()},
                      {"damage", s.damage.empty() ? Json() : Json(s.damage)}});
  }
  return {{"folder", folder.string()},
          {"title", config.title},
          {"experiment", experiment},
          {"complete", status.complete == asked.sequences},
          {"cells",
           {{"asked", asked.cells_of_sequence() * asked.sequences},
            {"done", status.done},
            {"failed", status.failed}}},
          {"nan", as_json(status.nan)},
          {"sequences",
           {{"asked", asked.sequences},
            {"complete", status.complete},
            {"cells", asked.cells_of_sequence()}}},
          {"stop", as_json(asked.stopping)},
          {"published", status.published != 0 ? Json(utc_text(status.published)) : Json()},
          {"running", running},
          {"result",
           {{"present", status.result},
            {"up_to_date", status.up_to_date},
            {"damage", status.result_damage.empty() ? Json() : Json(status.result_damage)}}},
          {"note", asked.note.empty() ? Json() : Json(asked.note)},
          {"shards", std::move(shards)}};
}

std::string plain(const std::filesystem::path& folder, const Config& config,
                  const std::string& experiment, const Asked& asked, const Status& status,
                  const std::vector<std::string>& running) {
  const std::size_t all = asked.cells_of_sequence() * asked.sequences;
  const std::vector<std::string> texts = text_names(config);
  std::string text = one_line(config.title) + "\nfolder      " + one_line(folder.string()) +
                     "\nexperiment  " + experiment + "\ncells       " +
                     std::to_string(status.done) + " of " + std::to_string(all) + " done";
  if (status.failed > 0) text += ", " + std::to_string(status.failed) + " failed";
  if (status.nan.count > 0)
    text += "\nNaN         " + wrapped(in_words(status.nan, status.done), 12, 12);
  text +=
      "\nsequences   " + std::to_string(status.complete) + " of " +
      std::to_string(asked.sequences) + " complete, " + std::to_string(asked.cells_of_sequence()) +
      " cells each" +
      (asked.variants.size() == 1 ? ""
                                  : " in " + std::to_string(asked.variants.size()) + " shards") +
      "\n" +
      (asked.stopping ? "stop        " + wrapped(asked.stopping->in_words(), 12, 12) + "\n"
                      : std::string()) +
      "published   " + (status.published != 0 ? utc_text(status.published) : "nothing yet") +
      "\nat work     " + (running.empty() ? "no run" : running[0]) + "\n";
  for (std::size_t i = 1; i < running.size(); ++i) text += "            " + running[i] + "\n";
  text += std::string("result.h5   ") +
          (!status.result                  ? "not there"
           : status.unread                 ? "not read"
           : !status.result_damage.empty() ? "DAMAGED; lamp merge renews it"
           : status.up_to_date             ? "up to date"
                                           : "older than the shards; lamp merge renews it") +
          "\n";
  if (!asked.note.empty()) text += "note        " + wrapped(asked.note, 12, 12) + "\n";
  text += "\n  text                  sequence      done  shard\n";
  for (const ShardStatus& s : status.shards) {
    const std::string done = std::to_string(s.done) + "/" + std::to_string(cells_of(s, asked));
    const std::string name = one_line(s.file.filename().string());
    const std::string variant =
        s.variant ? variant_name(config, asked.variants[*s.variant]) : std::string();
    text += "  " + padded(s.text ? one_line(texts[*s.text]) : "?", 20) + "  " +
            padded(s.sequence ? std::to_string(*s.sequence) : "?", 8) + "  " +
            std::string(done.size() < 8 ? 8 - done.size() : 0, ' ') + done + "  " +
            (s.published == 0    ? "-"
             : s.unread          ? "NOT READ " + name
             : !s.damage.empty() ? "DAMAGED " + name
                                 : name) +
            (variant.empty() ? "" : "  " + variant) + "\n";
  }
  return text;
}

}  // namespace

int status_command(const StatusOptions& options) {
  if (!may_be_there(options.folder))
    return report("status",
                  {ExitCode::missing_input, options.folder.string() + ": no such folder"});
  const Result<std::string> experiment = experiment_of(options.folder);
  if (!experiment) return report("status", experiment.error());
  const std::filesystem::path study = options.folder / "study.toml";
  const Result<Config> config = load_config(study, {});
  if (!config) return report("status", config.error());

  const std::vector<std::string> running = holders(options.folder);
  const Result<Asked> asked_for = asked_of(options.folder, *config, *experiment);
  if (!asked_for) return report("status", asked_for.error());
  const Asked& asked = *asked_for;
  const Result<Status> found = status_of(options.folder, *config, asked, *experiment);
  if (!found) return report("status", found.error());
  const Status& status = *found;
  std::cout << (options.json ? json_text(as_json(options.folder, *config, *experiment, asked,
                                                 status, running)) +
                                   '\n'
                             : plain(options.folder, *config, *experiment, asked, status, running));
  if (status.unread) return report("status", *status.unread);
  for (const ShardStatus& shard : status.shards)
    if (!shard.damage.empty()) return report("status", {ExitCode::bad_data, shard.damage});
  return static_cast<int>(status.complete == asked.sequences ? ExitCode::done : ExitCode::partial);
}

}  // namespace lamp::experiments
