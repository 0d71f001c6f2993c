#include "experiments/config_fields.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

#include "core/arith/order_text.hpp"
#include "experiments/config_kinds.hpp"

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
  if (title.size() > 200 || title == "." || title == ".." || title.find('/') != std::string::npos || one_line(title) != title)
    return wrong(value);
  return std::nullopt;
}

/// Values of an axis; what they may be is checked key by key once the rest is read (config.cpp).
Outcome read_axis(Config& config, Name key, const Value& value, const Field&) {
  const FieldMatch target = find_field(key);
  const bool number = target.field != nullptr && target.field->kind == Kind::number;
  const Value::List* list = value.get<Value::List>();
  if (list == nullptr || list->empty()) return wrong(value);
  GridAxis axis{.key = std::string(key), .values = {}};
  for (const Value& item : *list) {
    Coordinate coordinate;
    if (const std::int64_t* integer = item.get<std::int64_t>())
      coordinate = number ? Coordinate(static_cast<double>(*integer)) : Coordinate(*integer);
    else if (const double* x = item.get<double>())
      coordinate = *x + 0.0;
    else if (const std::string* text = item.get<std::string>())
      coordinate = *text;
    else
      return wrong(item);
    if (std::find(axis.values.begin(), axis.values.end(), coordinate) != axis.values.end())
      return Problem{.key = {}, .message = describe(item) + " is given twice", .where = item.where};
    axis.values.push_back(std::move(coordinate));
  }
  config.grid.push_back(std::move(axis));
  return std::nullopt;
}

Outcome read_plan(Config& config, Name name, const Value& value, const Field&) {
  SitePath path;
  if (Outcome problem = parse_site_path(name, path)) return problem;
  std::string arithmetic;
  if (Outcome problem = read_text(value, arithmetic)) return problem;
  for (PlanEntry& entry : config.plan)
    if (entry.path == path) return entry.arithmetic = arithmetic, std::nullopt;  // an axis
  config.plan.push_back({path, arithmetic});
  return std::nullopt;
}

Outcome read_where(Config&, Name, const Value& value, const Field&) {
  const Value::Table* table = value.get<Value::Table>();
  if (table == nullptr) return wrong(value);
  if (!table->empty()) return not_available(value, "record.where");
  return std::nullopt;
}

Text write_paths(const Config& config, Name, Form) {
  std::vector<std::string> paths;
  for (const std::filesystem::path& path : config.tokens.paths) paths.push_back(toml_string(path.string()));
  return config.tokens.text_axis ? '[' + join(paths) + ']' : paths.front();
}

Text write_axis(const Config& config, Name key, Form) {
  for (const GridAxis& axis : config.grid)
    if (axis.key == key) {
      std::vector<std::string> values;
      for (const Coordinate& value : axis.values) {
        if (const std::string* name = std::get_if<std::string>(&value))
          values.push_back(toml_string(*name));
        else if (const std::int64_t* integer = std::get_if<std::int64_t>(&value))
          values.push_back(std::to_string(*integer));
        else
          values.push_back(toml_number(std::get<double>(value)));
      }
      return '[' + join(values) + ']';
    }
  return std::nullopt;
}

Text write_plan(const Config& config, Name name, Form) {
  for (const PlanEntry& entry : config.plan)
    if (site_path_name(entry.path) == name) return toml_string(entry.arithmetic);
  return std::nullopt;
}

// Access to the named parts.

ArithmeticConfig& arithmetic(Config& config, Name name) { return config.arithmetic_or_new(name); }
const ArithmeticConfig& arithmetic(const Config& config, Name name) { return *config.arithmetic(name); }

SelectionConfig& selection(Config& config, Name name) { return config.selection_or_new(*parse_site(name)); }
const SelectionConfig& selection(const Config& config, Name name) {
  for (const SelectionConfig& s : config.selections)
    if (info(s.site).name == name) return s;
  expects(false, "selection: of a site that has one");
  return config.selections.front();
}

// Choices.

template <class E>
constexpr int number(E e) {
  return static_cast<int>(e);
}

