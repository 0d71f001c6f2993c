// Shape of a GPT-2, as its config.json says.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/index.hpp"
#include "core/base/names.hpp"
#include "core/base/result.hpp"

namespace lamp {

enum class Activation : std::uint8_t { gelu_new, gelu };  // tanh form, erf form

/// As in config.json.
inline constexpr std::array<NamedValue<Activation>, 2> activation_names{
    {{"gelu", Activation::gelu}, {"gelu_new", Activation::gelu_new}}};
static_assert(names_all(activation_names));

struct ModelConfig {
  std::size_t vocab_size = 0, n_positions = 0, n_embd = 0, n_layer = 0, n_head = 0;
  std::size_t n_inner = 0;  // 4 n_embd unless config.json says otherwise
  double layer_norm_epsilon = 1e-5;
  Activation activation = Activation::gelu_new;
  bool tied = true;                    // logits use wte
  std::optional<TokenId> end_of_text;  // eos_token_id

  [[nodiscard]] std::size_t d_head() const { return n_embd / n_head; }
  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

constexpr std::string_view activation_name(Activation activation) {
  return name_in(activation_names, activation);
}
constexpr std::optional<Activation> parse_activation(std::string_view name) {
  return value_in(activation_names, name);
}

/// What the config means, on one line: equal texts, equal models. For content digests.
std::string canonical_text(const ModelConfig& config);

/// Reads and validates config.json (model_type gpt2; known activation; shapes positive and
/// consistent; scaling options that GPT-2 never used, such as scale_attn_by_inverse_layer_idx, are
/// refused by name). Keys that do not change the function (dropout, initialisation, generation, ..)
/// are ignored; a key given twice is an error.
Result<ModelConfig> read_model_config(const std::filesystem::path& file);

}  // namespace lamp
