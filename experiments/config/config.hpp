// The config of an experiment, typed and checked. The list of its keys is fields.hpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/base/names.hpp"
#include "core/base/result.hpp"
#include "core/base/sha256.hpp"
#include "core/model/files/config.hpp"
#include "core/model/plan.hpp"
#include "core/selection/selection.hpp"
#include "experiments/config/arithmetic.hpp"

namespace lamp::experiments {

struct TokensConfig {
  bool from_ids = false;                     // source = "ids"; else text
  std::vector<std::filesystem::path> paths;  // absolute
  bool text_axis = false;                    // path was a list: the result has a dimension "text"
  std::size_t sequence_length = 0;
  std::optional<std::size_t> min_length{};  // absent: every sequence has sequence_length
  std::size_t sequences = 8;
  std::size_t offset = 0;
  bool shuffle = false;
  [[nodiscard]] bool lengths_vary() const {
    return min_length.value_or(sequence_length) < sequence_length;
  }
  friend bool operator==(const TokensConfig&, const TokensConfig&) = default;
};

struct NamedArithmetic {
  std::string name;
  ArithmeticConfig value;
  friend bool operator==(const NamedArithmetic&, const NamedArithmetic&) = default;
};

struct PlanEntry {
  SitePath path;
  std::string arithmetic;
  friend bool operator==(const PlanEntry&, const PlanEntry&) = default;
};

/// plan."layer.N": all sites of a layer, below plan."layer.N.SITE" and above plan.SITE.
struct LayerEntry {
  Layer layer;
  std::string arithmetic;
  friend bool operator==(const LayerEntry&, const LayerEntry&) = default;
};

/// store.SITE and store.layer.N.SITE. A system that is none: as computed.
struct StoreEntry {
  SitePath path;
  SystemOrNone system;
  friend bool operator==(const StoreEntry&, const StoreEntry&) = default;
};

/// [store]
struct StoreConfig {
  SystemOrNone everywhere, weights, keys, values;
  std::vector<StoreEntry> sites;
  friend bool operator==(const StoreConfig&, const StoreConfig&) = default;

  [[nodiscard]] Storage storage() const;
};

/// Systems that cannot be where they are: of the cache, of weights, or wider than binary64.
std::optional<Problem> check_store(const StoreConfig& store);

/// lamp.*.fallback: none without a tolerance.
struct FallbackConfig {
  std::optional<double> tolerance;
  std::optional<Fallback::What> what;  // absent: row
  friend bool operator==(const FallbackConfig&, const FallbackConfig&) = default;