constexpr std::array activations{Choice{"checkpoint", -1}, Choice{"gelu", number(Activation::gelu)},
                                 Choice{"gelu_new", number(Activation::gelu_new)}};
constexpr std::array sources{Choice{"text", 0}, Choice{"ids", 1}};
constexpr std::array presets{Choice{"lamp-paper", 1}};
constexpr std::array roundings{Choice{"RNE", number(Rounding::rne)},      Choice{"RNA", number(Rounding::rna)},
                               Choice{"RTZ", number(Rounding::rtz)},      Choice{"RTP", number(Rounding::rtp)},
                               Choice{"RTN", number(Rounding::rtn)},      Choice{"RTO", number(Rounding::rto)},
                               Choice{"SR", number(Rounding::sr), false}, Choice{"SRE", number(Rounding::sre), false}};
constexpr std::array orders{Choice{"sequential", number(OrderKind::sequential)}};
constexpr std::array rules{Choice{"lamp", number(Rule::lamp)},
                           Choice{"random", number(Rule::random)},
                           Choice{"none", number(Rule::none)},
                           Choice{"all", number(Rule::all)},
                           Choice{"random-full-row", number(Rule::random_full_row), false},
                           Choice{"largest-logit", number(Rule::largest_logit), false},
                           Choice{"truth", number(Rule::truth), false}};
constexpr std::array error_weights{Choice{"absolute", number(ErrorWeights::absolute)},
                                   Choice{"relative", number(ErrorWeights::relative), false},
                                   Choice{"dot", number(ErrorWeights::dot), false}};
constexpr std::array norms{Choice{"componentwise", number(Norm::componentwise)}, Choice{"normwise1", number(Norm::normwise1), false}};
constexpr std::array solvers{Choice{"greedy", number(Solver::greedy)}, Choice{"exact", number(Solver::exact), false}};
constexpr std::array masks{Choice{"exclude", number(Mask::exclude)}, Choice{"as-zero", number(Mask::as_zero)}};
constexpr std::array details{Choice{"summary", number(Detail::summary)}, Choice{"full", number(Detail::full), false}};

constexpr std::string_view format_range = "a name such as \"ps7\" or \"binary32\", or a table {p = 8, emin = -126, emax = 127, ..}";
constexpr double most_tokens = 1e15;

