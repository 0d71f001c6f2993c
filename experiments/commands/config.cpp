#include <iostream>
#include <nlohmann/json.hpp>

#include "core/model/files/strict_json.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/config/fields.hpp"

namespace lamp::experiments {
namespace {

/// "arithmetic.*.mu" as people read it.
std::string shown_key(std::string_view key) {
  if (key.starts_with("arithmetic.") || key.starts_with("cost.")) return path_of(key, "NAME");
  if (key.starts_with("lamp.layer.")) return path_of(key, "N.SITE");
  if (key.starts_with("lamp.")) return path_of(key, "SITE");
  if (key.starts_with("grid.")) return path_of(key, "KEY");
  return path_of(key, "SITE");
}

}  // namespace

int config_command(bool json) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Field& field : fields()) {
    const std::string legal = legal_values(field);
    if (json) {
      list.push_back({{"key", shown_key(field.key)},
                      {"type", kind_name(field.kind)},
                      {"default", field.standard},
                      {"legal", legal},
                      {"meaning", field.meaning},
                      {"available", field.available}});
      continue;
    }
    std::cout << shown_key(field.key) << "\n    " << field.meaning << "\n    "
              << kind_name(field.kind) << "; default: " << field.standard;
    if (!legal.empty()) std::cout << "; legal: " << legal;
    std::cout << (field.available ? "\n" : "; not available yet\n");
  }
  if (json) std::cout << json_text(nlohmann::ordered_json{{"fields", list}}) << '\n';
  return 0;
}

}  // namespace lamp::experiments
