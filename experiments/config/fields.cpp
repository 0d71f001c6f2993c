#include "experiments/config/fields.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

#include "experiments/config/kinds.hpp"
#include "experiments/config/variants.hpp"

namespace lamp::experiments {
namespace {

using Name = std::string_view;

Outcome read_paths(Config& config, Name, const Value& value, const Field&) {
  std::vector<const Value*> items{&value};
  if (const Value::List* list = value.get<Value::List>()) {
    items.clear();
    for (const Value& item : *list) items.push_back(&item);
    if (items.empty()) return wrong(value);
    config.tokens.text_axis = true;
  }
  for (const Value* item : items) {
    std::string path;
    if (Outcome problem = read_text(*item, path)) return problem;
    config.tokens.paths.emplace_back(path);
  }
  return std::nullopt;
}

/// The title names the default output folder.
Outcome read_title(Config& config, Name, const Value& value, const Field&) {
  if (Outcome problem = read_text(value, config.title)) return problem;
  const std::string& title = config.title;
  if (title.size() > 200 || title == "." || title == ".." || title.find('/') != std::string::npos ||
      one_line(title) != title)
    return wrong(value);
  return std::nullopt;
}

/// What the values of an axis may be is checked key by key once the rest is read (grid.cpp).
Outcome read_axis(Config& config, Name key, const Value& value, const Field&) {
  GridAxis axis{.key = std::string(key), .values = {}};
  if (Outcome problem = read_coordinates(value, find_field(key).field, axis.values)) return problem;
  config.grid.push_back(std::move(axis));
  return std::nullopt;
}

Outcome read_plan(Config& config, Name name, const Value& value, const Field&) {
  SitePath path;
  const std::optional<Layer> layer = parse_layer(name);
  if (!layer && name.starts_with("layer.") && split_path(name).size() == 2)
    return Problem{.key = {},
                   .message = toml_string(split_path(name)[1]) + " is no layer",
                   .legal = "layer.N, counted from 0"};
  if (!layer)
    if (Outcome problem = parse_site_path(name, path)) return problem;
  std::string arithmetic;
  if (Outcome problem = read_text(value, arithmetic)) return problem;
  if (layer) {
    for (LayerEntry& entry : config.plan_layers)
      if (entry.layer == *layer) return entry.arithmetic = arithmetic, std::nullopt;  // an axis
    config.plan_layers.push_back({*layer, arithmetic});
    return std::nullopt;
  }
  for (PlanEntry& entry : config.plan)
    if (entry.path == path) return entry.arithmetic = arithmetic, std::nullopt;  // an axis
  config.plan.push_back({path, arithmetic});
  return std::nullopt;
}

Outcome read_where(Config& config, Name, const Value& value, const Field&) {
  return read_axes(value, ValuesOfAxis::several, config.record_where);
}

/// Once it was for errors alone: where there are activations too, the identity is another one.
Text write_where(const Config& config, Name, Form form) {
  std::vector<GridAxis> axes = config.record_where;
  for (GridAxis& axis : axes)
    for (Coordinate& value : axis.values)
      if (form == Form::identity) value = label_of(axis.key, value);  // never paths
  const bool both = !axes.empty() && !config.record_activations.empty();
  return (form == Form::identity && both ? "activations too " : "") +
         axes_text(axes, ValuesOfAxis::several);
}

Text write_paths(const Config& config, Name, Form) {
  std::vector<std::string> paths;
  for (const std::filesystem::path& path : config.tokens.paths)
    paths.push_back(toml_string(path.string()));
  return config.tokens.text_axis ? '[' + join(paths) + ']' : paths.front();
}

Text write_axis(const Config& config, Name key, Form) {
  for (const GridAxis& axis : config.grid)
    if (axis.key == key) return coordinate_list(axis.values);
  return std::nullopt;
}

Text write_plan(const Config& config, Name name, Form) {
  for (const PlanEntry& entry : config.plan)
    if (site_path_name(entry.path) == name) return toml_string(entry.arithmetic);
  for (const LayerEntry& entry : config.plan_layers)
    if (layer_name(entry.layer) == name) return toml_string(entry.arithmetic);
  return std::nullopt;
}

Outcome read_cost(Config& config, Name name, const Value& value, const Field& field) {
  std::optional<double> cost;
  if (Outcome problem = read_number(value, field, cost)) return problem;
  config.costs.push_back({std::string(name), *cost});
  return std::nullopt;
}

Text write_cost(const Config& config, Name name, Form) {
  for (const CostEntry& entry : config.costs)
    if (entry.arithmetic == name) return toml_number(entry.cost);
  return std::nullopt;
}

// Choices that belong to no enum.

constexpr std::array activations = [] {
  std::array<NamedValue<std::optional<Activation>>, activation_names.size() + 1> list{
      {{"checkpoint", std::nullopt}}};
  for (std::size_t i = 0; i < activation_names.size(); ++i)
    list[i + 1] = {activation_names[i].name, activation_names[i].value};
  return list;
}();
constexpr std::array<NamedValue<bool>, 2> sources{{{"text", false}, {"ids", true}}};  // from_ids

constexpr double most_tokens = 1e15;

// One row a key, in the order in which the resolved config writes them. Rows of one section stand
// together.
constexpr std::array before_arithmetic{
    Field{.key = "schema_version",
          .kind = Kind::integer,
          .standard = "1",
          .meaning = "version of this config language",
          .min = 1,
          .max = 1,
          .read = [](Config& c, Name, const Value& v,
                     const Field& f) { return read_integer(v, f, c.schema_version); },
          .write = [](const Config& c, Name, Form) -> Text {
            return std::to_string(c.schema_version);
          }},
    Field{.key = "title",
          .kind = Kind::text,
          .standard = "required",
          .meaning = "what the experiment is; names the default output folder",
          .range = "a string of 1 to 200 bytes without \"/\" and control characters",
          .read = read_title,
          .write = [](const Config& c, Name, Form) { return nonempty(c.title); }},
    Field{.key = "seed",
          .kind = Kind::integer,
          .standard = "42",
          .meaning = "key of every random draw",
          .scope = Scope::cell,
          .min = 0,
          .max = 4294967295.0,
          .read = [](Config& c, Name, const Value& v,
                     const Field& f) { return read_integer(v, f, c.seed); },
          .write = [](const Config& c, Name, Form) -> Text { return std::to_string(c.seed); }},

    Field{.key = "model.path",
          .kind = Kind::text,
          .standard = "required",
          .meaning = "model folder or GGUF, relative to the config file",
          .range = "a path",
          .read =
              [](Config& c, Name, const Value& v, const Field&) {
                std::string path;
                Outcome problem = read_text(v, path);
                c.model_path = path;
                return problem;
              },
          .write = [](const Config& c, Name, Form) { return nonempty(c.model_path.string()); }},
    Field{.key = "model.activation",
          .kind = Kind::choice,
          .standard = "\"checkpoint\"",
          .meaning =
              "the checkpoint's, GELU in erf form (gelu) or tanh form (gelu_new), silu or relu",
          .choices = choices_of<activations>,
          .read = [](Config& c, Name, const Value& v,
                     const Field& f) { return read_choice(v, f, activations, c.activation); },
          .write = [](const Config& c, Name,
                      Form) { return choice_text(activations, c.activation); }},

    Field{.key = "tokens.source",
          .kind = Kind::choice,
          .standard = "\"text\"",
          .meaning = "text, or lines that are JSON lists of token ids",
          .scope = Scope::experiment,
          .choices = choices_of<sources>,
          .read = [](Config& c, Name, const Value& v,
                     const Field& f) { return read_choice(v, f, sources, c.tokens.from_ids); },
          .write = [](const Config& c, Name,
                      Form) { return choice_text(sources, c.tokens.from_ids); }},
    Field{.key = "tokens.path",
          .kind = Kind::list,
          .standard = "required",
          .meaning =
              "text file, relative to the config file; a list of them adds the dimension \"text\"",
          .range = "a path, or a list of paths with different file names",
          .read = read_paths,
          .write = write_paths},
    Field{.key = "tokens.sequence_length",
          .kind = Kind::integer,
          .standard = "required",
          .meaning = "T, tokens in a sequence; at most the model's n_positions",
          .scope = Scope::experiment,
          .min = 1,
          .max = 1048576,
          .read = [](Config& c, Name, const Value& v,
                     const Field& f) { return read_integer(v, f, c.tokens.sequence_length); },
          .write = [](const Config& c, Name, Form) -> Text {
            return std::to_string(c.tokens.sequence_length);
          }},
    Field{.key = "tokens.min_length",
          .kind = Kind::integer,
          .standard = "absent",
          .meaning = "least tokens of a sequence: the last of a text, or a line of ids, may be as "
                     "short; absent: all have sequence_length",
          .scope = Scope::experiment,
          .min = 1,
          .max = 1048576,
          .read = [](Config& c, Name, const Value& v,
                     const Field& f) { return read_integer(v, f, c.tokens.min_length.emplace()); },
          .write = [](const Config& c, Name, Form form) -> Text {
            if (!c.tokens.min_length) return std::nullopt;
            if (form == Form::identity && !c.tokens.lengths_vary()) return std::nullopt;
            return std::to_string(*c.tokens.min_length);
          }},
    Field{.key = "tokens.sequences",
          .kind = Kind::integer,
          .standard = "8",
          .meaning = "sequences of each text",
          .min = 1,
          .max = 10000000,
          .read = [](Config& c, Name, const Value& v,
                     const Field& f) { return read_integer(v, f, c.tokens.sequences); },
          .write = [](const Config& c, Name, Form) -> Text {
            return std::to_string(c.tokens.sequences);
          }},
    Field{.key = "tokens.offset",
          .kind = Kind::integer,
          .standard = "0",
          .meaning = "tokens skipped at the start of each text",
          .scope = Scope::experiment,
          .min = 0,
          .max = most_tokens,
          .read = [](Config& c, Name, const Value& v,
                     const Field& f) { return read_integer(v, f, c.tokens.offset); },
          .write = [](const Config& c, Name, Form) -> Text {
            return std::to_string(c.tokens.offset);
          }},
    Field{.key = "tokens.shuffle",
          .kind = Kind::boolean,
          .standard = "false",
          .meaning = "permute the tokens of each sequence, seeded",
          .scope = Scope::experiment,
          .read = [](Config& c, Name, const Value& v,
                     const Field&) { return read_boolean(v, c.tokens.shuffle); },
          .write = [](const Config& c, Name, Form) -> Text {
            return boolean_text(c.tokens.shuffle);
          }},

    Field{.key = "reference.arithmetic",
          .kind = Kind::arithmetic,
          .standard = "\"binary64\"",
          .meaning = "arithmetic that every run is compared with",
          .scope = Scope::cell,
          .range = "\"binary64\", \"mpfr:N\" (N bits, 2 to 10000, no exponent limits), or the name "
                   "of an arithmetic",
          .read =
              [](Config& c, Name, const Value& v, const Field&) {
                Outcome problem = read_text(v, c.reference);
                if (!problem && c.reference.starts_with("mpfr") && !reference_bits(c.reference))
                  return wrong(v);
                return problem;
              },
          .write = [](const Config& c, Name, Form) { return nonempty(c.reference); }},
    Field{
        .key = "reference.model",
        .kind = Kind::text,
        .standard = "absent",
        .meaning = "model folder of the reference, relative to the config file: of the same "
                   "shapes and vocabulary; absent: the run's own",
        .range = "a path",
        .read =
            [](Config& c, Name, const Value& v, const Field&) {
              std::string path;
              Outcome problem = read_text(v, path);
              c.reference_model = path;
              return problem;
            },
        .write = [](const Config& c, Name, Form) { return nonempty(c.reference_model.string()); }},

};

constexpr std::array plan_rows{
    Field{.key = "plan.default",
          .kind = Kind::arithmetic,
          .standard = "required",
          .meaning = "arithmetic of every site without its own",
          .scope = Scope::cell,
          .range = "the name of an arithmetic",
          .read = [](Config& c, Name, const Value& v,
                     const Field&) { return read_text(v, c.plan_default); },
          .write = [](const Config& c, Name, Form) { return nonempty(c.plan_default); }},
    Field{.key = "plan.*",
          .kind = Kind::arithmetic,
          .standard = "absent",
          .meaning = "arithmetic of a SITE, of a whole layer.N, of layer.N.SITE or of "
                     "layer.N.head.M.SITE, counted from 0; the later of these wins",
          .scope = Scope::cell,
          .range = "the name of an arithmetic",
          .read = read_plan,
          .write = write_plan},

};

constexpr std::array after_selections{
    Field{.key = "grid.*",
          .kind = Kind::list,
          .standard = "absent",
          .meaning = "axis: a key under arithmetic, plan, lamp or store, seed, tokens.shuffle "
                     "or model.path, and its values; an axis replaces its alternative",
          .range = "a list of one or more different numbers, strings or booleans, each legal for "
                   "the key",
          .read = read_axis,
          .write = write_axis},

    Field{.key = "record.errors",
          .kind = Kind::list,
          .standard = "[]",
          .meaning = "sites whose errors are recorded",
          .scope = Scope::experiment,
          .range = "a list of different sites",
          .read = [](Config& c, Name, const Value& v,
                     const Field&) { return read_sites(v, c.record_errors); },
          .write = [](const Config& c, Name, Form) { return site_list(c.record_errors); }},
    Field{.key = "record.detail",
          .kind = Kind::choice,
          .standard = "\"summary\"",
          .meaning = "statistics, or every component",
          .scope = Scope::experiment,
          .choices = choices_of<detail_names>,
          .read = [](Config& c, Name, const Value& v,
                     const Field& f) { return read_choice(v, f, detail_names, c.record_detail); },
          .write = [](const Config& c, Name,
                      Form) { return choice_text(detail_names, c.record_detail); }},
    Field{.key = "record.where",
          .kind = Kind::other,
          .standard = "{}",
          .meaning = "record errors and activations only in cells that match",
          .scope = Scope::experiment,
          .range =
              "a table {\"AXIS\" = [values], ..} of axes of the grid, each with some of its values",
          .read = read_where,
          .write = write_where},
    Field{.key = "record.activations",
          .kind = Kind::list,
          .standard = "[]",
          .meaning = "sites kept whole",
          .scope = Scope::experiment,
          .range = "a list of different sites",
          .read = [](Config& c, Name, const Value& v,
                     const Field&) { return read_sites(v, c.record_activations); },
          .write = [](const Config& c, Name, Form) { return site_list(c.record_activations); }},
    Field{.key = "record.selected",
          .kind = Kind::boolean,
          .standard = "false",
          .meaning = "keep every selected set, packed in bits",
          .scope = Scope::experiment,
          .read = [](Config& c, Name, const Value& v,
                     const Field&) { return read_boolean(v, c.record_selected); },
          .write = [](const Config& c, Name, Form form) -> Text {  // false: as before the key was
            if (form == Form::identity && !c.record_selected) return std::nullopt;
            return boolean_text(c.record_selected);
          }},
    Field{.key = "record.concentration",
          .kind = Kind::boolean,
          .standard = "false",
          .meaning = "sums of the squares of softmax: over all components, and over those that a "
                     "selection leaves low",
          .scope = Scope::experiment,
          .read = [](Config& c, Name, const Value& v,
                     const Field&) { return read_boolean(v, c.record_concentration); },
          .write = [](const Config& c, Name, Form form) -> Text {  // false: as before the key was
            if (form == Form::identity && !c.record_concentration) return std::nullopt;
            return boolean_text(c.record_concentration);
          }},

    Field{.key = "continuation.prefix",
          .kind = Kind::integer,
          .standard = "32",
          .meaning = "greedy continuations: the first tokens of each sequence are the prompt; "
                     "without [continuation] there are none",
          .scope = Scope::experiment,
          .min = 1,
          .max = 1048576,
          .read = [](Config& c, Name, const Value& v,
                     const Field& f) { return read_integer(v, f, c.continuation_or_new().prefix); },
          .write =
              [](const Config& c, Name, Form) {
                return c.continuation ? Text(std::to_string(c.continuation->prefix)) : Text();
              }},
    Field{.key = "continuation.tokens",
          .kind = Kind::integer,
          .standard = "64",
          .meaning = "tokens generated after it; prefix + tokens at most the model's n_positions",
          .scope = Scope::experiment,
          .min = 1,
          .max = 1048576,
          .read = [](Config& c, Name, const Value& v,
                     const Field& f) { return read_integer(v, f, c.continuation_or_new().tokens); },
          .write =
              [](const Config& c, Name, Form) {
                return c.continuation ? Text(std::to_string(c.continuation->tokens)) : Text();
              }},
};

constexpr std::array cost_rows{
    Field{
        .key = "cost.*",
        .kind = Kind::number,
        .standard = "absent",
        .meaning =
            "cost of one multiply-accumulate in an arithmetic, in any unit, for metrics/cost; "
            "given for every arithmetic that a product has, or for none: then p_a p_b + p_acc bits",
        .scope = Scope::experiment,
        .min = 1e-100,
        .max = 1e100,
        .range = "a number above 0, 1e-100 to 1e100",
        .read = read_cost,
        .write = write_cost},
};

}  // namespace

std::span<const Field> fields() {
  static const std::vector<Field> list = [] {
    std::vector<Field> all(before_arithmetic.begin(), before_arithmetic.end());
    for (const std::span<const Field> part :
         {arithmetic_fields(), std::span<const Field>(plan_rows), lamp_fields(),
          std::span<const Field>(after_selections), store_fields(), stop_fields(), truth_fields(),
          std::span<const Field>(cost_rows)})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return list;
}

}  // namespace lamp::experiments