// One row a key, in the order in which the resolved config writes them. Rows of one section stand together.
// clang-format off
constexpr std::array field_list{
    Field{.key = "schema_version", .kind = Kind::integer, .standard = "1", .meaning = "version of this config language", .min = 1, .max = 1,
          .read = [](Config& c, Name, const Value& v, const Field& f) { return read_integer(v, f, c.schema_version); },
          .write = [](const Config& c, Name, Form) -> Text { return std::to_string(c.schema_version); }},
    Field{.key = "title", .kind = Kind::text, .standard = "required", .meaning = "what the experiment is; names the default output folder",
          .range = "a string of 1 to 200 bytes without \"/\" and control characters", .read = read_title,
          .write = [](const Config& c, Name, Form) { return nonempty(c.title); }},
    Field{.key = "seed", .kind = Kind::integer, .standard = "42", .meaning = "key of every random draw", .scope = Scope::cell, .min = 0,
          .max = 4294967295.0, .read = [](Config& c, Name, const Value& v, const Field& f) { return read_integer(v, f, c.seed); },
          .write = [](const Config& c, Name, Form) -> Text { return std::to_string(c.seed); }},

    Field{.key = "model.path", .kind = Kind::text, .standard = "required", .meaning = "model folder, relative to the config file",
          .range = "a path",
          .read = [](Config& c, Name, const Value& v, const Field&) {
            std::string path;
            Outcome problem = read_text(v, path);
            c.model_path = path;
            return problem;
          },
          .write = [](const Config& c, Name, Form) { return nonempty(c.model_path.string()); }},
    Field{.key = "model.activation", .kind = Kind::choice, .standard = "\"checkpoint\"",
          .meaning = "GELU: the checkpoint's, erf form (gelu) or tanh form (gelu_new)", .choices = activations,
          .read = [](Config& c, Name, const Value& v, const Field& f) {
            int choice = -1;
            Outcome problem = read_choice(v, f, choice);
            c.activation = choice < 0 ? std::nullopt : std::optional(static_cast<Activation>(choice));
            return problem;
          },
          .write = [](const Config& c, Name, Form) { return name_of(activations, c.activation ? number(*c.activation) : -1); }},

    Field{.key = "tokens.source", .kind = Kind::choice, .standard = "\"text\"",
          .meaning = "text, or lines that are JSON lists of token ids", .scope = Scope::experiment, .choices = sources,
          .read = [](Config& c, Name, const Value& v, const Field& f) { return read_choice(v, f, c.tokens.from_ids); },
          .write = [](const Config& c, Name, Form) { return name_of(sources, c.tokens.from_ids ? 1 : 0); }},
    Field{.key = "tokens.path", .kind = Kind::list, .standard = "required",
          .meaning = "text file, relative to the config file; a list of them adds the dimension \"text\"",
          .range = "a path, or a list of paths with different file names", .read = read_paths, .write = write_paths},
    Field{.key = "tokens.sequence_length", .kind = Kind::integer, .standard = "required",
          .meaning = "T, tokens in a sequence; at most the model's n_positions", .scope = Scope::experiment, .min = 1, .max = 1048576,
          .read = [](Config& c, Name, const Value& v, const Field& f) { return read_integer(v, f, c.tokens.sequence_length); },
          .write = [](const Config& c, Name, Form) -> Text { return std::to_string(c.tokens.sequence_length); }},
    Field{.key = "tokens.sequences", .kind = Kind::integer, .standard = "8", .meaning = "sequences of each text", .min = 1, .max = 10000000,
          .read = [](Config& c, Name, const Value& v, const Field& f) { return read_integer(v, f, c.tokens.sequences); },
          .write = [](const Config& c, Name, Form) -> Text { return std::to_string(c.tokens.sequences); }},
    Field{.key = "tokens.offset", .kind = Kind::integer, .standard = "0", .meaning = "tokens skipped at the start of each text",
          .scope = Scope::experiment, .min = 0, .max = most_tokens,
          .read = [](Config& c, Name, const Value& v, const Field& f) { return read_integer(v, f, c.tokens.offset); },
          .write = [](const Config& c, Name, Form) -> Text { return std::to_string(c.tokens.offset); }},
    Field{.key = "tokens.shuffle", .kind = Kind::boolean, .standard = "false", .meaning = "permute the tokens of each sequence, seeded",
          .scope = Scope::experiment,
          .read = [](Config& c, Name, const Value& v, const Field&) { return read_boolean(v, c.tokens.shuffle); },
          .write = [](const Config& c, Name, Form) -> Text { return boolean_text(c.tokens.shuffle); }},

    Field{.key = "reference.arithmetic", .kind = Kind::arithmetic, .standard = "\"binary64\"",
          .meaning = "arithmetic that every run is compared with", .scope = Scope::cell,
          .range = "\"binary64\" or the name of an arithmetic",
          .read = [](Config& c, Name, const Value& v, const Field&) {
            Outcome problem = read_text(v, c.reference);
            return !problem && c.reference.starts_with("mpfr") ? not_available(v, toml_string(c.reference)) : problem;
          },
          .write = [](const Config& c, Name, Form) { return nonempty(c.reference); }},

    Field{.key = "arithmetic.*.preset", .kind = Kind::choice, .standard = "absent",
          .meaning = "defaults of the other keys; lamp-paper: product exact, via binary32, RNE, sequential", .choices = presets,
          .read = [](Config& c, Name n, const Value& v, const Field& f) {
            int choice = 0;
            Outcome problem = read_choice(v, f, choice);
            arithmetic(c, n).preset = presets[0].name;
            return problem;
          },
          .write = [](const Config& c, Name n, Form) { return nonempty(arithmetic(c, n).preset); }},
    Field{.key = "arithmetic.*.mu", .kind = Kind::integer, .standard = "absent",
          .meaning = "format ps<mu>: binary32 with mu significand bits",
          .scope = Scope::cell, .min = 1, .max = 23, .alternative = "arithmetic.*.format",
          .read = [](Config& c, Name n, const Value& v, const Field& f) { return read_integer(v, f, arithmetic(c, n).mu); },
          .write = [](const Config& c, Name n, Form form) -> Text {
            const ArithmeticConfig& a = arithmetic(c, n);
            return form == Form::toml && a.mu ? Text(std::to_string(*a.mu)) : Text();
          },
          .clear = [](Config& c, Name n) { arithmetic(c, n).mu.reset(); }},
    Field{.key = "arithmetic.*.format", .kind = Kind::format, .standard = "required unless mu", .meaning = "where the accumulator lives",
          .scope = Scope::cell, .range = format_range, .alternative = "arithmetic.*.mu",
          .read = [](Config& c, Name n, const Value& v, const Field&) {
            FloatFormat format;
            Outcome problem = read_format(v, format);
            arithmetic(c, n).format = format;
            return problem;
          },
          .write = [](const Config& c, Name n, Form form) -> Text {
            const ArithmeticConfig& a = arithmetic(c, n);
            if (form == Form::identity && a.mu) return format_identity(a.accumulator());
            return a.format ? Text(format_in(form, *a.format)) : Text();
          },
          .clear = [](Config& c, Name n) { arithmetic(c, n).format.reset(); }},
    Field{.key = "arithmetic.*.operands", .kind = Kind::format, .standard = "\"as-is\"",
          .meaning = "format that a_k and b_k are rounded to, RNE",
          .scope = Scope::cell, .range = "\"as-is\" or a format",
          .read =
              [](Config& c, Name n, const Value& v, const Field&) { return read_format_or_none(v, "as-is", arithmetic(c, n).operands); },
          .write = [](const Config& c, Name n, Form form) { return format_or_none(form, arithmetic(c, n).operands, "as-is"); }},
    Field{.key = "arithmetic.*.product", .kind = Kind::format, .standard = "\"exact\"",
          .meaning = "exact: fused; else the format of each product",
          .scope = Scope::cell, .range = "\"exact\" or a format",
          .read =
              [](Config& c, Name n, const Value& v, const Field&) { return read_format_or_none(v, "exact", arithmetic(c, n).product); },
          .write = [](const Config& c, Name n, Form form) { return format_or_none(form, arithmetic(c, n).product, "exact"); }},
    Field{.key = "arithmetic.*.via", .kind = Kind::format, .standard = "\"none\"",
          .meaning = "format that every sum is rounded to first, RNE",
          .scope = Scope::cell, .range = "\"none\" or a format",
          .read =
              [](Config& c, Name n, const Value& v, const Field&) { return read_format_or_none(v, "none", arithmetic(c, n).via); },
          .write = [](const Config& c, Name n, Form form) { return format_or_none(form, arithmetic(c, n).via, "none"); }},
    Field{.key = "arithmetic.*.rounding", .kind = Kind::choice, .standard = "\"RNE\"", .meaning = "rounding to the format",
          .scope = Scope::cell,
          .choices = roundings,
          .read = [](Config& c, Name n, const Value& v, const Field& f) {
            Rounding rounding{};
            Outcome problem = read_choice(v, f, rounding);
            arithmetic(c, n).rounding = rounding;
            return problem;
          },
          .write = [](const Config& c, Name n, Form) {
            const ArithmeticConfig& a = arithmetic(c, n);
            return a.rounding ? name_of(roundings, number(*a.rounding)) : Text();
          }},
    Field{.key = "arithmetic.*.order", .kind = Kind::choice, .standard = "\"sequential\"", .meaning = "order of summation",
          .scope = Scope::cell,
          .choices = orders,
          .read = [](Config& c, Name n, const Value& v, const Field& f) { return read_order(v, f, arithmetic(c, n).order); },
          .write = [](const Config& c, Name n, Form) {
            const ArithmeticConfig& a = arithmetic(c, n);
            return a.order ? Text(toml_string(order_text(*a.order))) : Text();
          }},
    Field{.key = "arithmetic.*.block", .kind = Kind::other, .standard = "absent", .meaning = "inner arithmetic of the order blocked",
          .available = false},
    Field{.key = "arithmetic.*.engine", .kind = Kind::other, .standard = "absent", .meaning = "model of a matrix engine",
          .available = false},
    Field{.key = "arithmetic.*.random_bits", .kind = Kind::other, .standard = "32", .meaning = "bits of a stochastic rounding",
          .available = false},

    Field{.key = "plan.default", .kind = Kind::arithmetic, .standard = "required", .meaning = "arithmetic of every site without its own",
          .scope = Scope::cell, .range = "the name of an arithmetic",
          .read = [](Config& c, Name, const Value& v, const Field&) { return read_text(v, c.plan_default); },
          .write = [](const Config& c, Name, Form) { return nonempty(c.plan_default); }},
    Field{.key = "plan.*", .kind = Kind::arithmetic, .standard = "absent",
          .meaning = "arithmetic of a SITE, of layer.N.SITE or of layer.N.head.M.SITE, counted from 0; the most specific wins",
          .scope = Scope::cell, .range = "the name of an arithmetic", .read = read_plan, .write = write_plan},

    Field{.key = "lamp.*.rule", .kind = Kind::choice, .standard = "\"lamp\"", .meaning = "how the components to recompute are chosen",
          .scope = Scope::cell, .choices = rules,
          .read = [](Config& c, Name n, const Value& v, const Field& f) { return read_choice(v, f, selection(c, n).spec.rule); },
          .write = [](const Config& c, Name n, Form) { return name_of(rules, number(selection(c, n).spec.rule)); }},
    Field{.key = "lamp.*.weights", .kind = Kind::choice, .standard = "\"absolute\"",
          .meaning = "w_j of the error model abs(dy_j) <= eps w_j",
          .scope = Scope::cell, .choices = error_weights,
          .read = [](Config& c, Name n, const Value& v, const Field& f) { return read_choice(v, f, selection(c, n).spec.weights); },
          .write = [](const Config& c, Name n, Form) { return name_of(error_weights, number(selection(c, n).spec.weights)); }},
    Field{.key = "lamp.*.norm", .kind = Kind::choice, .standard = "\"componentwise\"", .meaning = "norm of the cost", .scope = Scope::cell,
          .choices = norms,
          .read = [](Config& c, Name n, const Value& v, const Field& f) { return read_choice(v, f, selection(c, n).spec.norm); },
          .write = [](const Config& c, Name n, Form) { return name_of(norms, number(selection(c, n).spec.norm)); }},
    Field{.key = "lamp.*.solver", .kind = Kind::choice, .standard = "\"greedy\"",
          .meaning = "greedy: the paper's rule; exact: a smallest set",
          .scope = Scope::cell, .choices = solvers,
          .read = [](Config& c, Name n, const Value& v, const Field& f) { return read_choice(v, f, selection(c, n).spec.solver); },
          .write = [](const Config& c, Name n, Form) { return name_of(solvers, number(selection(c, n).spec.solver)); }},
    Field{.key = "lamp.*.mask", .kind = Kind::choice, .standard = "\"exclude\"",
          .meaning = "exclude: rows are causal; as-zero: masked entries count as components with z = 0", .scope = Scope::cell,
          .choices = masks,
          .read = [](Config& c, Name n, const Value& v, const Field& f) { return read_choice(v, f, selection(c, n).spec.mask); },
          .write = [](const Config& c, Name n, Form) { return name_of(masks, number(selection(c, n).spec.mask)); }},
    Field{.key = "lamp.*.tau", .kind = Kind::number, .standard = "1.5", .meaning = "largest cost of what is left in low precision",
          .scope = Scope::cell, .min = 0, .max = 4194304, .alternative = "lamp.*.rate",
          .read = [](Config& c, Name n, const Value& v, const Field& f) { return read_number(v, f, selection(c, n).spec.tau); },
          .write = [](const Config& c, Name n, Form) {
            const std::optional<double>& tau = selection(c, n).spec.tau;
            return tau ? Text(toml_number(*tau)) : Text();
          },
          .clear = [](Config& c, Name n) { selection(c, n).spec.tau.reset(); }},
    Field{.key = "lamp.*.rate", .kind = Kind::number, .standard = "absent", .meaning = "share of the causal entries of a row to recompute",
          .scope = Scope::cell, .min = 0, .max = 1, .alternative = "lamp.*.tau",
          .read = [](Config& c, Name n, const Value& v, const Field& f) { return read_number(v, f, selection(c, n).spec.rate); },
          .write = [](const Config& c, Name n, Form) {
            const std::optional<double>& rate = selection(c, n).spec.rate;
            return rate ? Text(toml_number(*rate)) : Text();
          },
          .clear = [](Config& c, Name n) { selection(c, n).spec.rate.reset(); }},
    Field{.key = "lamp.*.recompute", .kind = Kind::arithmetic, .standard = "required", .meaning = "arithmetic of the chosen components",
          .scope = Scope::cell, .range = "the name of an arithmetic",
          .read = [](Config& c, Name n, const Value& v, const Field&) { return read_text(v, selection(c, n).recompute); },
          .write = [](const Config& c, Name n, Form) { return nonempty(selection(c, n).recompute); }},

    Field{.key = "grid.*", .kind = Kind::list, .standard = "absent",
          .meaning = "axis: a key under arithmetic, plan or lamp, and its values; an axis replaces its alternative",
          .range = "a list of one or more different numbers or strings, each legal for the key", .read = read_axis, .write = write_axis},

    Field{.key = "record.errors", .kind = Kind::list, .standard = "[]", .meaning = "sites whose errors are recorded",
          .scope = Scope::experiment,
          .range = "a list of sites (so far: [])",
          .read = [](Config& c, Name, const Value& v, const Field&) { return read_sites(v, c.record_errors); },
          .write = [](const Config& c, Name, Form) { return site_list(c.record_errors); }},
    Field{.key = "record.detail", .kind = Kind::choice, .standard = "\"summary\"", .meaning = "statistics, or every component",
          .scope = Scope::experiment, .choices = details,
          .read = [](Config& c, Name, const Value& v, const Field& f) { return read_choice(v, f, c.record_detail); },
          .write = [](const Config& c, Name, Form) { return name_of(details, number(c.record_detail)); }},
    Field{.key = "record.where", .kind = Kind::other, .standard = "{}", .meaning = "record errors only in cells that match",
          .scope = Scope::experiment, .range = "a table of axes and values (so far: {})", .read = read_where,
          .write = [](const Config&, Name, Form) -> Text { return "{}"; }},
    Field{.key = "record.activations", .kind = Kind::list, .standard = "[]", .meaning = "sites kept whole", .scope = Scope::experiment,
          .range = "a list of sites (so far: [])",
          .read = [](Config& c, Name, const Value& v, const Field&) { return read_sites(v, c.record_activations); },
          .write = [](const Config& c, Name, Form) { return site_list(c.record_activations); }},

    Field{.key = "truth.end_to_end", .kind = Kind::other, .standard = "[]", .meaning = "one-low, one-high", .available = false},
    Field{.key = "truth.local", .kind = Kind::other, .standard = "true", .meaning = "local ground truth of each row", .available = false},
    Field{.key = "truth.subset_limit", .kind = Kind::other, .standard = "20", .meaning = "rows up to this length: all subsets",
          .available = false},
    Field{.key = "truth.tolerance", .kind = Kind::other, .standard = "[0.01]", .meaning = "tolerances of the smallest set",
          .available = false},
    Field{.key = "truth.layers", .kind = Kind::other, .standard = "\"all\"", .meaning = "what is evaluated", .available = false},
    Field{.key = "truth.sample", .kind = Kind::other, .standard = "absent", .meaning = "share of what is evaluated", .available = false},
};
// clang-format on

}  // namespace

std::span<const Field> fields() { return field_list; }

}  // namespace lamp::experiments
