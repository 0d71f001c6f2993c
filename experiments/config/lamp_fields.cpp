// The keys of [lamp.SITE], and of its layers and heads.
#include <algorithm>
#include <array>

#include "core/selection/rules/own.hpp"
#include "experiments/config/kinds.hpp"
#include "experiments/config/own_rules.hpp"

namespace lamp::experiments {
namespace {

using Name = std::string_view;

SelectionConfig& selection(Config& config, Name name) {
  return config.selection_or_new(*parse_site(name));
}
const SelectionConfig& selection(const Config& config, Name name) {
  for (const SelectionConfig& s : config.selections)
    if (info(s.site).name == name) return s;
  expects(false, "selection: of a site that has one");
  return config.selections.front();
}

template <const auto& table, auto member>
Outcome read_selection(Config& config, Name name, const Value& value, const Field& field) {
  return read_choice(value, field, table, selection(config, name).spec.*member);
}
template <const auto& table, auto member>
Text write_selection(const Config& config, Name name, Form) {
  return choice_text(table, selection(config, name).spec.*member);
}

/// A rule of the table, or somebody's own.
Outcome read_rule(Config& config, Name name, const Value& value, const Field& field) {
  SelectionConfig& s = selection(config, name);
  const std::string* text = value.get<std::string>();
  if (text != nullptr && text->starts_with(own_rule_prefix)) {
    s.own = parse_own_rule(*text);
    if (!s.own) return wrong(value);
    s.spec.rule = &own_rule;
    return std::nullopt;
  }
  s.own.reset();
  return read_choice(value, field, rule_names, s.spec.rule);
}

/// Of an own rule the identity has what its file contains, never the path.
Text write_rule(const Config& config, Name name, Form form) {
  const SelectionConfig& s = selection(config, name);
  if (!s.own) return choice_text(rule_names, s.spec.rule);
  if (form == Form::toml) return toml_string(own_rule_text(*s.own));
  const auto known = config.rule_contents.of.find(s.own->file);
  const Digest content = known == config.rule_contents.of.end() ? Digest{} : known->second;
  return toml_string(own_rule_text({.file = to_hex(content), .function = s.own->function}));
}

FallbackConfig& fallback(Config& config, Name name) { return selection(config, name).fallback; }

/// Of the name "3.scores" or "3.head.1.scores". Pre: check_field_name found nothing.
SitePath budget_path(Name name) {
  SitePath path;
  const Outcome problem = parse_site_path("layer." + std::string(name), path);
  expects(!problem, "budget_path: a name that was checked");
  return path;
}

template <auto member>
Outcome read_budget(Config& c, Name name, const Value& value, const Field& field) {
  return read_number(value, field, c.budget_or_new(budget_path(name)).*member);
}
template <auto member>
Text write_budget(const Config& c, Name name, Form) {
  const SitePath path = budget_path(name);
  for (const BudgetEntry& entry : c.budgets)
    if (entry.path == path && entry.*member) return toml_number(*(entry.*member));
  return std::nullopt;
}
template <auto member>
void clear_budget(Config& c, Name name) {
  (c.budget_or_new(budget_path(name)).*member).reset();
}

constexpr double most_tau = 4194304;  // 2^22, from where on a row is refused

// Rows of one section stand together: those of the table `fallback` come last.
constexpr std::array lamp_rows{
    Field{.key = "lamp.*.rule",
          .kind = Kind::choice,
          .standard = "\"lamp\"",
          .meaning = "how the components to recompute are chosen",
          .scope = Scope::cell,
          .choices = choices_of<rule_names>,
          .range = own_rule_form,
          .read = read_rule,
          .write = write_rule},
    Field{.key = "lamp.*.weights",
          .kind = Kind::choice,
          .standard = "\"absolute\"",
          .meaning = "w_j of the error model abs(dy_j) <= eps w_j",
          .scope = Scope::cell,
          .choices = choices_of<error_weights_names>,
          .read = read_selection<error_weights_names, &SelectionSpec::weights>,
          .write = write_selection<error_weights_names, &SelectionSpec::weights>},
    Field{.key = "lamp.*.norm",
          .kind = Kind::choice,
          .standard = "\"componentwise\"",
          .meaning = "norm of the cost",
          .scope = Scope::cell,
          .choices = choices_of<norm_names>,
          .read = read_selection<norm_names, &SelectionSpec::norm>,
          .write = write_selection<norm_names, &SelectionSpec::norm>},
    Field{.key = "lamp.*.solver",
          .kind = Kind::choice,
          .standard = "\"greedy\"",
          .meaning = "greedy: the paper's rule; exact: a smallest set",
          .scope = Scope::cell,
          .choices = choices_of<solver_names>,
          .read = read_selection<solver_names, &SelectionSpec::solver>,
          .write = write_selection<solver_names, &SelectionSpec::solver>},
    Field{.key = "lamp.*.mask",
          .kind = Kind::choice,
          .standard = "\"exclude\"",
          .meaning =
              "exclude: rows are causal; as-zero: masked entries count as components with z = 0",
          .scope = Scope::cell,
          .choices = choices_of<mask_names>,
          .read = read_selection<mask_names, &SelectionSpec::mask>,
          .write = write_selection<mask_names, &SelectionSpec::mask>},
    Field{.key = "lamp.*.tau",
          .kind = Kind::number,
          .standard = "1.5",
          .meaning = "largest cost of what is left in low precision",
          .scope = Scope::cell,
          .min = 0,
          .max = most_tau,
          .alternative = "lamp.*.rate",
          .read = [](Config& c, Name n, const Value& v,
                     const Field& f) { return read_number(v, f, selection(c, n).spec.tau); },
          .write =
              [](const Config& c, Name n, Form) {
                const std::optional<double>& tau = selection(c, n).spec.tau;
                return tau ? Text(toml_number(*tau)) : Text();
              },
          .clear = [](Config& c, Name n) { selection(c, n).spec.tau.reset(); }},
    Field{.key = "lamp.*.rate",
          .kind = Kind::number,
          .standard = "absent",
          .meaning = "share of the components of a row (causal entries) to recompute, rounded up "
                     "in each row: 0.034 recomputes 5.05 % of scores at 64 tokens",
          .scope = Scope::cell,
          .min = 0,
          .max = 1,
          .alternative = "lamp.*.tau",
          .read = [](Config& c, Name n, const Value& v,
                     const Field& f) { return read_number(v, f, selection(c, n).spec.rate); },
          .write =
              [](const Config& c, Name n, Form) {
                const std::optional<double>& rate = selection(c, n).spec.rate;
                return rate ? Text(toml_number(*rate)) : Text();
              },
          .clear = [](Config& c, Name n) { selection(c, n).spec.rate.reset(); }},
    Field{.key = "lamp.*.terms",
          .kind = Kind::integer,
          .standard = "16",
          .meaning = "of rule first-terms: how many terms of each inner product it looks at",
          .scope = Scope::cell,
          .min = 1,
          .max = 65536,
          .read = [](Config& c, Name n, const Value& v,
                     const Field& f) { return read_integer(v, f, selection(c, n).spec.terms); },
          .write = [](const Config& c, Name n, Form form) -> Text {  // of no other rule's identity
            const SelectionSpec& spec = selection(c, n).spec;
            if (form == Form::identity && spec.rule->traits.ahead != LookAhead::first_terms)
              return std::nullopt;
            return std::to_string(spec.terms);
          }},
    Field{.key = "lamp.*.shift",
          .kind = Kind::choice,
          .standard = "\"none\"",
          .meaning = "what is added to the low values of a row before a softmax (scores, logits): "
                     "the mean of recomputed - low over the others; adaptive: only where it "
                     "exceeds its standard error",
          .scope = Scope::cell,
          .choices = choices_of<shift_names>,
          .read =
              [](Config& c, Name n, const Value& v, const Field& f) {
                return read_choice(v, f, shift_names, selection(c, n).shift);
              },
          .write = [](const Config& c, Name n,
                      Form form) -> Text {  // none: cells keep their identity
            const Shift shift = selection(c, n).shift;
            if (form == Form::identity && shift == Shift::none) return std::nullopt;
            return choice_text(shift_names, shift);
          }},
    Field{
        .key = "lamp.*.recompute",
        .kind = Kind::arithmetic,
        .standard = "required",
        .meaning = "arithmetic of the chosen components",
        .scope = Scope::cell,
        .range = "the name of an arithmetic",
        .read = [](Config& c, Name n, const Value& v,
                   const Field&) { return read_text(v, selection(c, n).recompute); },
        .write = [](const Config& c, Name n, Form) { return nonempty(selection(c, n).recompute); }},
    Field{.key = "lamp.*.fallback.tolerance",
          .kind = Kind::number,
          .standard = "absent",
          .meaning = "a row is recomputed whole where cost(S) u, the bound on the error that the "
                     "selection leaves (u of the low arithmetic), exceeds this; absent: nowhere",
          .scope = Scope::cell,
          .min = 0,
          .max = most_tau,
          .read = [](Config& c, Name n, const Value& v,
                     const Field& f) { return read_number(v, f, fallback(c, n).tolerance); },
          .write =
              [](const Config& c, Name n, Form) {
                const std::optional<double>& tolerance = selection(c, n).fallback.tolerance;
                return tolerance ? Text(toml_number(*tolerance)) : Text();
              }},
    Field{.key = "lamp.*.fallback.what",
          .kind = Kind::choice,
          .standard = "\"row\"",
          .meaning = "what is recomputed then: that row, or all rows of the layer and head",
          .scope = Scope::cell,
          .choices = choices_of<fallback_names>,
          .read =
              [](Config& c, Name n, const Value& v, const Field& f) {
                Fallback::What what{};
                if (Outcome problem = read_choice(v, f, fallback_names, what)) return problem;
                fallback(c, n).what = what;
                return Outcome();
              },
          .write = [](const Config& c, Name n, Form form) -> Text {
            const FallbackConfig& of = selection(c, n).fallback;
            if (form == Form::toml && of.what) return choice_text(fallback_names, *of.what);
            return of.fallback() ? choice_text(fallback_names, of.fallback()->what) : Text();
          }},

    Field{.key = "lamp.layer.*.tau",
          .kind = Kind::number,
          .standard = "absent",
          .meaning =
              "tau of a SITE in layer.N, or of layer.N.head.M.SITE, in place of lamp.SITE's; "
              "the most specific wins",
          .scope = Scope::cell,
          .min = 0,
          .max = most_tau,
          .alternative = "lamp.layer.*.rate",
          .read = read_budget<&BudgetEntry::tau>,
          .write = write_budget<&BudgetEntry::tau>,
          .clear = clear_budget<&BudgetEntry::tau>},
    Field{.key = "lamp.layer.*.rate",
          .kind = Kind::number,
          .standard = "absent",
          .meaning = "rate of a SITE in layer.N, or of layer.N.head.M.SITE, in place of "
                     "lamp.SITE's; the most specific wins",
          .scope = Scope::cell,
          .min = 0,
          .max = 1,
          .alternative = "lamp.layer.*.tau",
          .read = read_budget<&BudgetEntry::rate>,
          .write = write_budget<&BudgetEntry::rate>,
          .clear = clear_budget<&BudgetEntry::rate>},
};

}  // namespace

std::span<const Field> lamp_fields() { return lamp_rows; }

}  // namespace lamp::experiments