  [[nodiscard]] std::optional<Fallback> fallback() const {
    if (!tolerance) return std::nullopt;
    return Fallback{*tolerance, what.value_or(Fallback::What::row)};
  }
};

/// rule = "python:FILE:FUNCTION": a function of a Python file, which is absolute.
struct OwnRuleName {
  std::filesystem::path file;
  std::string function;
  friend bool operator==(const OwnRuleName&, const OwnRuleName&) = default;
};

/// What the files of own rules contain, by their paths, where they have been read; no part of a
/// config's value.
struct RuleContents {
  std::map<std::filesystem::path, Digest> of;
  friend bool operator==(const RuleContents&, const RuleContents&) { return true; }
};

/// [lamp.SITE]: tau or rate is set, not both.
struct SelectionConfig {
  Site site = Site::scores;
  SelectionSpec spec{.tau = std::nullopt, .rate = std::nullopt};
  std::optional<OwnRuleName> own{};  // spec.rule is own_rule then; who runs it gives spec.own
  Shift shift = Shift::none;
  std::string recompute{};
  FallbackConfig fallback{};
  friend bool operator==(const SelectionConfig&, const SelectionConfig&) = default;
};

/// [lamp.layer.N.SITE] and [lamp.layer.N.head.M.SITE]: tau or rate of a layer, or of a head of it,
/// in place of those of [lamp.SITE]; one of them is set, not both.
struct BudgetEntry {
  SitePath path;
  std::optional<double> tau{}, rate{};
  friend bool operator==(const BudgetEntry&, const BudgetEntry&) = default;
};

/// [cost]: of one multiply-accumulate in an arithmetic of this name, in any unit.
struct CostEntry {
  std::string arithmetic;
  double cost = 0.0;
  friend bool operator==(const CostEntry&, const CostEntry&) = default;
};

using Coordinate = std::variant<std::int64_t, double, std::string, bool>;

/// One axis of the grid: a key and its values, all of one type. Those of model.path are absolute.
struct GridAxis {
  std::string key;
  std::vector<Coordinate> values;
  friend bool operator==(const GridAxis&, const GridAxis&) = default;
};

/// Where each key was given, "FILE:LINE:COL" or "--set KEY"; no part of a config's value.
struct Places {
  std::map<std::string, std::string, std::less<>> at;
  friend bool operator==(const Places&, const Places&) { return true; }
};

enum class Detail : std::uint8_t { summary, full };

inline constexpr std::array<NamedValue<Detail>, 2> detail_names{
    {{"summary", Detail::summary}, {"full", Detail::full}}};
static_assert(names_all(detail_names));

/// A mean over positions that cells of a sequence have.
enum class StopMetric : std::uint8_t { kl, flip_rate, cross_entropy };

inline constexpr std::array<NamedValue<StopMetric>, 3> stop_metric_names{
    {{"kl", StopMetric::kl},
     {"flip_rate", StopMetric::flip_rate},
     {"cross_entropy", StopMetric::cross_entropy}}};
static_assert(names_all(stop_metric_names));

/// [stop]: sequences are added in rounds until each cell's mean is known.
struct StopConfig {
  StopMetric metric = StopMetric::kl;
  double relative_error = 0.05, confidence = 0.95;
  std::size_t min_sequences = 8;     // of each text: the first round
  std::vector<GridAxis> baseline{};  // axes and one value each: cells are also compared with the
                                     // one that has these; none: they are not
  friend bool operator==(const StopConfig&, const StopConfig&) = default;
};

/// [continuation]: greedy decoding after the first `prefix` tokens of each sequence.
struct ContinuationConfig {
  std::size_t prefix = 32, tokens = 64;
  friend bool operator==(const ContinuationConfig&, const ContinuationConfig&) = default;
};

/// One score apart from all others: low among exact ones, or recomputed among low ones.
enum class OneChange : std::uint8_t { low, high };

inline constexpr std::array<NamedValue<OneChange>, 2> one_change_names{
    {{"one-low", OneChange::low}, {"one-high", OneChange::high}}};
static_assert(names_all(one_change_names));

/// [truth]: what is evaluated exhaustively, and the rules that are ranked against it.
struct TruthConfig {
  std::vector<OneChange> end_to_end{OneChange::low, OneChange::high};
  bool local = true;
  std::size_t subset_limit = 20;
  std::vector<double> tolerance{1e-2};
  std::size_t row_sets = 0;  // n: all sets of row n - 1 of each head end to end; 0: none
  std::size_t forward = 0;   // steps of forward selection
  std::vector<std::size_t> layers{}, heads{}, queries{};  // empty: all
  std::optional<double> sample{};                         // share of the rows that these leave
  std::vector<std::string> rules{"lamp", "largest-logit"};
  std::vector<double> budgets{0.01, 0.034, 0.05, 0.1, 0.15, 0.343};
  bool coarse = true;
  friend bool operator==(const TruthConfig&, const TruthConfig&) = default;
};

struct Config {
  int schema_version = 1;
  std::string title;
  std::uint32_t seed = 42;
  std::filesystem::path model_path;      // absolute
  std::optional<Activation> activation;  // absent: the checkpoint's
  TokensConfig tokens;
  std::string reference = "binary64";     // or "mpfr:N", or the name of an arithmetic
  std::filesystem::path reference_model;  // absolute; empty: each run's own model
  std::vector<NamedArithmetic> arithmetics;
  std::string plan_default;  // empty where only an axis gives it
  std::vector<PlanEntry> plan;
  std::vector<LayerEntry> plan_layers;
  std::vector<SelectionConfig> selections;
  std::vector<BudgetEntry> budgets;  // of sites among `selections`
  std::vector<CostEntry> costs;      // empty: core/arith's bits (costs.hpp)
  StoreConfig store;
  std::vector<GridAxis> grid;  // in file order, then in the order of --set
  std::vector<Site> record_errors;
  Detail record_detail = Detail::summary;
  std::vector<GridAxis> record_where;  // some axes, some of their values: cells elsewhere record
                                       // neither errors nor activations
  std::vector<Site> record_activations;
  bool record_selected = false;
  bool record_concentration = false;
  std::optional<ContinuationConfig> continuation;  // absent: none
  std::optional<StopConfig> stop;                  // absent: all sequences
  std::optional<TruthConfig> truth;                // absent: none
  Places places;
  RuleContents rule_contents;
  friend bool operator==(const Config&, const Config&) = default;

  [[nodiscard]] const ArithmeticConfig* arithmetic(std::string_view name) const;
  /// Whether the grid gives the key.
  [[nodiscard]] bool has_axis(std::string_view key) const;
  ArithmeticConfig& arithmetic_or_new(std::string_view name);
  SelectionConfig& selection_or_new(Site site);
  BudgetEntry& budget_or_new(const SitePath& path);
  ContinuationConfig& continuation_or_new() {
    return continuation ? *continuation : continuation.emplace();
  }
  StopConfig& stop_or_new() { return stop ? *stop : stop.emplace(); }
  TruthConfig& truth_or_new() { return truth ? *truth : truth.emplace(); }
};

/// The entries of [plan], with whole layers as entries of their sites.
std::vector<PlanEntry> plan_by_site(const Config& config);

/// N of the reference "mpfr:N", 2 to 10,000 without leading zeros; nothing for any other text.
std::optional<int> reference_bits(std::string_view reference);

/// Largest grid: the product of the axes' sizes.
inline constexpr std::size_t most_cells = 1'000'000;
/// Largest config file, in bytes.
inline constexpr std::size_t most_config_bytes = std::size_t{1} << 20;

/// Reads, overrides and checks a config. `sets` are KEY=VALUE as given to --set, applied in order;
/// a key set there also replaces its alternative in the file (mu and format, tau and rate).
/// Relative paths are relative to the config's folder. Errors: FILE:LINE:COL (or --set KEY),
/// message, legal values, nearest known name.
Result<Config> load_config(const std::filesystem::path& file, std::span<const std::string> sets);

/// The same for a text that claims to be the file `name` in `folder`.
Result<Config> parse_config(std::string_view text, const std::string& name,
                            const std::filesystem::path& folder, std::span<const std::string> sets);

/// Every key with its value, as TOML; reading it gives the same Config.
std::string resolved_toml(const Config& config);

/// Every key with its value as text, for provenance: ("tokens.sequences", "8"), ...
std::vector<std::pair<std::string, std::string>> resolved_fields(const Config& config);

/// Checks what only the model can tell: layers, heads, sequence length and continuation in range;
/// sums that a tree order does not fit.
Result<void> check_against(const Config& config, const ModelConfig& model);

/// Coordinates of the dimension "text": the names of the files without their extension.
std::vector<std::string> text_names(const Config& config);

}  // namespace lamp::experiments
