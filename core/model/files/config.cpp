#include "core/model/files/config.hpp"

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "core/model/files/config_reader.hpp"
#include "core/base/input_file.hpp"
#include "core/model/files/strict_json.hpp"
#include "core/model/files/text.hpp"
#include "core/model/networks/network.hpp"

namespace lamp {
namespace {

using nlohmann::json;

constexpr std::uint64_t largest_config = 1U << 20;

std::string hex_digits(double x) {
  std::array<char, 32> digits{};
  const auto end =
      std::to_chars(digits.data(), digits.data() + digits.size(), x, std::chars_format::hex).ptr;
  return {digits.data(), end};
}

/// The network that model_type names, or nothing and a complaint.
const Network* network_of(ConfigReader& reader) {
  std::string legal;
  for (const Network* network : networks())
    (legal += legal.empty() ? "" : ", ") += in_quotes(network->model_type);
  const std::string type = reader.string("model_type", "", legal);
  for (const Network* network : networks())
    if (network->model_type == type) return network;
  const bool experts = type.ends_with("_moe") || type == "mixtral";
  reader.complain("model_type",
                  !reader.has_value("model_type") ? "is missing"
                  : experts ? "is " + in_quotes(type) + ", a mixture of experts, which is not read"
                  : type == "gpt_bigcode"
                      ? "is " + in_quotes(type) + ", multi-query attention, which is not read"
                      : "is " + in_quotes(type),
                  legal);
  return nullptr;
}

}  // namespace

std::string canonical_text(const ModelConfig& config) {
  std::string text(config.network->model_type);
  const auto add = [&](std::string_view key, std::string_view value) {
    ((text += ' ') += key) += '=', text += value;
  };
  for (const ShapeKey& key : shape_keys) add(key.name, std::to_string(config.*key.member));
  add("layer_norm_epsilon", hex_digits(config.layer_norm_epsilon));
  add("activation_function", activation_name(config.activation));
  add("tied", config.tied ? "true" : "false");
  add("end_of_text", config.end_of_text ? std::to_string(*config.end_of_text) : "none");
  if (config.scores_by_layer) add("scale_attn_by_inverse_layer_idx", "true");
  if (!config.llama) return text;
  const LlamaShape& llama = *config.llama;
  add("n_kv_head", std::to_string(llama.n_kv_head));
  add("d_head", std::to_string(llama.d_head));
  add("rope_theta", hex_digits(llama.rope.theta));
  if (const std::optional<Rope::Llama3>& scaling = llama.rope.scaling)
    for (const auto& [key, value] :
         {std::pair{"rope_factor", scaling->factor}, std::pair{"rope_low", scaling->low},
          std::pair{"rope_high", scaling->high}, std::pair{"rope_positions", scaling->positions}})
      add(key, hex_digits(value));
  return text;
}

Result<ModelConfig> read_model_config(const std::filesystem::path& file) {
  const Result<std::string> text = read_text_file(file, largest_config);
  if (!text) return text.error();
  return model_config_of(*text, file.string());
}

Result<ModelConfig> model_config_of(std::string_view text, const std::string& name) {
  const Result<json> document = parse_strict_json(text, name);
  if (!document) return document.error();
  if (!document->is_object())
    return Error{ExitCode::bad_data, name + ": holds " + shown(*document) + "; legal: an object"};
  ConfigReader reader(*document, name);
  const Network* network = network_of(reader);
  ModelConfig config = network != nullptr ? network->read(reader) : ModelConfig{};
  config.network = network;
  if (!reader.complaint().empty()) return Error{ExitCode::bad_data, reader.complaint()};
  return config;
}

}  // namespace lamp
