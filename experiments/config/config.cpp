#include "experiments/config/config.hpp"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "core/mpfr/real.hpp"
#include "experiments/config/fields.hpp"
#include "experiments/config/grid.hpp"
#include "experiments/config/own_rules.hpp"
#include "experiments/config/read.hpp"
#include "experiments/config/variants.hpp"

namespace lamp::experiments {
namespace {

/// A key with a value, or an empty section (`section`).
struct Leaf {
  std::string path;
  const Value* value;
  Where where;
  bool section = false;
};

void set_source(Value& value, std::size_t source) {
  value.where = {.source = source, .line = value.where.line, .column = value.where.column};
  if (Value::List* list = std::get_if<Value::List>(&value.data))
    for (Value& item : *list) set_source(item, source);
  if (Value::Table* table = std::get_if<Value::Table>(&value.data))
    for (Entry& entry : *table) entry.where.source = source, set_source(entry.value, source);
}

using PlaceMap = std::map<std::string, Where, std::less<>>;

/// Places within a value that is one leaf: keys of its nested tables.
void add_places(const Value::Table& table, const std::string& prefix, PlaceMap& places) {
  for (const Entry& entry : table) {
    const Value::Table* inner = entry.value.get<Value::Table>();
    places.emplace(prefix + entry.key, inner == nullptr ? entry.value.where : entry.where);
    if (inner != nullptr) add_places(*inner, prefix + entry.key + '.', places);
  }
}

/// Whether a table is the value of a key, not a section of keys.
bool is_value(const FieldMatch& match) {
  if (match.field == nullptr) return false;
  SitePath path;  // of store.*, whose values may be tables
  return !match.field->key.ends_with('*') ||
         (match.field->kind == Kind::format && !parse_site_path(match.name, path));
}

void flatten(const Value::Table& table, const std::string& prefix, std::vector<Leaf>& leaves,
             PlaceMap& places) {
  for (const Entry& entry : table) {
    const std::string path = prefix + entry.key;
    const Value::Table* inner = entry.value.get<Value::Table>();
    places.emplace(path, inner == nullptr ? entry.value.where : entry.where);
    if (inner == nullptr || is_value(find_field(path))) {
      leaves.push_back({path, &entry.value, entry.where});
      if (inner != nullptr) add_places(*inner, path + '.', places);
    } else if (inner->empty()) {
      leaves.push_back({path, &entry.value, entry.where, true});
    } else {
      flatten(*inner, path + '.', leaves, places);
    }
  }
}

/// One reading of a config: from leaves to a checked Config, or the first error with its place.
class Reader {
 public:
  Reader(std::string name, std::vector<std::string> sets)
      : name_(std::move(name)), sets_(std::move(sets)) {}

  Result<Config> read(const Value::Table& root, const std::filesystem::path& folder) {
    std::vector<Leaf> leaves;
    flatten(root, "", leaves, places_);
    std::stable_sort(leaves.begin(), leaves.end(),
                     [](const Leaf& a, const Leaf& b) { return a.where < b.where; });
    for (const Leaf& leaf : leaves)
      if (std::optional<Problem> problem = leaf.section ? read_section(leaf) : read_leaf(leaf))
        return error(*problem);
    for (const auto& [path, where] : places_) config_.places.at.emplace(path, place(where));
    for (NamedArithmetic& a : config_.arithmetics) {
      take_engine_of_axis(a);
      a.value.complete();
    }
    for (SelectionConfig& s : config_.selections)
      if (!s.spec.tau && !s.spec.rate) s.spec.tau = 1.5;
    for (std::filesystem::path* path : paths()) *path = (folder / *path).lexically_normal();
    resolve_own_rules(config_, folder);
    resolve_models(config_.grid, folder), resolve_models(config_.record_where, folder);
    if (config_.stop) resolve_models(config_.stop->baseline, folder);
    if (std::optional<Problem> problem = check_grid(config_)) return error(*problem);
    if (std::optional<Problem> problem = check_required()) return error(*problem);
    if (std::optional<Problem> problem = check_values(config_)) return error(*problem);
    if (std::optional<Problem> problem = check_texts()) return error(*problem);
    if (std::optional<Problem> problem = check_models()) return error(*problem);
    if (std::optional<Problem> problem = check_own_rules(config_)) return error(*problem);
    return config_;
  }

 private:
  /// Takes the first value of an engine that only an axis gives, so that the other keys have an
  /// engine's defaults.
  void take_engine_of_axis(NamedArithmetic& a) const {
    for (const GridAxis& axis : config_.grid)
      if (axis.key == "arithmetic." + a.name + ".engine" && a.value.engine.empty())
        if (const std::string* first = std::get_if<std::string>(&axis.values.front()))
          a.value.engine = *first;
  }

  std::optional<Problem> read_leaf(const Leaf& leaf) {
    const FieldMatch match = find_field(leaf.path);
    if (match.field == nullptr) {
      Problem problem = unknown_key(leaf.path, config_);
      problem.where = leaf.where;
      return problem;
    }
    return read_field(config_, match, *leaf.value);
  }

