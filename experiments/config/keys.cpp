// Finding keys: paths and names, nearest known ones, and the keys that a config holds values of.
#include <algorithm>
#include <array>
#include <charconv>

#include "experiments/config/fields.hpp"
#include "experiments/config/kinds.hpp"
#include "experiments/config/suggestions.hpp"

namespace lamp::experiments {
namespace {

constexpr std::string_view layer_prefix = "layer.";
constexpr std::string_view of_layers = "lamp.layer.*";  // names go on after "layer."

std::vector<std::string> instances(const Field& field, const Config& config) {
  std::vector<std::string> names;
  if (field.key.starts_with("arithmetic.*"))
    for (const NamedArithmetic& a : config.arithmetics) names.push_back(a.name);
  else if (field.key.starts_with("lamp.*"))
    for (const SelectionConfig& s : config.selections) names.emplace_back(info(s.site).name);
  else if (field.key.starts_with(of_layers))
    for (const BudgetEntry& entry : config.budgets)
      names.push_back(site_path_name(entry.path).substr(layer_prefix.size()));
  else if (field.key == "plan.*") {
    for (const PlanEntry& entry : config.plan) names.push_back(site_path_name(entry.path));
    for (const LayerEntry& entry : config.plan_layers) names.push_back(layer_name(entry.layer));
  } else if (field.key == "cost.*")
    for (const CostEntry& entry : config.costs) names.push_back(entry.arithmetic);
  else if (field.key == "store.*")
    for (const StoreEntry& entry : config.store.sites) names.push_back(site_path_name(entry.path));
  else if (field.key == "grid.*")
    for (const GridAxis& axis : config.grid) names.push_back(axis.key);
  else
    names.emplace_back();
  return names;
}

std::string join_path(std::span<const std::string> parts) {
  std::string path;
  for (const std::string& part : parts) path += (path.empty() ? "" : ".") + part;
  return path;
}

/// A number in canonical digits.
std::optional<std::size_t> parse_index(const std::string& digits) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size() || value > 65535 ||
      std::to_string(value) != digits)
    return std::nullopt;
  return value;
}

/// Names of a section's instances must be usable as one part of a dotted path.
bool legal_name(std::string_view name) {
  const auto legal = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  return !name.empty() && std::all_of(name.begin(), name.end(), legal);
}

}  // namespace

std::string path_of(std::string_view key, std::string_view name) {
  const std::size_t star = key.find('*');
  if (star == std::string_view::npos) return std::string(key);
  return std::string(key.substr(0, star)) + std::string(name) + std::string(key.substr(star + 1));
}

std::string FieldMatch::alternative() const {
  return field == nullptr ? std::string() : path_of(field->alternative, name);
}

FieldMatch find_field(std::string_view path) {
  for (const Field& field : fields()) {
    const std::size_t star = field.key.find('*');
    if (star == std::string_view::npos) {
      if (field.key == path) return {&field, {}};
      continue;
    }
    const std::string_view before = field.key.substr(0, star), after = field.key.substr(star + 1);
    if (path.size() <= before.size() + after.size() || !path.starts_with(before) ||
        !path.ends_with(after))
      continue;
    const std::string_view name =
        path.substr(before.size(), path.size() - before.size() - after.size());
    if (after.empty() || before.ends_with(layer_prefix) || name.find('.') == std::string_view::npos)
      return {&field, std::string(name)};
  }
  return {};
}

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::integer:
      return "integer";
    case Kind::number:
      return "number";
    case Kind::boolean:
      return "boolean";
    case Kind::text:
    case Kind::choice:
    case Kind::arithmetic:
      return "string";
    case Kind::format:
      return "format";
    case Kind::list:
      return "list";
    case Kind::other:
      return "table";
  }
  contract_violated("kind_name: a known kind");
}

std::string legal_values(const Field& field) {
  if (field.kind == Kind::choice && !field.range.empty())
    return join(available_names(field.choices)) + ", " + std::string(field.range);
  if (!field.range.empty()) return std::string(field.range);
  if (!field.choices.empty()) return join(available_names(field.choices));
  if (field.kind == Kind::boolean) return "true, false";
  if (field.kind == Kind::integer)
    return "an integer, " + std::to_string(static_cast<std::int64_t>(field.min)) + " to " +
           std::to_string(static_cast<std::int64_t>(field.max));
  if (field.kind == Kind::number)
    return "a number, " + toml_number(field.min) + " to " + toml_number(field.max);
  return {};
}

std::optional<Site> selecting_site(const FieldMatch& match) {
  if (!match.field->key.starts_with(of_layers)) return parse_site(match.name);
  SitePath path;
  const bool is_wrong = parse_site_path(std::string(layer_prefix) + match.name, path).has_value();
  return is_wrong || !path.layer ? std::nullopt : std::optional(path.site);
}

