// Shape of a model, as its config.json says.
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

struct Network;  // core/model/networks/network.hpp

enum class Activation : std::uint8_t { gelu_new, gelu, silu, relu };  // GELU: tanh form, erf form

/// As in config.json.
inline constexpr std::array<NamedValue<Activation>, 4> activation_names{
    {{"gelu", Activation::gelu},
     {"gelu_new", Activation::gelu_new},
     {"silu", Activation::silu},
     {"relu", Activation::relu}}};
static_assert(names_all(activation_names));

/// The frequencies of rotary positions (Su et al., "RoFormer", 2021): f_j = theta^(-2j/d), real
/// numbers, or with `llama3` those that Llama 3.1 makes of them.
struct Rope {
  /// Wavelengths l = 2 pi / f below positions/high stay, above positions/low they grow by `factor`;
  /// between them f becomes (1 - s) f/factor + s f, s = (positions/l - low) / (high - low).
  struct Llama3 {
    double factor = 1.0, low = 1.0, high = 4.0, positions = 8192.0;
    friend bool operator==(const Llama3&, const Llama3&) = default;
  };
  double theta = 10000.0;
  std::optional<Llama3> scaling{};
  friend bool operator==(const Rope&, const Rope&) = default;
};

/// What networks of Llama's kind have besides.
struct LlamaShape {
  std::size_t n_kv_head = 0;  // groups of keys and values; divides n_head
  std::size_t d_head = 0;     // even
  Rope rope{};
  bool qkv_bias = false, output_bias = false, mlp_bias = false;
  bool window = false;  // n_positions is the width of a sliding window, below it has no effect
  friend bool operator==(const LlamaShape&, const LlamaShape&) = default;
};

/// What config.json says, read by the file of the network; each network uses the fields that it has
/// a key for.
struct ModelConfig {
  const Network* network = nullptr;  // one of networks()
  std::size_t vocab_size = 0, n_positions = 0, n_embd = 0, n_layer = 0, n_head = 0;
  std::size_t n_inner = 0;           // 4 n_embd unless config.json says otherwise
  double layer_norm_epsilon = 1e-5;  // of RMSNorm too
  Activation activation = Activation::gelu_new;
  bool tied = true;                    // logits use the token vectors
  std::optional<TokenId> end_of_text;  // eos_token_id
  std::optional<LlamaShape> llama{};
  bool scores_by_layer = false;  // scale_attn_by_inverse_layer_idx

  [[nodiscard]] constexpr std::size_t d_head() const {
    return llama ? llama->d_head : n_embd / n_head;
  }
  [[nodiscard]] constexpr std::size_t n_kv_head() const {
    return llama ? llama->n_kv_head : n_head;
  }
  /// What the scores of a layer are divided by after sqrt d_head.
  [[nodiscard]] constexpr double score_divisor(Layer layer) const {
    return scores_by_layer ? static_cast<double>(layer.value + 1) : 1.0;
  }
  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

constexpr std::string_view activation_name(Activation activation) {
  return name_in(activation_names, activation);
}
constexpr std::optional<Activation> parse_activation(std::string_view name) {
  return value_in(activation_names, name);
}

/// An integer of a config. The upper limits keep every product of two of them within 64 bits;
/// those of n_layer and n_head are what the counter of a stochastic rounding holds (9 bits of head,
/// 16 of layer).
struct ShapeKey {
  std::string_view name;
  std::size_t ModelConfig::*member;
  std::uint64_t most;
};
inline constexpr std::array<ShapeKey, 6> shape_keys{
    {{"vocab_size", &ModelConfig::vocab_size, 1U << 24},
     {"n_positions", &ModelConfig::n_positions, 1U << 20},
     {"n_embd", &ModelConfig::n_embd, 1U << 20},
     {"n_layer", &ModelConfig::n_layer, 1U << 16},
     {"n_head", &ModelConfig::n_head, 1U << 9},
     {"n_inner", &ModelConfig::n_inner, 1U << 24}}};

/// What the config means, on one line: equal texts, equal models. For content digests.
std::string canonical_text(const ModelConfig& config);

/// Reads and validates config.json: model_type names the network, whose file reads the rest. Keys
/// that do not change the function (dropout, initialisation, generation, ..) are ignored; a key
/// given twice is an error.
Result<ModelConfig> read_model_config(const std::filesystem::path& file);
/// The same of its text; `name` is what messages call it.
Result<ModelConfig> model_config_of(std::string_view text, const std::string& name);

}  // namespace lamp
