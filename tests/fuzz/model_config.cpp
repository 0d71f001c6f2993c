// config.json: core/model/files/config and the files of networks.
#include "core/model/files/config.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/model/files/strict_json.hpp"
#include "core/model/networks/network.hpp"
#include "tests/fuzz/drivers/json_changes.hpp"
#include "tests/fuzz/harness.hpp"

namespace lamp::fuzz {
namespace {

void check(const ModelConfig& config) {
  law(config.network != nullptr, "an accepted config names its network");
  for (const ShapeKey& key : shape_keys)
    law(config.*key.member >= 1 && config.*key.member <= key.most, "shapes are within limits");
  law(config.n_head * config.d_head() >= 1 && config.n_kv_head() >= 1 &&
          config.n_head % config.n_kv_head() == 0,
      "heads share keys evenly");
  law(config.llama || config.n_head * config.d_head() == config.n_embd,
      "heads are the whole width");
  law(std::isfinite(config.layer_norm_epsilon) && config.layer_norm_epsilon >= 0,
      "epsilon is a number");
  law(!config.end_of_text || *config.end_of_text < config.vocab_size, "end of text is a token");
  if (!config.llama) return;
  law(config.d_head() % 2 == 0, "rotary positions take pairs");
  law(std::isfinite(config.llama->rope.theta) && config.llama->rope.theta > 0, "theta is a number");
}

bool run(std::string_view bytes) {
  const Result<ModelConfig> config = model_config_of(bytes, "config.json");
  if (!config) return law_of_message(config.error().message), false;
  check(*config);
  const Result<nlohmann::json> document = parse_strict_json(bytes, "config.json");
  law(document.ok(), "an accepted config is JSON");
  const Result<ModelConfig> again = model_config_of(document->dump(2), "config.json");
  law(again.ok() && *again == *config && canonical_text(*again) == canonical_text(*config),
      "the order of keys and blanks mean nothing");
  return true;
}

const Listed listed({.name = "model_config", .run = run, .mutate = mutated_json});

}  // namespace
}  // namespace lamp::fuzz
