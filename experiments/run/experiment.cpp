#include "experiments/run/experiment.hpp"

#include <array>
#include <ctime>
#include <iterator>
#include <set>
#include <utility>

#include "core/model/files/text.hpp"
#include "experiments/config/own_rules.hpp"
#include "experiments/run/continuation_texts.hpp"
#include "experiments/run/nan_cells.hpp"
#include "experiments/run/provenance.hpp"
#include "experiments/run/stopping.hpp"
#include "experiments/run/study_inputs.hpp"
#include "experiments/run/what_changed.hpp"

namespace lamp::experiments {
namespace {

/// With these sequences of each text.
std::vector<record::Axis> sequence_axes(const Config& config,
                                        const std::vector<std::int64_t>& numbers) {
  std::vector<record::Axis> axes;
  if (config.tokens.text_axis)
    axes.push_back(
        {.name = "text", .values = text_names(config), .long_name = "text the tokens are from"});
  axes.push_back({.name = "sequence", .values = numbers, .long_name = "sequence within its text"});
  return axes;
}

/// What the dimensions that count from 0 count: where position, query, key and component are the
/// same index, they say so.
std::vector<record::Axis> counted_axes() {
  const auto named = [](std::string name, std::string what) {
    return record::Axis{.name = std::move(name),
                        .values = std::vector<std::int64_t>{},
                        .long_name = std::move(what)};
  };
  std::vector<record::Axis> axes{
      named("position", "position of a token in its sequence; queries and keys are positions too"),
      named("query", "position of the token that attends: the same index as position"),
      named("key", "position of the token attended to: the same index as position"),
      named("component", "component of the vector of a position"),
      named("/continuations/position", "generated token, after the prefix")};
  for (const SiteInfo& site : sites)
    if (site.causal)
      for (const char* group : {"/activations/", "/errors/"})
        axes.push_back(named(group + std::string(site.name) + "/component",
                             "key: position of the token attended to, the same index as position"));
  return axes;
}

/// Reads the file of every own rule. Nothing of it is executed.
Result<std::vector<RuleSource>> read_rule_sources(const Config& config) {
  constexpr std::uint64_t most_bytes = std::uint64_t{1} << 20;
  std::vector<RuleSource> sources;
  for (const std::filesystem::path& file : own_rule_files(config)) {
    Result<std::string> text = read_text_file(file, most_bytes);
    if (!text) return text.error();
    if (text->find('\0') != std::string::npos)
      return Error{ExitCode::bad_data, file.string() + ": has a NUL; legal: a Python file"};
    const Digest content = sha256(*text);
    sources.push_back({.file = file, .text = *std::move(text), .content = content});
  }
  return sources;
}

}  // namespace

Inputs Experiment::inputs() const {
  Inputs all{
      .models = {}, .tokenizer = tokens.tokenizer, .texts = tokens.text_contents, .rules = {}};
  for (const RuleSource& rule : rules) all.rules.push_back(rule.content);
  for (std::size_t i = 0; i <= other_models.size(); ++i) {
    all.models.push_back({.content = model_at(i).content, .activation = activation_at(i)});
    if (const Digest& content = reference_at(i).content; content != model_at(i).content)
      all.models.back().reference = content;
  }
  return all;
}

TokenRequest token_request(const Config& config, std::span<const Digest> models) {
  const TokensConfig& asked = config.tokens;
  std::vector<TokenVariant> variants;
  for (const Variant& variant : variants_of(config))
    variants.push_back({.shuffle = variant.shuffle ? variant.seed : std::nullopt,
                        .identity = variant_identity(config, variant, models)});
  return {.from_ids = asked.from_ids,
          .paths = asked.paths,
          .sequence_length = asked.sequence_length,
          .sequences = asked.sequences,
          .offset = asked.offset,
          .min_length = asked.min_length,
          .variants = std::move(variants)};
}

Result<Experiment> prepare(const std::filesystem::path& file, std::span<const std::string> sets,
                           ModelReader& read) {
  const std::int64_t read_at = std::time(nullptr);
  Result<Config> config = load_config(file, sets);
  if (!config) return config.error();
  Result<std::vector<Model>> models = read_models(*config, read);
  if (!models) return models.error();
  Result<std::optional<Model>> reference = read_reference_model(*config, *models, read);
  if (!reference) return reference.error();
  Model& model = models->front();
  if (Result<void> fits = check_against(*config, model.config); !fits) return fits.error();
  Result<std::vector<RuleSource>> rules = read_rule_sources(*config);
  if (!rules) return rules.error();

  std::vector<Digest> contents;
  for (const Model& each : *models) contents.push_back(each.content);
  Result<TokenSet> tokens =
      read_tokens(token_request(*config, contents), model.config, model_paths(*config).front());
  if (!tokens) return tokens.error();
  Experiment experiment{
      .config = *std::move(config),
      .model = std::move(model),
      .tokens = *std::move(tokens),
      .grid = {
          .axes = {}, .cells = {}, .reference = PrecisionPlan(fused(binary64)), .variants = {}}};
  experiment.other_models.assign(std::make_move_iterator(models->begin() + 1),
                                 std::make_move_iterator(models->end()));
  experiment.reference_model = *std::move(reference);
  experiment.rules = *std::move(rules);
  experiment.read_at = read_at;
  experiment.activation = experiment.activation_at(0);
  Result<Grid> grid = expand(experiment.config, experiment.inputs());
  if (!grid) return grid.error();
  experiment.grid = *std::move(grid);
  return experiment;
}

Error changed_since_run(const std::filesystem::path& folder, const std::string& present,
                        const Grid& grid, const Config& config, const Inputs& inputs) {
  return {ExitCode::bad_data,
          folder.string() + ": has changed since the run (" + present.substr(0, 12) + ", now " +
              to_hex(grid.experiment).substr(0, 12) + "): " + what_changed(folder, config, inputs) +
              "; what was changed is needed as it was, or run it again with another --out"};
}

Result<Experiment> prepare_again(const std::filesystem::path& folder) {
  const Result<std::string> present = experiment_of(folder);
  if (!present) return present.error();
  Result<Experiment> experiment = prepare(folder / "study.toml", {});
  if (!experiment) return experiment;
  if (const std::optional<RecordedInputs> recorded = read_inputs(folder / "study.toml"))
    experiment->python = recorded->python;
  if (to_hex(experiment->grid.experiment) == *present) return experiment;
  return changed_since_run(folder, *present, experiment->grid, experiment->config,
                           experiment->inputs());
}

std::string sequence_name(const Config& config, std::size_t text, std::size_t index) {
  return "text " + text_names(config)[text] + ", sequence " + std::to_string(index);
}

std::string utc_text(std::time_t time) {
  std::array<char, 32> text{};
  std::tm utc{};
  gmtime_r(&time, &utc);
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

std::string utc_now() { return utc_text(std::time(nullptr)); }

Result<record::MergeSummary> merge_result(const Experiment& experiment,
                                          std::span<const RunFolder> folders, const Reached& so_far,
                                          const std::filesystem::path& out,
                                          const Occasion& occasion) {
  record::MergePlan plan;
  plan.grid_axes = experiment.grid.axes;
  plan.experiment = experiment.grid.experiment;
  plan.reference_axes = variant_axes(experiment.config);
  for (const Cell& cell : experiment.grid.cells) {
    plan.cell_ids.push_back(cell.id);
    plan.variants.push_back(cell.variant);
  }
  if (so_far.stopping) plan.of_points = so_far.stopping->recorded();
  plan.point_name = [&](std::size_t point) {
    return point_name(experiment.grid.axes, experiment.grid.cells[point].index);
  };
  plan.more_shards.resize(folders.size() - 1);
  std::set<std::int64_t> numbers;
  for (const TokenSequence& sequence : experiment.tokens.sequences) {
    if (!so_far.has(sequence)) continue;
    numbers.insert(static_cast<std::int64_t>(sequence.index));
    plan.shards.push_back(folders.front().shard(sequence.index, sequence.id));
    for (std::size_t i = 1; i < folders.size(); ++i)
      plan.more_shards[i - 1].push_back(folders[i].shard(sequence.index, sequence.id));
    plan.sequence_ids.push_back(sequence.id);
  }
  plan.sequence_axes = sequence_axes(experiment.config, {numbers.begin(), numbers.end()});
  for (const record::Axis& axis : CellRecorder(experiment.recording()).axes())
    plan.inner_axes.insert({axis.name, axis});
  for (const record::Axis& axis : counted_axes()) plan.inner_axes.insert({axis.name, axis});
  Result<std::vector<record::TextQuantity>> texts = continuation_texts(experiment);
  if (!texts) return texts.error();
  plan.texts = *std::move(texts);
  plan.provenance = provenance(experiment, occasion);
  return record::merge(plan, out);
}

}  // namespace lamp::experiments
