// Llama (Touvron et al., "LLaMA", 2023; "The Llama 3 Herd of Models", 2024) and the networks that
// are the same table with other keys in config.json: Qwen2 (biases at queries, keys and values) and
// Mistral (a sliding window). RMSNorm, rotary positions, groups of keys and values, SwiGLU.
#include <array>

#include "core/model/files/config_reader.hpp"
#include "core/model/files/text.hpp"
#include "core/model/networks/network.hpp"

namespace lamp {
namespace {

constexpr Extent vocabulary = [](const ModelConfig& c) { return c.vocab_size; };
constexpr Extent width = [](const ModelConfig& c) { return c.n_embd; };
constexpr Extent inner_width = [](const ModelConfig& c) { return c.n_inner; };
constexpr Extent head_width = [](const ModelConfig& c) { return c.d_head(); };
constexpr Extent width_of_heads = [](const ModelConfig& c) { return c.n_head * c.d_head(); };
constexpr Extent width_of_groups = [](const ModelConfig& c) { return c.n_kv_head() * c.d_head(); };

using Presence = bool (*)(const ModelConfig&);
constexpr Presence qkv_bias = [](const ModelConfig& c) { return c.llama->qkv_bias; };
constexpr Presence output_bias = [](const ModelConfig& c) { return c.llama->output_bias; };
constexpr Presence mlp_bias = [](const ModelConfig& c) { return c.llama->mlp_bias; };

/// The keys or values that a head reads: those of its group.
constexpr Columns of_group(const ModelConfig& c, Head head) {
  return {head.value * c.n_kv_head() / c.n_head * c.d_head(), c.d_head()};
}
constexpr Input queries{Site::rope_q,
                        [](const ModelConfig& c, Head head) {
                          return Columns{head.value * c.d_head(), c.d_head()};
                        },
                        false};
constexpr Input keys{Site::rope_k, of_group, true};
constexpr Input values{Site::v, of_group, true};

constexpr SiteRow rms_norm(Site site, std::string_view gamma) {
  return {site, Operation::rms_norm, width, {residual_stream}, {{{gamma, width}}}};
}
/// A linear layer; its weight is (out, in).
constexpr SiteRow linear(Site site, Site of, Extent in, Extent out, std::string_view weight,
                         std::string_view bias, Presence has_bias,
                         std::optional<Composition> f = std::nullopt) {
  return {site,
          Operation::linear,
          out,
          {Input{of}},
          {{{weight, out, in}, {bias, out, nullptr, has_bias}}},
          f,
          true};
}
constexpr SiteRow rotated(Site site, Site of, Extent of_all) {
  return {site, Operation::rope, of_all, {Input{of}}};
}
constexpr SiteRow residual(Site site, Site added) {
  return {site, Operation::residual, width, {residual_stream, Input{added}}};
}

constexpr std::array<SiteRow, 21> table{{
    {Site::embed,
     Operation::embed_tokens,
     width,
     {},
     {{{"embed_tokens.weight", vocabulary, width}}}},
    rms_norm(Site::ln_1, "input_layernorm.weight"),
    linear(Site::q, Site::ln_1, width, width_of_heads, "self_attn.q_proj.weight",
           "self_attn.q_proj.bias", qkv_bias),
    linear(Site::k, Site::ln_1, width, width_of_groups, "self_attn.k_proj.weight",
           "self_attn.k_proj.bias", qkv_bias),
    linear(Site::v, Site::ln_1, width, width_of_groups, "self_attn.v_proj.weight",
           "self_attn.v_proj.bias", qkv_bias),
    rotated(Site::rope_q, Site::q, width_of_heads),
    rotated(Site::rope_k, Site::k, width_of_groups),
    {Site::scores, Operation::scores, nullptr, {queries, keys}, {}, Composition::softmax},
    {Site::softmax, Operation::softmax, nullptr, {Input{Site::scores}}},
    {Site::values,
     Operation::values,
     head_width,
     {Input{Site::softmax}, values},
     {},
     Composition::linear_map},
    linear(Site::attn_proj, Site::values, width_of_heads, width, "self_attn.o_proj.weight",
           "self_attn.o_proj.bias", output_bias, Composition::norm),
    residual(Site::resid_1, Site::attn_proj),
    rms_norm(Site::ln_2, "post_attention_layernorm.weight"),
    linear(Site::gate, Site::ln_2, width, inner_width, "mlp.gate_proj.weight", "mlp.gate_proj.bias",
           mlp_bias, Composition::activation),
    linear(Site::up, Site::ln_2, width, inner_width, "mlp.up_proj.weight", "mlp.up_proj.bias",
           mlp_bias),
    {Site::silu, Operation::activation, inner_width, {Input{Site::gate}}},
    {Site::gated, Operation::product, inner_width, {Input{Site::silu}, Input{Site::up}}},
    linear(Site::mlp_proj, Site::gated, inner_width, width, "mlp.down_proj.weight",
           "mlp.down_proj.bias", mlp_bias, Composition::norm),
    residual(Site::resid_2, Site::mlp_proj),
    rms_norm(Site::ln_f, "norm.weight"),
    {Site::logits,
     Operation::logits,
     vocabulary,
     {Input{Site::ln_f}},
     {{{"lm_head.weight", vocabulary, width}}},
     Composition::final_softmax},
}};
static_assert(is_network(table));

/// Frequencies, which old files carry.
constexpr std::array<std::string_view, 1> frequencies{"self_attn.rotary_emb.inv_freq"};

constexpr double largest_theta = 1e12, largest_factor = 1e6, largest_positions = 1U << 24;

/// What rope_scaling (with rope_theta beside it) or rope_parameters (with everything in it) say.
void read_rope(ConfigReader& reader, Rope& rope) {
  rope.theta = reader.positive("rope_theta", 10000.0, largest_theta);
  for (const std::string_view key : {"rope_scaling", "rope_parameters"}) {
    std::optional<ConfigReader> inner = reader.object(key);
    if (!inner) continue;
    constexpr std::string_view legal = "\"default\" or \"llama3\"";
    const std::string_view type_key = inner->has_value("rope_type") ? "rope_type" : "type";
    const std::string type = inner->string(type_key, "default", legal);
    rope.theta = inner->positive("rope_theta", rope.theta, largest_theta);
    if (type == "llama3") {
      Rope::Llama3 s;
      for (const std::string_view number :
           {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"})
        if (!inner->has_value(number)) inner->complain(number, "is missing", "a number above 0");
      s.factor = inner->positive("factor", s.factor, largest_factor);
      s.low = inner->positive("low_freq_factor", s.low, largest_factor);
      s.high = inner->positive("high_freq_factor", s.high, largest_factor);
      s.positions =
          inner->positive("original_max_position_embeddings", s.positions, largest_positions);
      if (!(s.low < s.high))
        inner->complain("low_freq_factor", "is not below high_freq_factor", "a smaller number");
      rope.scaling = s;
    } else if (type != "default") {
      inner->complain(type_key, "is " + in_quotes(type), legal);
    }
    reader.adopt(*inner);
  }
}

/// What a file leaves out is as in the family's config class of transformers.
struct Defaults {
  std::size_t vocab_size, inner, kv_heads, positions;  // kv_heads 0: as many as heads
  enum class Biases { as_config_says, queries_keys_values, none } biases;
  enum class Window { none, with_switch, always } window;  // the switch: use_sliding_window
};

ModelConfig read(ConfigReader& reader, const Defaults& defaults) {
  ModelConfig config;
  LlamaShape& llama = config.llama.emplace();
  config.vocab_size = reader.shape_called("vocab_size", "vocab_size", defaults.vocab_size);
  config.n_positions =
      reader.shape_called("max_position_embeddings", "n_positions", defaults.positions);
  config.n_embd = reader.shape_called("hidden_size", "n_embd", 4096);
  config.n_layer = reader.shape_called("num_hidden_layers", "n_layer", 32);
  config.n_head = reader.shape_called("num_attention_heads", "n_head", 32);
  config.n_inner = reader.shape_called("intermediate_size", "n_inner", defaults.inner);
  llama.n_kv_head = reader.shape_called("num_key_value_heads", "n_head",
                                        defaults.kv_heads == 0 ? config.n_head : defaults.kv_heads);
  if (config.n_head % llama.n_kv_head != 0)
    reader.complain("num_key_value_heads", "is " + std::to_string(llama.n_kv_head),
                    "a divisor of num_attention_heads, " + std::to_string(config.n_head));
  if (!reader.has_value("head_dim") && config.n_embd % config.n_head != 0)
    reader.complain("hidden_size", "is " + std::to_string(config.n_embd),
                    "a multiple of num_attention_heads, " + std::to_string(config.n_head));
  llama.d_head = reader.shape_called("head_dim", "n_embd", config.n_embd / config.n_head);
  if (llama.d_head % 2 != 0 || llama.d_head == 0)
    reader.complain("head_dim", "is " + std::to_string(llama.d_head),
                    "an even number: rotary positions rotate pairs");
  config.layer_norm_epsilon = reader.fraction("rms_norm_eps", 1e-6);
  read_rope(reader, llama.rope);
  if (reader.has_value("partial_rotary_factor") &&
      reader.fraction("partial_rotary_factor", 1.0) != 1.0)
    reader.complain("partial_rotary_factor", "is below 1", "1: every component is rotated");

  constexpr std::string_view silu_names = "\"silu\" or \"swish\"";
  if (const std::string name = reader.string("hidden_act", "silu", silu_names);
      name != "silu" && name != "swish")
    reader.complain("hidden_act", "is " + in_quotes(name), silu_names);
  config.activation = Activation::silu;

  if (defaults.biases == Defaults::Biases::as_config_says) {
    llama.qkv_bias = llama.output_bias = reader.boolean("attention_bias", false);
    llama.mlp_bias = reader.boolean("mlp_bias", false);
  } else {
    llama.qkv_bias = defaults.biases == Defaults::Biases::queries_keys_values;
  }
  const bool windows = defaults.window == Defaults::Window::always ||
                       (defaults.window == Defaults::Window::with_switch &&
                        reader.boolean("use_sliding_window", false));
  if (windows && !reader.is_null("sliding_window"))
    if (const std::size_t window = reader.shape_called("sliding_window", "n_positions", 4096);
        window < config.n_positions) {
      config.n_positions = window;
      llama.window = true;
    }
  config.tied = reader.boolean("tie_word_embeddings", false);
  if (const auto id = reader.first_integer("eos_token_id", config.vocab_size))
    config.end_of_text = static_cast<TokenId>(*id);
  return config;
}

constexpr Network network_called(std::string_view model_type, std::string_view title,
                                 ModelConfig (*read_config)(ConfigReader&)) {
  return {.model_type = model_type,
          .title = title,
          .sites = table,
          .read = read_config,
          .prefix = "model.",
          .layer_prefix = "layers.",
          .ignored = frequencies};
}

}  // namespace

extern const Network llama, qwen2, mistral;
const Network llama = network_called("llama", "Llama", [](ConfigReader& reader) {
  return read(reader, {.vocab_size = 32000,
                       .inner = 11008,
                       .kv_heads = 0,
                       .positions = 2048,
                       .biases = Defaults::Biases::as_config_says,
                       .window = Defaults::Window::none});
});
const Network qwen2 = network_called("qwen2", "Qwen2", [](ConfigReader& reader) {
  return read(reader, {.vocab_size = 151936,
                       .inner = 22016,
                       .kv_heads = 0,
                       .positions = 32768,
                       .biases = Defaults::Biases::queries_keys_values,
                       .window = Defaults::Window::with_switch});
});
const Network mistral = network_called("mistral", "Mistral", [](ConfigReader& reader) {
  return read(reader, {.vocab_size = 32000,
                       .inner = 14336,
                       .kv_heads = 8,
                       .positions = 131072,
                       .biases = Defaults::Biases::none,
                       .window = Defaults::Window::always});
});

}  // namespace lamp
