// The keys of [truth].
#include <algorithm>
#include <array>

#include "analysis/truth/predictors.hpp"
#include "experiments/config/kinds.hpp"

namespace lamp::experiments {
namespace {

using Name = std::string_view;

/// A list of different items, each read by `read`; an empty one where `may_be_empty`.
template <class T, class Read>
Outcome read_list(const Value& value, bool may_be_empty, std::vector<T>& target, Read&& read) {
  const Value::List* list = value.get<Value::List>();
  if (list == nullptr || (list->empty() && !may_be_empty)) return wrong(value);
  target.clear();
  for (const Value& item : *list) {
    T x{};
    if (Outcome problem = read(item, x)) return problem;
    if (std::find(target.begin(), target.end(), x) != target.end())
      return Problem{.key = {}, .message = describe(item) + " is given twice", .where = item.where};
    target.push_back(x);
  }
  return std::nullopt;
}

Outcome read_numbers(const Value& value, const Field& field, std::vector<double>& target) {
  return read_list(value, false, target, [&](const Value& item, double& x) {
    std::optional<double> number;
    if (Outcome problem = read_number(item, field, number)) return problem;
    x = *number;
    return Outcome();
  });
}

constexpr std::string_view all = "all";

/// "all", or which: an empty list stands for all.
template <auto member>
Outcome read_which(Config& c, Name, const Value& value, const Field& field) {
  std::vector<std::size_t>& target = c.truth_or_new().*member;
  if (const std::string* word = value.get<std::string>(); word != nullptr && *word == all)
    return target.clear(), std::nullopt;
  return read_list(value, false, target,
                   [&](const Value& item, std::size_t& x) { return read_integer(item, field, x); });
}

template <class T, class F>
std::string list_text(const std::vector<T>& list, F&& text) {
  std::vector<std::string> items;
  for (const T& item : list) items.push_back(text(item));
  return '[' + join(items) + ']';
}

template <auto member>
Text write_which(const Config& c, Name, Form) {
  if (!c.truth) return std::nullopt;
  const std::vector<std::size_t>& which = *c.truth.*member;
  if (which.empty()) return toml_string(all);
  return list_text(which, [](std::size_t x) { return std::to_string(x); });
}

template <auto member>
Text write_numbers(const Config& c, Name, Form) {
  if (!c.truth) return std::nullopt;
  return list_text(*c.truth.*member, toml_number);
}

template <auto member>
Text write_boolean(const Config& c, Name, Form) {
  return c.truth ? Text(boolean_text(*c.truth.*member)) : Text();
}

template <auto member>
Outcome read_flag(Config& c, Name, const Value& value, const Field&) {
  return read_boolean(value, c.truth_or_new().*member);
}

constexpr std::string_view legal_indices = "\"all\", or a list of different integers from 0 on";
constexpr double most_index = 1048576;

constexpr std::array predictor_choices = [] {
  std::array<Choice, truth::predictors.size()> choices;
  for (std::size_t i = 0; i < choices.size(); ++i) choices[i] = {truth::predictors[i].name};
  return choices;
}();

constexpr std::array truth_rows{
    Field{.key = "truth.end_to_end",
          .kind = Kind::list,
          .standard = "[\"one-low\", \"one-high\"]",
          .meaning = "ground truth of every score: the run in which it alone is low, the run in "
                     "which it alone is recomputed; without [truth] neither",
          .scope = Scope::experiment,
          .choices = choices_of<one_change_names>,
          .range = "a list of one-low, one-high, or []",
          .read =
              [](Config& c, Name, const Value& v, const Field& f) {
                return read_list(v, true, c.truth_or_new().end_to_end,
                                 [&](const Value& item, OneChange& x) {
                                   return read_choice(item, f, one_change_names, x);
                                 });
              },
          .write =
              [](const Config& c, Name, Form) {
                if (!c.truth) return Text();
                return Text(list_text(c.truth->end_to_end, [](OneChange x) {
                  return *choice_text(one_change_names, x);
                }));
              }},
    Field{.key = "truth.local",
          .kind = Kind::boolean,
          .standard = "true",
          .meaning = "the same for each row alone, without the rest of the network",
          .scope = Scope::experiment,
          .read = read_flag<&TruthConfig::local>,
          .write = write_boolean<&TruthConfig::local>},
    Field{.key = "truth.subset_limit",
          .kind = Kind::integer,
          .standard = "20",
          .meaning = "rows with at most so many scores: all their subsets are evaluated",
          .scope = Scope::experiment,
          .min = 0,
          .max = 24,
          .read = [](Config& c, Name, const Value& v,
                     const Field& f) { return read_integer(v, f, c.truth_or_new().subset_limit); },
          .write =
              [](const Config& c, Name, Form) {
                return c.truth ? Text(std::to_string(c.truth->subset_limit)) : Text();
              }},
    Field{.key = "truth.tolerance",
          .kind = Kind::list,
          .standard = "[0.01]",
          .meaning = "relative errors for which the smallest set of a row is sought",
          .scope = Scope::experiment,
          .min = 0,
          .max = 1e300,
          .range = "a list of one or more different numbers >= 0",
          .read = [](Config& c, Name, const Value& v,
                     const Field& f) { return read_numbers(v, f, c.truth_or_new().tolerance); },
          .write = write_numbers<&TruthConfig::tolerance>},
    Field{.key = "truth.row_sets",
          .kind = Kind::integer,
          .standard = "0",
          .meaning = "n: in each head all sets of the row with n scores are evaluated to the end "
                     "of the network; 0: none",
          .scope = Scope::experiment,
          .min = 0,
          .max = 12,
          .read = [](Config& c, Name, const Value& v,
                     const Field& f) { return read_integer(v, f, c.truth_or_new().row_sets); },
          .write = [](const Config& c, Name, Form form) -> Text {
            if (!c.truth || (form == Form::identity && c.truth->row_sets == 0)) return std::nullopt;
            return std::to_string(c.truth->row_sets);
          }},
    Field{.key = "truth.forward",
          .kind = Kind::integer,
          .standard = "0",
          .meaning = "steps of forward selection: from all scores low, each step recomputes the "
                     "score that lowers the KL most",
          .scope = Scope::experiment,
          .min = 0,
          .max = 4096,
          .read = [](Config& c, Name, const Value& v,
                     const Field& f) { return read_integer(v, f, c.truth_or_new().forward); },
          .write = [](const Config& c, Name, Form form) -> Text {
            if (!c.truth || (form == Form::identity && c.truth->forward == 0)) return std::nullopt;
            return std::to_string(c.truth->forward);
          }},
    Field{.key = "truth.layers",
          .kind = Kind::list,
          .standard = "\"all\"",
          .meaning = "layers that are evaluated",
          .scope = Scope::experiment,
          .min = 0,
          .max = most_index,
          .range = legal_indices,
          .read = read_which<&TruthConfig::layers>,
          .write = write_which<&TruthConfig::layers>},
    Field{.key = "truth.heads",
          .kind = Kind::list,
          .standard = "\"all\"",
          .meaning = "heads that are evaluated",
          .scope = Scope::experiment,
          .min = 0,
          .max = most_index,
          .range = legal_indices,
          .read = read_which<&TruthConfig::heads>,
          .write = write_which<&TruthConfig::heads>},
    Field{.key = "truth.queries",
          .kind = Kind::list,
          .standard = "\"all\"",
          .meaning = "queries (token positions) whose rows are evaluated",
          .scope = Scope::experiment,
          .min = 0,
          .max = most_index,
          .range = legal_indices,
          .read = read_which<&TruthConfig::queries>,
          .write = write_which<&TruthConfig::queries>},
    Field{.key = "truth.sample",
          .kind = Kind::number,
          .standard = "absent",
          .meaning = "share of these rows, drawn by `seed`; each row is evaluated whole or not",
          .scope = Scope::experiment,
          .min = 0,
          .max = 1,
          .read = [](Config& c, Name, const Value& v,
                     const Field& f) { return read_number(v, f, c.truth_or_new().sample); },
          .write =
              [](const Config& c, Name, Form) {
                return c.truth && c.truth->sample ? Text(toml_number(*c.truth->sample)) : Text();
              }},
    Field{.key = "truth.rules",
          .kind = Kind::list,
          .standard = "[\"lamp\", \"largest-logit\"]",
          .meaning = "rules that are ranked against the truth",
          .scope = Scope::experiment,
          .choices = predictor_choices,
          .range = "a list of different rules, or []",
          .read =
              [](Config& c, Name, const Value& v, const Field& f) {
                return read_list(
                    v, true, c.truth_or_new().rules,
                    [&](const Value& item, std::string& x) { return read_name(item, f, x); });
              },
          .write =
              [](const Config& c, Name, Form) {
                if (!c.truth) return Text();
                return Text(list_text(c.truth->rules, toml_string));
              }},
    Field{.key = "truth.budgets",
          .kind = Kind::list,
          .standard = "[0.01, 0.034, 0.05, 0.1, 0.15, 0.343]",
          .meaning = "shares of all evaluated scores at which rules are compared",
          .scope = Scope::experiment,
          .min = 0,
          .max = 1,
          .range = "a list of one or more different numbers from 0 to 1",
          .read = [](Config& c, Name, const Value& v,
                     const Field& f) { return read_numbers(v, f, c.truth_or_new().budgets); },
          .write = write_numbers<&TruthConfig::budgets>},
    Field{.key = "truth.coarse",
          .kind = Kind::boolean,
          .standard = "true",
          .meaning = "also each head, each site of each layer, and each layer, alone",
          .scope = Scope::experiment,
          .read = read_flag<&TruthConfig::coarse>,
          .write = write_boolean<&TruthConfig::coarse>},
};

}  // namespace

std::span<const Field> truth_fields() { return truth_rows; }

}  // namespace lamp::experiments