  /// Reads an empty table: an arithmetic or a selection with nothing but defaults, or a mistake.
  std::optional<Problem> read_section(const Leaf& leaf) {
    const std::vector<std::string> parts = split_path(leaf.path);
    const bool named = parts.size() == 2 && (parts[0] == "arithmetic" || parts[0] == "lamp");
    if (named) {
      if (std::optional<Problem> problem =
              check_field_name(find_field(leaf.path + (parts[0] == "lamp" ? ".rule" : ".mu")))) {
        problem->key = leaf.path;
        return problem;
      }
      if (parts[0] == "lamp")
        config_.selection_or_new(*parse_site(parts[1]));
      else
        config_.arithmetic_or_new(parts[1]);
      return std::nullopt;
    }
    for (const auto& [ending, legal] :
         {std::pair{".tau", "tau or rate"}, std::pair{".tolerance", "tolerance, and what"}})
      if (parts[0] == "lamp" && find_field(leaf.path + ending).field != nullptr)
        return Problem{
            .key = leaf.path, .message = "an empty table", .legal = legal, .where = leaf.where};
    if (leaf.path == "continuation") return config_.continuation_or_new(), std::nullopt;
    if (leaf.path == "stop") return config_.stop_or_new(), std::nullopt;
    if (leaf.path == "truth") return config_.truth_or_new(), std::nullopt;
    if (leaf.path == "grid")
      return Problem{.key = "grid",
                     .message = "has no axis",
                     .legal = "one or more axes, or no [grid] at all",
                     .where = leaf.where};
    for (const Field& field : fields())
      if (field.key.starts_with(leaf.path + '.')) return std::nullopt;
    Problem problem = unknown_key(leaf.path, config_);
    problem.where = leaf.where;
    return problem;
  }

  /// Checks the required keys, which an axis may give as well.
  std::optional<Problem> check_required() const {
    std::optional<Problem> problem;
    const auto given = [&](const std::string& key) {
      return places_.contains(key) || config_.has_axis(key);
    };
    for_each_field(config_, [&](const Field& field, const std::string& path, const std::string&) {
      if (!problem && field.standard == "required" && !given(path))
        problem =
            Problem{.key = path, .message = "required, and absent", .legal = legal_values(field)};
    });
    return problem;
  }

  std::vector<std::filesystem::path*> paths() {
    std::vector<std::filesystem::path*> all;
    if (!config_.model_path.empty()) all.push_back(&config_.model_path);
    if (!config_.reference_model.empty()) all.push_back(&config_.reference_model);
    for (std::filesystem::path& path : config_.tokens.paths) all.push_back(&path);
    return all;
  }

  /// File names are the coordinates of the dimension "text".
  std::optional<Problem> check_texts() const {
    std::set<std::string> seen;
    for (const std::string& name : text_names(config_))
      if (!seen.insert(name).second)
        return Problem{.key = "tokens.path",
                       .message = "two texts are named " + toml_string(name),
                       .legal = "paths with different file names"};
    return std::nullopt;
  }

  /// Paths to models among the values of axes.
  static void resolve_models(std::vector<GridAxis>& axes, const std::filesystem::path& folder) {
    for (GridAxis& axis : axes)
      for (Coordinate& value : axis.values)
        if (std::string* path = std::get_if<std::string>(&value);
            axis.key == model_key && path != nullptr && !path->empty())
          *path = (folder / *path).lexically_normal().string();
  }

  /// Folder names are the coordinates of the axis model.path.
  std::optional<Problem> check_models() const {
    std::set<std::string> seen;
    for (const std::filesystem::path& path : model_paths(config_))
      if (const std::string name = model_name(path); !seen.insert(name).second)
        return Problem{.key = "grid." + std::string(model_key),
                       .message = "two models are in folders named " + toml_string(name),
                       .legal = "folders with different names"};
    return std::nullopt;
  }

  [[nodiscard]] std::string place(const Where& where) const {
    if (where.source > 0) return "--set " + sets_[where.source - 1];
    return name_ + ':' + std::to_string(where.line) + ':' + std::to_string(where.column);
  }

  /// A problem of a --set names the key once.
  [[nodiscard]] Error error(const Problem& problem) const {
    std::string at = name_;
    std::optional<Where> where = problem.where;
    if (!where)
      if (const auto found = places_.find(problem.key); found != places_.end())
        where = found->second;
    if (where) at = place(*where);
    Problem shown = problem;
    if (where && where->source > 0 && sets_[where->source - 1] == problem.key) shown.key.clear();
    return {ExitCode::bad_data, at + ": " + one_line(to_string(shown))};
  }