std::optional<Problem> check_field_name(const FieldMatch& match) {
  if (match.field->key.starts_with("arithmetic.*")) {
    if (!legal_name(match.name))
      return Problem{.key = {},
                     .message = toml_string(match.name) + " cannot name an arithmetic",
                     .legal = "letters, digits, _ and -"};
    if (match.name == "binary64" || match.name.starts_with("mpfr"))
      return Problem{.key = {},
                     .message = toml_string(match.name) +
                                " cannot name an arithmetic: the reference uses the name",
                     .legal = "another name"};
  }
  if (match.field->key.starts_with("lamp.")) {
    const std::optional<Site> site = selecting_site(match);
    if (match.field->key.starts_with(of_layers) && !site) {
      SitePath path;
      return parse_site_path(std::string(layer_prefix) + match.name, path);
    }
    const std::vector<std::string> names = site_names(), selectable = selectable_names();
    if (!site)
      return Problem{.key = {},
                     .message = "unknown site " + toml_string(match.name),
                     .legal = join(selectable),
                     .suggestion = nearest(match.name, names)};
    if (std::find(selectable.begin(), selectable.end(), info(*site).name) == selectable.end())
      return Problem{.key = {},
                     .message = "there is no selection at " + toml_string(info(*site).name),
                     .legal = join(selectable)};
  }
  return std::nullopt;
}

std::optional<Problem> read_field(Config& config, const FieldMatch& match, const Value& value) {
  const Field& field = *match.field;
  std::optional<Problem> problem = check_field_name(match);
  if (!problem && !field.available)
    problem =
        Problem{.key = {}, .message = "not available yet in this version", .legal = "leave it out"};
  if (!problem) problem = field.read(config, match.name, value, field);
  if (!problem || !problem->key.empty()) return problem;  // of a key within the value
  problem->key = path_of(field.key, match.name);
  if (problem->legal.empty()) problem->legal = legal_values(field);
  return problem;
}

Problem unknown_key(std::string_view path, const Config& config) {
  std::vector<std::string> candidates;
  const std::vector<std::string> parts = split_path(path);
  for (const Field& field : fields()) {
    if (field.key == "plan.*" || field.key == "store.*") {
      for (const SiteInfo& site : sites) candidates.push_back(path_of(field.key, site.name));
    } else if (field.key.find('*') == std::string_view::npos) {
      candidates.emplace_back(field.key);
    } else if (field.key.starts_with(of_layers)) {
      if (parts.size() >= 4)
        candidates.push_back(
            path_of(field.key, join_path(std::span(parts).subspan(2, parts.size() - 3))));
    } else if (field.key != "grid.*" && field.key != "cost.*") {
      if (parts.size() >= 3) candidates.push_back(path_of(field.key, parts[1]));
      for (const std::string& name : instances(field, config))
        candidates.push_back(path_of(field.key, name));
    }
  }
  return Problem{
      .key = std::string(path), .message = "unknown key", .suggestion = nearest(path, candidates)};
}

void for_each_field(
    const Config& config,
    const std::function<void(const Field&, const std::string&, const std::string&)>& visit) {
  const auto section = [](const Field& field) {
    return field.key.substr(
        0, field.key.find('*') == std::string_view::npos ? 0 : field.key.find('*'));
  };
  const std::span<const Field> list = fields();
  for (auto first = list.begin(); first != list.end();) {
    const auto last = std::find_if(
        first, list.end(), [&](const Field& field) { return section(field) != section(*first); });
    for (const std::string& name : instances(*first, config))
      for (auto field = first; field != last; ++field)
        visit(*field, path_of(field->key, name), name);
    first = last;
  }
}

std::string layer_name(Layer layer) {
  return std::string(layer_prefix) + std::to_string(layer.value);
}

std::optional<Layer> parse_layer(std::string_view name) {
  if (!name.starts_with(layer_prefix)) return std::nullopt;
  const std::optional<std::size_t> layer =
      parse_index(std::string(name.substr(layer_prefix.size())));
  return layer ? std::optional(Layer{*layer}) : std::nullopt;
}

std::string site_path_name(const SitePath& path) {
  std::string name;
  if (path.layer) name += "layer." + std::to_string(path.layer->value) + '.';
  if (path.head) name += "head." + std::to_string(path.head->value) + '.';
  return name + std::string(info(path.site).name);
}

std::optional<Problem> parse_site_path(std::string_view name, SitePath& path) {
  const std::vector<std::string> parts = split_path(name);
  constexpr std::string_view grammar = "SITE, layer.N.SITE or layer.N.head.M.SITE, counted from 0";
  const auto fail = [&](const std::string& message) {
    return Problem{.key = {}, .message = message, .legal = std::string(grammar)};
  };
  if (parts[0] == "layer" && parts.size() == 2) return fail("a layer and no site");
  SitePath read;
  std::size_t at = 0;
  if (parts[0] == "layer" && parts.size() >= 3) {
    const std::optional<std::size_t> layer = parse_index(parts[1]);
    if (!layer) return fail(toml_string(parts[1]) + " is no layer");
    read.layer = Layer{*layer};
    at = 2;
    if (parts[2] == "head" && parts.size() >= 5) {
      const std::optional<std::size_t> head = parse_index(parts[3]);
      if (!head) return fail(toml_string(parts[3]) + " is no head");
      read.head = Head{*head};
      at = 4;
    }
  }
  const std::optional<Site> site = parse_site(parts[at]);
  if (!site || at + 1 != parts.size()) {
    const std::vector<std::string> names = site_names();
    Problem problem{
        .key = {}, .message = "unknown site " + toml_string(parts[at]), .legal = join(names)};
    if (site) problem = fail(toml_string(name) + " goes on after its site");
    problem.suggestion = site ? std::string() : nearest(parts[at], names);
    return problem;
  }
  read.site = *site;
  if (read.layer && !info(*site).per_layer)
    return fail("site " + parts[at] + " is not part of a layer");
  if (read.head && !info(*site).per_head)
    return fail("site " + parts[at] + " is not part of a head");
  path = read;
  return std::nullopt;
}

}  // namespace lamp::experiments
