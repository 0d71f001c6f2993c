// Finding keys: paths and names, nearest known ones, and the keys that a config holds values of.
#include <algorithm>
#include <array>
#include <charconv>

#include "experiments/config/fields.hpp"
#include "experiments/config/kinds.hpp"

namespace lamp::experiments {
namespace {

std::vector<std::string> instances(const Field& field, const Config& config) {
  std::vector<std::string> names;
  if (field.key.starts_with("arithmetic.*"))
    for (const NamedArithmetic& a : config.arithmetics) names.push_back(a.name);
  else if (field.key.starts_with("lamp.*"))
    for (const SelectionConfig& s : config.selections) names.emplace_back(info(s.site).name);
  else if (field.key == "plan.*")
    for (const PlanEntry& entry : config.plan) names.push_back(site_path_name(entry.path));
  else if (field.key == "store.*")
    for (const StoreEntry& entry : config.store.sites) names.push_back(site_path_name(entry.path));
  else if (field.key == "grid.*")
    for (const GridAxis& axis : config.grid) names.push_back(axis.key);
  else
    names.emplace_back();
  return names;
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
    if (after.empty() || name.find('.') == std::string_view::npos)
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
  if (match.field->key.starts_with("lamp.*")) {
    const std::vector<std::string> names = site_names(), selectable = selectable_names();
    if (!parse_site(match.name))
      return Problem{.key = {},
                     .message = "unknown site " + toml_string(match.name),
                     .legal = join(selectable),
                     .suggestion = nearest(match.name, names)};
    if (std::find(selectable.begin(), selectable.end(), match.name) == selectable.end())
      return Problem{.key = {},
                     .message = "selection at " + toml_string(match.name) +
                                " is not available yet in this version",
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
    } else if (field.key != "grid.*") {
      if (parts.size() >= 2) candidates.push_back(path_of(field.key, parts[1]));
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
  const auto index = [](const std::string& digits) -> std::optional<std::size_t> {
    std::size_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || end != digits.data() + digits.size() || value > 65535 ||
        std::to_string(value) != digits)
      return std::nullopt;
    return value;
  };
  SitePath read;
  std::size_t at = 0;
  if (parts[0] == "layer" && parts.size() >= 3) {
    const std::optional<std::size_t> layer = index(parts[1]);
    if (!layer) return fail(toml_string(parts[1]) + " is no layer");
    read.layer = Layer{*layer};
    at = 2;
    if (parts[2] == "head" && parts.size() >= 5) {
      const std::optional<std::size_t> head = index(parts[3]);
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
