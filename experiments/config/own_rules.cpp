#include "experiments/config/own_rules.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "experiments/config/fields.hpp"

namespace lamp::experiments {
namespace {

constexpr std::string_view rule_key = "lamp.*.rule";

bool is_identifier(std::string_view text) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !text.empty() && is_letter(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

std::string in_form(const std::string& file, const std::string& function) {
  return std::string(own_rule_prefix) + file + ':' + function;
}

template <class Item>
void add_new(std::vector<Item>& list, const Item& item) {
  if (std::find(list.begin(), list.end(), item) == list.end()) list.push_back(item);
}

void resolve(std::vector<GridAxis>& axes, const std::filesystem::path& folder) {
  for (GridAxis& axis : axes)
    for (Coordinate& value : axis.values)
      if (std::optional<OwnRuleName> rule = own_rule_of_axis(axis.key, value)) {
        rule->file = (folder / rule->file).lexically_normal();
        value = own_rule_text(*rule);
      }
}

}  // namespace

std::optional<OwnRuleName> parse_own_rule(std::string_view text) {
  if (!text.starts_with(own_rule_prefix)) return std::nullopt;
  const std::string_view rest = text.substr(own_rule_prefix.size());
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || !is_identifier(rest.substr(colon + 1)))
    return std::nullopt;
  return OwnRuleName{.file = rest.substr(0, colon),
                     .function = std::string(rest.substr(colon + 1))};
}

std::string own_rule_text(const OwnRuleName& rule) {
  return in_form(rule.file.string(), rule.function);
}

std::string own_rule_label(const OwnRuleName& rule) {
  return in_form(rule.file.filename().string(), rule.function);
}

std::optional<OwnRuleName> own_rule_of_axis(std::string_view key, const Coordinate& value) {
  const std::string* text = std::get_if<std::string>(&value);
  if (text == nullptr) return std::nullopt;
  const FieldMatch match = find_field(key);
  return match.field != nullptr && match.field->key == rule_key ? parse_own_rule(*text)
                                                                : std::nullopt;
}

void resolve_own_rules(Config& config, const std::filesystem::path& folder) {
  for (SelectionConfig& s : config.selections)
    if (s.own) s.own->file = (folder / s.own->file).lexically_normal();
  resolve(config.grid, folder), resolve(config.record_where, folder);
  if (config.stop) resolve(config.stop->baseline, folder);
}

std::optional<Problem> check_own_rules(const Config& config) {
  for (const GridAxis& axis : config.grid) {
    std::set<std::string> labels;
    for (const Coordinate& value : axis.values)
      if (const std::optional<OwnRuleName> rule = own_rule_of_axis(axis.key, value);
          rule && !labels.insert(own_rule_label(*rule)).second)
        return Problem{.key = "grid." + axis.key,
                       .message = "two rules are named " + toml_string(own_rule_label(*rule)),
                       .legal = "files or functions with different names"};
  }
  return std::nullopt;
}

std::vector<OwnRuleName> own_rules_of(const Config& config) {
  std::vector<OwnRuleName> rules;
  for (const SelectionConfig& s : config.selections)
    if (s.own && !config.has_axis(path_of(rule_key, info(s.site).name))) add_new(rules, *s.own);
  for (const GridAxis& axis : config.grid)
    for (const Coordinate& value : axis.values)
      if (const std::optional<OwnRuleName> rule = own_rule_of_axis(axis.key, value))
        add_new(rules, *rule);
  return rules;
}

std::vector<std::filesystem::path> own_rule_files(const Config& config) {
  std::vector<std::filesystem::path> files;
  for (const OwnRuleName& rule : own_rules_of(config)) add_new(files, rule.file);
  return files;
}

Config with_rule_contents(const Config& config, std::span<const Digest> contents) {
  Config known = config;
  const std::vector<std::filesystem::path> files = own_rule_files(config);
  for (std::size_t i = 0; i < std::min(files.size(), contents.size()); ++i)
    known.rule_contents.of[files[i]] = contents[i];
  return known;
}

}  // namespace lamp::experiments
