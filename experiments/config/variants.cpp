#include "experiments/config/variants.hpp"

#include <algorithm>

#include "core/base/contract.hpp"
#include "experiments/config/equal_cells.hpp"
#include "experiments/config/grid.hpp"
#include "experiments/config/kinds.hpp"
#include "experiments/config/own_rules.hpp"

namespace lamp::experiments {
const GridAxis* find_axis(const Config& config, std::string_view key) {
  const auto axis = std::find_if(config.grid.begin(), config.grid.end(),
                                 [&](const GridAxis& a) { return a.key == key; });
  return axis == config.grid.end() ? nullptr : &*axis;
}

std::vector<std::filesystem::path> model_paths(const Config& config) {
  const GridAxis* axis = find_axis(config, model_key);
  if (axis == nullptr) return {config.model_path};
  std::vector<std::filesystem::path> paths;
  for (const Coordinate& value : axis->values) paths.emplace_back(std::get<std::string>(value));
  return paths;
}

std::string model_name(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder.lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

Coordinate label_of(std::string_view key, const Coordinate& value) {
  if (key == model_key) return model_name(std::get<std::string>(value));
  const std::optional<OwnRuleName> rule = own_rule_of_axis(key, value);
  return rule ? own_rule_label(*rule) : value;
}

Variant variant_of(const Config& config, std::span<const std::size_t> index) {
  expects(index.size() == config.grid.size(), "variant_of: one coordinate an axis");
  Variant variant{.shuffle = config.tokens.shuffle};
  std::uint32_t seed = config.seed;
  for (std::size_t a = 0; a < index.size(); ++a) {
    const GridAxis& axis = config.grid[a];
    if (axis.key == model_key) variant.model = index[a];
    if (axis.key == shuffle_key) variant.shuffle = std::get<bool>(axis.values[index[a]]);
    if (axis.key == seed_key)
      seed = static_cast<std::uint32_t>(std::get<std::int64_t>(axis.values[index[a]]));
  }
  if (variant.shuffle || is_drawn(config, config.reference)) variant.seed = seed;
  return variant;
}

std::vector<Variant> variants_of(const Config& config) {
  Config alone = config;  // no other axis tells variants apart
  std::erase_if(alone.grid, [](const GridAxis& axis) {
    return axis.key != model_key && axis.key != shuffle_key && axis.key != seed_key;
  });
  std::vector<Variant> variants;
  std::vector<std::size_t> index(alone.grid.size(), 0);
  do {
    const Variant variant = variant_of(alone, index);
    if (std::find(variants.begin(), variants.end(), variant) == variants.end())
      variants.push_back(variant);
  } while (next_cell(alone, index));
  return variants;
}

std::vector<std::string> variant_axes(const Config& config) {
  const std::vector<Variant> variants = variants_of(config);
  const bool drawn = std::any_of(variants.begin(), variants.end(),
                                 [](const Variant& v) { return v.seed.has_value(); });
  std::vector<std::string> axes;
  for (const GridAxis& axis : config.grid)
    if (axis.key == model_key || axis.key == shuffle_key || (axis.key == seed_key && drawn))
      axes.push_back(axis.key);
  return axes;
}

std::string variant_name(const Config& config, const Variant& variant) {
  std::vector<std::string> parts;
  for (const std::string& key : variant_axes(config)) {
    if (key == model_key)
      parts.push_back(key + " = " + model_name(model_paths(config)[variant.model]));
    else if (key == shuffle_key)
      parts.push_back(key + " = " + boolean_text(variant.shuffle));
    else if (variant.seed)
      parts.push_back(key + " = " + std::to_string(*variant.seed));
  }
  return join(parts);
}

std::string variant_identity(const Config& config, const Variant& variant,
                             std::span<const Digest> models) {
  std::string text;
  if (find_axis(config, model_key) != nullptr)
    text += "model=" + to_hex(models[variant.model]) + '\n';
  if (find_axis(config, shuffle_key) != nullptr)
    text += "shuffle=" + boolean_text(variant.shuffle) + '\n';
  if (find_axis(config, seed_key) != nullptr && variant.seed)
    text += "seed=" + std::to_string(*variant.seed) + '\n';
  return text;
}

}  // namespace lamp::experiments
