// The grid: every cell's plan and identity, in row-major order of the axes as the config names
// them.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/base/sha256.hpp"
#include "core/model/plan.hpp"
#include "core/record/contents.hpp"
#include "experiments/config/config.hpp"
#include "experiments/config/costs.hpp"
#include "experiments/config/value.hpp"
#include "experiments/config/variants.hpp"

namespace lamp::experiments {

/// Raised by hand whenever the same config, model and tokens give other values than before: old
/// results then stop matching.
inline constexpr int semantics = 2;

/// What a cell records besides what every cell does.
struct Records {
  bool errors = false;       // record.errors names a site, and the cell matches record.where
  bool activations = false;  // record.activations names a site, and the cell matches record.where
  bool truth = false;  // [truth] is there, and of the cells that differ in how scores are selected
                       // alone this is the first
  std::shared_ptr<const PlanCosts> costs{};  // of its multiply-accumulates
};

/// Cells of equal `own` have equal values (equal_cells.hpp); what a pass shows may prove more.
struct Work {
  Digest own{};
  std::optional<Digest> if_nothing{};  // own of the cell that it equals where it selects nothing
  std::optional<Digest> if_lamps{};    // where every set is LAMP's
};

/// One point of the grid.
struct Cell {
  std::vector<std::size_t> index;  // one coordinate an axis
  Digest id{};  // of what affects its values but its tokens: the arithmetics used, plan,
                // selections, seed, reference, model, activation
  PrecisionPlan plan;
  Records records;
  Work work{};
  std::size_t variant = 0;  // of Grid::variants: its tokens, its reference and its shards
  std::uint32_t seed = 0;   // of its own draws
};

struct Grid {
  std::vector<record::Axis> axes;  // in file order; none: one cell
  std::vector<Cell> cells;         // row-major over the axes
  PrecisionPlan reference;
  std::vector<Variant> variants;
  Digest experiment{};  // equal for two runs that may share a folder: more sequences or grid points
                        // leave it alone
};

/// What a model folder contains.
struct ModelInputs {
  Digest content{};                              // Model::content
  Activation activation = Activation::gelu_new;  // the one used
  std::optional<Digest> reference{};  // the content of reference.model, where it is another one
};

/// What the files contain that the config names.
struct Inputs {
  std::vector<ModelInputs> models;  // of model_paths(config)
  Digest tokenizer{};               // zero where tokens are ids
  std::vector<Digest> texts{};      // content of each of tokens.path
  std::vector<Digest> rules{};      // content of each of own_rule_files(config)
};

/// One thing that two runs that share a folder agree in: a key of the config, or one of semantics,
/// model, activation, reference_model, tokenizer, text (each text's content) and axis (each).
struct IdentityLine {
  std::string name, value;
  friend bool operator==(const IdentityLine&, const IdentityLine&) = default;
};

/// All that the identity of an experiment hashes: the contents of its files, the names of its axes,
/// and every key that matters but the axes. `semantics_number`: of the lamp that ran it.
std::vector<IdentityLine> experiment_lines(const Config& config, const Inputs& inputs,
                                           int semantics_number);

/// The keys that axes give, and their alternatives: what the config says of them has no effect.
std::vector<std::string> keys_of_axes(const Config& config);

/// All cells. An error names the cell whose combination of coordinates is not legal.
Result<Grid> expand(const Config& config, const Inputs& inputs);

/// Axes of the grid that the ground truth does not depend on: how scores are selected.
std::vector<std::string> axes_beside_truth(const Config& config);

/// Steps to the index of the next cell, row-major; false after the last, and then it is the first
/// again.
bool next_cell(const Config& config, std::vector<std::size_t>& index);

/// What evaluates the own rule of a selection that has one.
using OwnRuleOf = std::function<OwnRule*(const SelectionConfig&)>;

/// The plan of a config without a grid. Pre: check_values(config) is empty. Without `own` no pass
/// can be made under the plan where the config has own rules.
PrecisionPlan plan_of(const Config& config, const OwnRuleOf& own = {});

/// The config of one cell: its coordinates put in place of the grid.
Config cell_config(const Config& config, std::span<const std::size_t> index);

/// What is wrong with the grid: an axis that is no key that can be one, two axes that exclude each
/// other, one that varies the reference; a value that is not legal; more than
/// most_cells; a record.where that names no axis or no value of one.
/// The config need not be complete.
std::optional<Problem> check_grid(const Config& config);
/// What no key can tell alone: unknown names, alternatives given at once, formats that are too
/// wide, selections that cannot be used. With a grid: each value of each axis, with the first
/// values of the others.
std::optional<Problem> check_values(const Config& config);
/// An order that is an explicit tree has as many terms as every sum that it is used for. The
/// problem's key is the plan's.
std::optional<Problem> check_trees(const Config& config, const ModelConfig& model);

}  // namespace lamp::experiments
