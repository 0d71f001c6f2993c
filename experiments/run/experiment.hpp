// An experiment ready to run: config, model, tokens and grid, checked against each other; and its
// result from its shards.
#pragma once

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/model/weights.hpp"
#include "core/record/merge.hpp"
#include "experiments/config/config.hpp"
#include "experiments/config/grid.hpp"
#include "experiments/config/tokens.hpp"
#include "experiments/run/cell_recorder.hpp"
#include "experiments/run/models.hpp"
#include "experiments/run/run_folder.hpp"
#include "experiments/run/study_inputs.hpp"

namespace lamp::experiments {

/// The file of an own rule, as it was read.
struct RuleSource {
  std::filesystem::path file;
  std::string text;
  Digest content{};
};

struct Experiment {
  Config config;
  Model model;  // the first of the axis model.path, or the only one
  Activation activation = Activation::gelu_new;  // the one used with it
  TokenSet tokens;                               // of the variants of the grid
  Grid grid;
  std::vector<Model> other_models{};       // the rest of the axis, of the shapes of the first
  std::optional<Model> reference_model{};  // reference.model, of the same shapes
  std::vector<RuleSource> rules{};         // of own_rule_files(config)
  std::optional<PythonVersions> python{};  // of the run, where it has begun with own rules
  std::int64_t read_at = 0;  // seconds since 1970, before the first of its files was opened

  /// Of model_paths(config).
  [[nodiscard]] const Model& model_at(std::size_t i) const {
    return i == 0 ? model : other_models.at(i - 1);
  }
  /// What the runs of that model are compared with runs on.
  [[nodiscard]] const Model& reference_at(std::size_t i) const {
    return reference_model ? *reference_model : model_at(i);
  }
  [[nodiscard]] Activation activation_at(std::size_t i) const {
    return config.activation.value_or(model_at(i).config.activation);
  }
  /// What its files contain.
  [[nodiscard]] Inputs inputs() const;

  /// What its instruments are made for. Refers to the experiment.
  [[nodiscard]] Recording recording() const { return {config, model.config}; }
};

/// What `config` asks of read_tokens. `models`: the contents of model_paths(config), which matter
/// where the model is an axis.
TokenRequest token_request(const Config& config, std::span<const Digest> models);

/// Reads everything a config names. Nothing is written; every error is the user's to mend.
/// With read_model_without_weights, which is for plans, identities mean nothing outside of the
/// experiment: they tell its cells from each other.
Result<Experiment> prepare(const std::filesystem::path& config, std::span<const std::string> sets,
                           ModelReader& read = read_model);

/// The folder was made as experiment `present`, and its study.toml, with these inputs, means
/// another one: bad_data, which says what differs.
Error changed_since_run(const std::filesystem::path& folder, const std::string& present,
                        const Grid& grid, const Config& config, const Inputs& inputs);

/// The experiment of the folder of a run, by its study.toml; bad_data, which says what changed,
/// where files or program are not those of the run.
Result<Experiment> prepare_again(const std::filesystem::path& folder);

/// "text prose, sequence 0": a sequence by text and number.
std::string sequence_name(const Config& config, std::size_t text, std::size_t index);

/// When and how the values were asked for: the part of /provenance that is not the experiment's.
struct Occasion {
  std::string command_line;
  std::string started;  // UTC
  std::size_t threads = 1;
};

/// As 2026-11-20T12:34:56Z.
std::string utc_text(std::time_t time);
/// The same of now.
std::string utc_now();

struct Reached;  // stopping.hpp

/// result.h5 (at `out`) from the shards of one or more folders of the experiment; unfinished cells
/// are pending there. With [stop] it has the sequences of the rounds that were begun, and /stop.
Result<record::MergeSummary> merge_result(const Experiment& experiment,
                                          std::span<const RunFolder> folders, const Reached& so_far,
                                          const std::filesystem::path& out,
                                          const Occasion& occasion);

}  // namespace lamp::experiments