  std::string name_;
  std::vector<std::string> sets_;  // key of each --set
  Config config_;
  PlaceMap places_;
};

/// The axis of the grid that decides in place of a key, by that name or as what excludes it; empty
/// where none does.
std::string axis_instead_of(const Config& config, const std::string& key) {
  if (config.has_axis(key)) return key;
  const std::string other = find_field(key).alternative();
  return config.has_axis(other) ? other : std::string();
}

}  // namespace

std::optional<int> reference_bits(std::string_view reference) {
  constexpr std::string_view prefix = "mpfr:";
  if (!reference.starts_with(prefix)) return std::nullopt;
  const std::string_view digits = reference.substr(prefix.size());
  int bits = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  const bool whole =
      error == std::errc{} && end == digits.data() + digits.size() && digits.front() != '0';
  if (!whole || bits < 2 || bits > mpfr::largest_precision) return std::nullopt;
  return bits;
}

const ArithmeticConfig* Config::arithmetic(std::string_view name) const {
  for (const NamedArithmetic& a : arithmetics)
    if (a.name == name) return &a.value;
  return nullptr;
}

bool Config::has_axis(std::string_view key) const {
  return std::any_of(grid.begin(), grid.end(),
                     [&](const GridAxis& axis) { return axis.key == key; });
}

ArithmeticConfig& Config::arithmetic_or_new(std::string_view name) {
  for (NamedArithmetic& a : arithmetics)
    if (a.name == name) return a.value;
  return arithmetics.emplace_back(NamedArithmetic{std::string(name), {}}).value;
}

SelectionConfig& Config::selection_or_new(Site site) {
  for (SelectionConfig& s : selections)
    if (s.site == site) return s;
  SelectionConfig added;
  added.site = site;
  return selections.emplace_back(added);
}

BudgetEntry& Config::budget_or_new(const SitePath& path) {
  for (BudgetEntry& entry : budgets)
    if (entry.path == path) return entry;
  return budgets.emplace_back(BudgetEntry{.path = path});
}

std::vector<PlanEntry> plan_by_site(const Config& config) {
  std::vector<PlanEntry> all = config.plan;
  for (const LayerEntry& entry : config.plan_layers)
    for (const SiteInfo& site : sites) {
      const SitePath path{.site = site.site, .layer = entry.layer, .head = {}};
      const bool is_said = std::any_of(config.plan.begin(), config.plan.end(),
                                       [&](const PlanEntry& other) { return other.path == path; });
      if (site.per_layer && !is_said) all.push_back({path, entry.arithmetic});
    }
  return all;
}

Result<Config> parse_config(std::string_view text, const std::string& name,
                            const std::filesystem::path& folder,
                            std::span<const std::string> sets) {
  Result<Value::Table> root = parse_toml(text, name);
  if (!root) return root.error();
  if (root->empty() && sets.empty())
    return Error{ExitCode::bad_data, name + ": an empty config; `lamp config` prints every key"};
  std::vector<std::string> keys;
  for (const std::string& set : sets) {
    Result<Override> parsed = parse_override(set);
    if (!parsed) return parsed.error();
    keys.push_back(parsed->path);
    set_source(parsed->value, keys.size());
    if (const std::string other = find_field(parsed->path).alternative(); !other.empty())
      remove_from_file(*root, other);
    put(*root, parsed->path, std::move(parsed->value));
  }
  Result<Config> config = Reader(name, keys).read(*root, folder);
  if (!config) return config;
  for (const std::string& key : keys)
    if (const std::string axis = axis_instead_of(*config, key); !axis.empty())
      return Error{ExitCode::bad_data, "--set " + one_line(key) + ": the axis " + axis +
                                           " gives each cell its value; legal: --set 'grid.\"" +
                                           axis + "\"=[..]'"};
  return config;
}

Result<Config> load_config(const std::filesystem::path& file, std::span<const std::string> sets) {
  const Result<std::string> text = read_config_file(file);
  if (!text) return text.error();
  std::error_code failure;
  const std::filesystem::path absolute = std::filesystem::absolute(file, failure);
  if (failure)
    return Error{ExitCode::io,
                 one_line(file.string()) + ": no current folder: " + failure.message()};
  return parse_config(*text, one_line(file.string()), absolute.parent_path(), sets);
}

std::vector<std::pair<std::string, std::string>> resolved_fields(const Config& config) {
  std::vector<std::pair<std::string, std::string>> list;
  for_each_field(config, [&](const Field& field, const std::string& path, const std::string& name) {
    if (field.write == nullptr) return;
    if (std::optional<std::string> value = field.write(config, name, Form::toml))
      list.emplace_back(path, *std::move(value));
  });
  return list;
}

std::string resolved_toml(const Config& config) {
  std::string out, section;
  for_each_field(config, [&](const Field& field, const std::string& path, const std::string& name) {
    if (field.write == nullptr) return;
    const std::optional<std::string> value = field.write(config, name, Form::toml);
    if (!value) return;
    const bool named = field.key.find(".*.") != std::string_view::npos;
    const std::size_t end = named ? path.rfind('.') : path.find('.');
    const std::string here = end == std::string::npos ? "" : path.substr(0, end);
    std::string key = end == std::string::npos ? path : path.substr(end + 1);
    if (key.find('.') != std::string::npos) key = toml_string(key);
    if (here != section) out += (out.empty() ? "[" : "\n[") + here + "]\n";
    section = here;
    out += key + " = " + *value + '\n';
  });
  return out;
}

std::vector<std::string> text_names(const Config& config) {
  std::vector<std::string> names;
  for (const std::filesystem::path& path : config.tokens.paths)
    names.push_back(path.stem().string());
  return names;
}

}  // namespace lamp::experiments
