#include "experiments/config/grid.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "experiments/config/checks.hpp"
#include "experiments/config/equal_cells.hpp"
#include "experiments/config/kinds.hpp"
#include "experiments/config/own_rules.hpp"
#include "experiments/config/suggestions.hpp"

namespace lamp::experiments {
namespace {

Value value_of(const Coordinate& coordinate) {
  Value value;
  std::visit([&](const auto& x) { value.data = x; }, coordinate);
  return value;
}

/// Puts a coordinate in place of a key and of its alternative.
std::optional<Problem> apply(Config& config, const std::string& key, const Coordinate& coordinate) {
  const FieldMatch match = find_field(key);
  if (const FieldMatch other = find_field(match.alternative()); other.field != nullptr)
    other.field->clear(config, other.name);
  return read_field(config, match, value_of(coordinate));
}

/// A problem of one of an axis's values, told of the axis.
Problem of_axis(Problem problem, const std::string& key) {
  problem.message = problem.key == key ? problem.message : problem.key + ": " + problem.message;
  problem.key = "grid." + key;
  problem.where.reset();
  return problem;
}

std::optional<Problem> check_axis_key(const GridAxis& axis, const Config& config) {
  const std::vector<std::string> parts = split_path(axis.key);
  const std::string key = "grid." + axis.key;
  if (axis.key == seed_key || axis.key == shuffle_key || axis.key == model_key) return std::nullopt;
  if (parts[0] != "arithmetic" && parts[0] != "plan" && parts[0] != "lamp" && parts[0] != "store")
    return Problem{.key = key,
                   .message = "no axis",
                   .legal =
                       "keys under arithmetic, plan, lamp and store; seed, tokens.shuffle, "
                       "model.path"};
  const FieldMatch match = find_field(axis.key);
  if (match.field == nullptr) {
    Problem problem = unknown_key(axis.key, config);
    problem.key = key;
    return problem;
  }
  if (match.field->key.ends_with(".preset"))
    return Problem{.key = key,
                   .message = "a preset sets several keys and cannot be an axis",
                   .legal = "axes over the keys it sets: product, via, rounding, order"};
  if (parts[0] == "arithmetic" && config.arithmetic(match.name) == nullptr)
    return Problem{.key = key,
                   .message = "there is no [arithmetic." + match.name + "]",
                   .legal = join(arithmetic_names(config)),
                   .suggestion = nearest(match.name, arithmetic_names(config))};
  if (parts[0] == "arithmetic" && match.name == config.reference)
    return Problem{
        .key = key,
        .message = "the reference is [arithmetic." + match.name + "], and one for all cells",
        .legal = "axes over other arithmetics"};
  const std::optional<Site> site = parts[0] == "lamp" ? selecting_site(match) : std::nullopt;
  const auto selected = [&](const SelectionConfig& s) { return s.site == site; };
  if (parts[0] == "lamp" &&
      std::none_of(config.selections.begin(), config.selections.end(), selected))
    return Problem{
        .key = key,
        .message = "there is no [lamp." + (site ? std::string(info(*site).name) : match.name) + "]",
        .legal = "sites with a [lamp.SITE]"};
  if (const std::string other = match.alternative(); config.has_axis(other))
    return Problem{.key = key, .message = "excludes the axis " + other, .legal = "one of them"};
  return std::nullopt;
}

/// That `parts`, given as `key`, name axes of the grid and values of theirs.
std::optional<Problem> check_axes_of(const Config& config, const std::string& key,
                                     const std::vector<GridAxis>& parts) {
  std::vector<std::string> axes;
  for (const GridAxis& axis : config.grid) axes.push_back(axis.key);
  for (const GridAxis& part : parts) {
    const std::string path = key + '.' + part.key;
    const auto axis = std::find_if(config.grid.begin(), config.grid.end(),
                                   [&](const GridAxis& a) { return a.key == part.key; });
    if (axis == config.grid.end())
      return Problem{.key = path,
                     .message = "is no axis of the grid",
                     .legal = axes.empty() ? "{}: there is no [grid]" : join(axes),
                     .suggestion = nearest(part.key, axes)};
    for (const Coordinate& value : part.values)
      if (std::find(axis->values.begin(), axis->values.end(), value) == axis->values.end())
        return Problem{.key = path,
                       .message = describe(value_of(value)) + " is no value of the axis",
                       .legal = coordinate_list(axis->values)};
  }
  return std::nullopt;
}

std::optional<Problem> check_fits(const std::string& key,
                                  const std::optional<FloatFormat>& format) {
  if (!format || fits_binary64(*format)) return std::nullopt;
  return Problem{.key = key,
                 .message = "a format wider than binary64",
                 .legal =
                     "formats whose numbers are binary64 numbers: p <= 53, emax <= 1023, emin - p "
                     "+ 1 >= -1074"};
}

std::optional<Problem> check_mac(const Config& config, const std::string& path,
                                 const MacConfig& mac) {
  if (mac.mu && mac.format)
    return Problem{
        .key = path + ".mu", .message = "mu and format are both given", .legal = "one of them"};
  if (!mac.has_format()) {
    if (config.has_axis(path + ".mu") || config.has_axis(path + ".format")) return std::nullopt;
    return Problem{
        .key = path,
        .message = "no format",
        .legal = mac.preset.empty() ? "format, mu, preset or engine" : "preset with format or mu"};
  }
  const std::array<std::pair<const char*, std::optional<FloatFormat>>, 4> formats{
      {{".format", mac.accumulator()},
       {".operands",
        mac.float_operands() != nullptr ? std::optional(*mac.float_operands()) : std::nullopt},
       {".product", mac.product.format},
       {".via", mac.via.format}}};
  for (const auto& [key, format] : formats)
    if (std::optional<Problem> problem = check_fits(path + key, format)) return problem;
  return std::nullopt;
}

std::optional<Problem> check_arithmetic(const Config& config, const NamedArithmetic& named) {
  const std::string path = "arithmetic." + named.name;
  std::optional<Problem> problem = check_mac(config, path, named.value);
  if (!problem) problem = check_engine(named.value, path);
  if (!problem) problem = check_operand_rounding(named.value, path);
  if (!problem) problem = check_fits(path + ".part", named.value.part.format);
  if (!problem && named.value.block) {
    problem = check_mac(config, path + ".block", *named.value.block);
    if (!problem) problem = check_operand_rounding(*named.value.block, path + ".block");
  }
  return problem;
}

/// check_values without a grid.
std::optional<Problem> check_cell(const Config& config) {
  for (const NamedArithmetic& a : config.arithmetics)
    if (std::optional<Problem> problem = check_arithmetic(config, a)) return problem;
  if (std::optional<Problem> problem = check_name(config, "plan.default", config.plan_default))
    return problem;
  for (const PlanEntry& entry : config.plan)
    if (std::optional<Problem> problem =
            check_name(config, "plan." + site_path_name(entry.path), entry.arithmetic))
      return problem;
  for (const LayerEntry& entry : config.plan_layers)
    if (std::optional<Problem> problem =
            check_name(config, "plan." + layer_name(entry.layer), entry.arithmetic))
      return problem;
  if (config.reference != "binary64" && !reference_bits(config.reference))
    if (std::optional<Problem> problem =
            check_name(config, "reference.arithmetic", config.reference))
      return problem;
  if (std::optional<Problem> problem = check_selections(config)) return problem;
  if (std::optional<Problem> problem = check_costs(config)) return problem;
  if (std::optional<Problem> problem = check_store(config.store)) return problem;
  if ((config.record_selected || config.record_concentration) && config.selections.empty())
    return Problem{.key = config.record_selected ? "record.selected" : "record.concentration",
                   .message = "nothing is selected",
                   .legal = "false, or a [lamp.SITE]"};
  const std::size_t length = config.tokens.sequence_length;
  if (config.continuation && config.continuation->prefix > length)
    return Problem{.key = "continuation.prefix",
                   .message = std::to_string(config.continuation->prefix) +
                              " tokens are more than a sequence has",
                   .legal = "1 to tokens.sequence_length, " + std::to_string(length)};
  if (config.tokens.min_length.value_or(length) > length)
    return Problem{.key = "tokens.min_length",
                   .message = std::to_string(*config.tokens.min_length) +
                              " tokens are more than a sequence has",
                   .legal = "1 to tokens.sequence_length, " + std::to_string(length)};
  if (config.tokens.lengths_vary() && config.truth)
    return Problem{.key = "tokens.min_length",
                   .message = "a ground truth has all scores of sequences of one length",
                   .legal = "with [truth]: absent, or tokens.sequence_length"};
  return check_truth(config);
}

/// What an arithmetic is, whatever its name: every key of it that affects values.
std::string arithmetic_identity(const Config& config, std::string_view name) {
  if (reference_bits(name)) return std::string(name);
  Config alone;
  ArithmeticConfig& a = alone.arithmetic_or_new("a");
  if (const ArithmeticConfig* named = config.arithmetic(name))
    a = *named;
  else
    a.format = lamp::binary64;
  a.complete();
  a.forget_idle_keys();
  std::string text;
  for (const CostEntry& entry : config.costs)  // in place of what follows from the rest
    if (entry.arithmetic == name) text += "cost=" + toml_number(entry.cost) + ' ';
  for (const Field& field : fields())
    if (field.key.starts_with("arithmetic.*.") && field.scope == Scope::cell)
      if (const std::optional<std::string> value = field.write(alone, "a", Form::identity))
        text += std::string(field.key) + '=' + *value + ' ';
  return text;
}

void add_reference(std::vector<IdentityLine>& lines, const ModelInputs& model) {
  if (model.reference) lines.push_back({"reference_model", to_hex(*model.reference)});
}

std::vector<IdentityLine> lines_of(const ModelInputs& model, int semantics_number) {
  std::vector<IdentityLine> lines{{"semantics", std::to_string(semantics_number)},
                                  {"model", to_hex(model.content)},
                                  {"activation", std::string(activation_name(model.activation))}};
  add_reference(lines, model);
  return lines;
}

/// Where the model is an axis: its contents are the axis's, and so is what "checkpoint" is.
std::vector<IdentityLine> lines_without_model(const std::optional<Activation>& activation,
                                              const std::vector<ModelInputs>& models,
                                              int semantics_number) {
  std::vector<IdentityLine> lines{
      {"semantics", std::to_string(semantics_number)},
      {"activation", activation ? std::string(activation_name(*activation)) : "of the checkpoint"}};
  const auto other = std::find_if(models.begin(), models.end(),
                                  [](const ModelInputs& m) { return m.reference.has_value(); });
  if (other != models.end()) add_reference(lines, *other);
  return lines;
}

/// What is hashed of a cell or an experiment.
std::string identity_text(const char* what, const std::vector<IdentityLine>& lines) {
  std::string text = std::string("lamp ") + what + '\n';
  for (const IdentityLine& line : lines) text += line.name + '=' + line.value + '\n';
  return text;
}

/// Identity of a cell. Arithmetics enter as what they are where they are used; names, paths and
/// titles do not.
Digest cell_identity(const Config& config, const ModelInputs& model) {
  std::string text = identity_text("cell", lines_of(model, semantics));
  for_each_field(config, [&](const Field& field, const std::string& path, const std::string& name) {
    if (field.scope != Scope::cell || field.key.starts_with("arithmetic.")) return;
    const std::optional<std::string> value = field.write(config, name, Form::identity);
    if (!value) return;
    text += path + '=' +
            (field.kind == Kind::arithmetic
                 ? arithmetic_identity(config, value->substr(1, value->size() - 2))
                 : *value) +
            '\n';
  });
  return sha256(text);
}

Work work_of(const Config& cell, const ModelInputs& model) {
  const auto own = [&](const Config& config) {
    return cell_identity(without_idle_keys(config), model);
  };
  const auto own_if = [&](const std::optional<Config>& config) {
    return config ? std::optional(own(*config)) : std::nullopt;
  };
  return {.own = own(cell),
          .if_nothing = own_if(if_nothing_is_selected(cell)),
          .if_lamps = own_if(if_sets_are_lamps(cell))};
}

bool matches_where(const Config& config, std::span<const std::size_t> index) {
  for (const GridAxis& part : config.record_where)
    for (std::size_t a = 0; a < index.size(); ++a)
      if (config.grid[a].key == part.key &&
          std::find(part.values.begin(), part.values.end(), config.grid[a].values[index[a]]) ==
              part.values.end())
        return false;
  return true;
}

bool is_beside_truth(std::string_view axis) {
  return axis.starts_with("lamp.") && !axis.ends_with(".recompute");
}

bool is_first_beside_truth(const Config& config, std::span<const std::size_t> index) {
  for (std::size_t a = 0; a < index.size(); ++a)
    if (index[a] != 0 && is_beside_truth(config.grid[a].key)) return false;
  return true;
}

record::Axis axis_of(const GridAxis& axis) {
  record::Axis out{.name = axis.key, .values = {}};
  const auto collect = [&]<class T>(const T&) {
    std::vector<T> values;
    for (const Coordinate& coordinate : axis.values)
      values.push_back(std::get<T>(label_of(axis.key, coordinate)));
    if constexpr (std::is_same_v<T, bool>) {
      std::vector<std::string> words;
      for (const bool value : values) words.push_back(boolean_text(value));
      out.values = std::move(words);
    } else {
      out.values = std::move(values);
    }
  };
  std::visit(collect, axis.values.front());
  out.long_name = std::string(find_field(axis.key).field->meaning);
  return out;
}

}  // namespace

PrecisionPlan plan_of(const Config& config, const OwnRuleOf& own) {
  const auto named = [&](const std::string& name) { return config.arithmetic(name)->arithmetic(); };
  PrecisionPlan plan(named(config.plan_default));
  for (const PlanEntry& entry : plan_by_site(config)) plan.set(entry.path, named(entry.arithmetic));
  for (const SelectionConfig& s : config.selections) {
    SelectionPlan selection{.spec = s.spec,
                            .recompute = named(s.recompute),
                            .shift = s.shift,
                            .fallback = s.fallback.fallback()};
    if (s.own && own) selection.spec.own = own(s);
    plan.select(s.site, selection);
    for (const BudgetEntry& entry : config.budgets) {
      if (entry.path.site != s.site) continue;
      SelectionPlan other = selection;
      other.spec = with_budget(selection.spec, entry);
      plan.select(entry.path, other);
    }
  }
  plan.store(config.store.storage());
  return plan;
}

std::vector<std::string> axes_beside_truth(const Config& config) {
  std::vector<std::string> axes;
  for (const GridAxis& axis : config.grid)
    if (is_beside_truth(axis.key)) axes.push_back(axis.key);
  return axes;
}

bool next_cell(const Config& config, std::vector<std::size_t>& index) {
  for (std::size_t a = index.size(); a-- > 0;) {
    if (++index[a] < config.grid[a].values.size()) return true;
    index[a] = 0;
  }
  return false;
}

std::optional<Problem> check_grid(const Config& config) {
  std::size_t cells = 1;
  for (const GridAxis& axis : config.grid) {
    if (std::optional<Problem> problem = check_axis_key(axis, config)) return problem;
    if (axis.values.size() > most_cells / cells)
      return Problem{.key = "grid." + axis.key,
                     .message = "the grid has too many cells",
                     .legal = "at most " + std::to_string(most_cells)};
    cells *= axis.values.size();
    for (const Coordinate& value : axis.values) {
      Config trial = config;
      if (std::optional<Problem> problem = apply(trial, axis.key, value))
        return of_axis(*std::move(problem), axis.key);
    }
  }
  if (std::optional<Problem> problem = check_axes_of(config, "record.where", config.record_where))
    return problem;
  return config.stop ? check_axes_of(config, "stop.baseline", config.stop->baseline) : std::nullopt;
}

std::optional<Problem> check_values(const Config& config) {
  if (std::optional<Problem> problem = check_cell(config)) return problem;
  std::vector<std::size_t> index(config.grid.size(), 0);
  for (std::size_t a = 0; a < index.size(); ++a) {
    for (index[a] = 0; index[a] < config.grid[a].values.size(); ++index[a])
      if (std::optional<Problem> problem = check_cell(cell_config(config, index)))
        return of_axis(*std::move(problem), config.grid[a].key);
    index[a] = 0;
  }
  return std::nullopt;
}

Config cell_config(const Config& config, std::span<const std::size_t> index) {
  expects(index.size() == config.grid.size(), "cell_config: one coordinate an axis");
  Config cell = config;
  cell.grid.clear();
  cell.places.at.clear();
  for (std::size_t a = 0; a < index.size(); ++a) {
    const std::optional<Problem> problem =
        apply(cell, config.grid[a].key, config.grid[a].values[index[a]]);
    expects(!problem, "cell_config: the grid was checked");
  }
  for (NamedArithmetic& a : cell.arithmetics) a.value.complete();  // a block that only axes give
  return cell;
}

std::vector<std::string> keys_of_axes(const Config& config) {
  std::vector<std::string> keys;
  for (const GridAxis& axis : config.grid) {
    keys.push_back(axis.key);
    if (std::string other = find_field(axis.key).alternative(); !other.empty())
      keys.push_back(std::move(other));
  }
  return keys;
}

std::vector<IdentityLine> experiment_lines(const Config& asked, const Inputs& inputs,
                                           int semantics_number) {
  const Config config = with_rule_contents(asked, inputs.rules);
  std::vector<IdentityLine> lines =
      find_axis(config, model_key) != nullptr
          ? lines_without_model(config.activation, inputs.models, semantics_number)
          : lines_of(inputs.models.front(), semantics_number);
  lines.push_back({"tokenizer", to_hex(inputs.tokenizer)});
  for (const Digest& digest : inputs.texts) lines.push_back({"text", to_hex(digest)});
  if (config.tokens.text_axis) lines.push_back({"axis", "text"});
  for (const GridAxis& axis : config.grid) lines.push_back({"axis", axis.key});
  const std::vector<std::string> replaced = keys_of_axes(config);
  for_each_field(config, [&](const Field& field, const std::string& path, const std::string& name) {
    if (field.scope == Scope::none ||
        std::find(replaced.begin(), replaced.end(), path) != replaced.end())
      return;
    if (std::optional<std::string> value = field.write(config, name, Form::identity))
      lines.push_back({path, *std::move(value)});
  });
  return lines;
}

Result<Grid> expand(const Config& asked, const Inputs& inputs) {
  const Config config = with_rule_contents(asked, inputs.rules);
  expects(inputs.models.size() == model_paths(config).size(), "expand: as many contents as models");
  Grid grid{.axes = {},
            .cells = {},
            .reference = PrecisionPlan(fused(binary64)),
            .variants = variants_of(config),
            .experiment =
                sha256(identity_text("experiment", experiment_lines(config, inputs, semantics)))};
  if (const std::optional<int> bits = reference_bits(config.reference))
    grid.reference = PrecisionPlan(unlimited(*bits));
  if (const ArithmeticConfig* reference = config.arithmetic(config.reference))
    grid.reference = PrecisionPlan(reference->arithmetic());
  for (const GridAxis& axis : config.grid) grid.axes.push_back(axis_of(axis));
  std::vector<std::size_t> index(config.grid.size(), 0);
  do {
    const Config cell = cell_config(config, index);
    if (const std::optional<Problem> problem = check_cell(cell))
      return Error{ExitCode::bad_data,
                   "grid cell " + std::to_string(grid.cells.size()) + ": " + to_string(*problem)};
    const bool here = matches_where(config, index);
    const Variant variant = variant_of(config, index);
    const auto known = std::find(grid.variants.begin(), grid.variants.end(), variant);
    const ModelInputs& model = inputs.models[variant.model];
    grid.cells.push_back(
        {.index = index,
         .id = cell_identity(cell, model),
         .plan = plan_of(cell),
         .records = {.errors = here && !config.record_errors.empty(),
                     .activations = here && !config.record_activations.empty(),
                     .truth = config.truth && is_first_beside_truth(config, index),
                     .costs = std::make_shared<const PlanCosts>(without_idle_keys(cell))},
         .work = work_of(cell, model),
         .variant = static_cast<std::size_t>(known - grid.variants.begin()),
         .seed = cell.seed});
  } while (next_cell(config, index));
  return grid;
}

}  // namespace lamp::experiments
