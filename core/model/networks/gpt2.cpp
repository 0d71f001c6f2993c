// GPT-2 (Radford et al., "Language models are unsupervised multitask learners", 2019) as
// Hugging Face publishes it: its sites, tensors and config.
#include <array>
#include <utility>

#include "core/model/files/config_reader.hpp"
#include "core/model/files/text.hpp"
#include "core/model/networks/network.hpp"

namespace lamp {
namespace {

constexpr Extent vocabulary = [](const ModelConfig& c) { return c.vocab_size; };
constexpr Extent positions = [](const ModelConfig& c) { return c.n_positions; };
constexpr Extent width = [](const ModelConfig& c) { return c.n_embd; };
constexpr Extent triple_width = [](const ModelConfig& c) { return 3 * c.n_embd; };
constexpr Extent inner_width = [](const ModelConfig& c) { return c.n_inner; };
constexpr Extent head_width = [](const ModelConfig& c) { return c.d_head(); };

/// qkv holds the queries of all heads, then the keys, then the values.
constexpr Columns third(const ModelConfig& c, std::size_t which, Head head) {
  return {which * c.n_embd + head.value * c.d_head(), c.d_head()};
}
constexpr Input queries{Site::qkv,
                        [](const ModelConfig& c, Head head) { return third(c, 0, head); }, false};
constexpr Input keys{Site::qkv, [](const ModelConfig& c, Head head) { return third(c, 1, head); },
                     true};
constexpr Input values{Site::qkv, [](const ModelConfig& c, Head head) { return third(c, 2, head); },
                       true};

/// A linear layer; its weight is (in, out), what the checkpoints call Conv1D.
constexpr SiteRow linear(Site site, Site of, Extent in, Extent out, std::string_view weight,
                         std::string_view bias, std::optional<Composition> f = std::nullopt) {
  return {site, Operation::linear, out, {Input{of}}, {{{weight, in, out}, {bias, out}}}, f};
}
constexpr SiteRow layer_norm(Site site, std::string_view gamma, std::string_view beta) {
  return {site, Operation::layer_norm, width, {residual_stream}, {{{gamma, width}, {beta, width}}}};
}
constexpr SiteRow residual(Site site, Site added) {
  return {site, Operation::residual, width, {residual_stream, Input{added}}};
}

constexpr std::array<SiteRow, 15> table{{
    {Site::embed,
     Operation::embed,
     width,
     {},
     {{{"wte.weight", vocabulary, width}, {"wpe.weight", positions, width}}}},
    layer_norm(Site::ln_1, "ln_1.weight", "ln_1.bias"),
    linear(Site::qkv, Site::ln_1, width, triple_width, "attn.c_attn.weight", "attn.c_attn.bias"),
    {Site::scores, Operation::scores, nullptr, {queries, keys}, {}, Composition::softmax},
    {Site::softmax, Operation::softmax, nullptr, {Input{Site::scores}}},
    {Site::values,
     Operation::values,
     head_width,
     {Input{Site::softmax}, values},
     {},
     Composition::linear_map},
    linear(Site::attn_proj, Site::values, width, width, "attn.c_proj.weight", "attn.c_proj.bias",
           Composition::norm),
    residual(Site::resid_1, Site::attn_proj),
    layer_norm(Site::ln_2, "ln_2.weight", "ln_2.bias"),
    linear(Site::mlp_fc, Site::ln_2, width, inner_width, "mlp.c_fc.weight", "mlp.c_fc.bias",
           Composition::activation),
    {Site::gelu, Operation::activation, inner_width, {Input{Site::mlp_fc}}},
    linear(Site::mlp_proj, Site::gelu, inner_width, width, "mlp.c_proj.weight", "mlp.c_proj.bias",
           Composition::norm),
    residual(Site::resid_2, Site::mlp_proj),
    layer_norm(Site::ln_f, "ln_f.weight", "ln_f.bias"),
    {Site::logits,
     Operation::logits,
     vocabulary,
     {Input{Site::ln_f}},
     {{{"lm_head.weight", vocabulary, width}}},
     Composition::final_softmax},
}};
static_assert(is_network(table));

/// The causal masks, which published files carry.
constexpr std::array<std::string_view, 2> masks{"attn.bias", "attn.masked_bias"};

/// Options of Hugging Face's GPT-2 that give another function than GPT-2's: each may only have this
/// value.
constexpr std::array<std::pair<std::string_view, bool>, 2> fixed_options{
    {{"scale_attn_weights", true}, {"add_cross_attention", false}}};

/// Names of one function each, as Hugging Face's table of activations has them.
constexpr std::array<NamedValue<Activation>, 9> activation_functions{
    {{"gelu_new", Activation::gelu_new},
     {"gelu_pytorch_tanh", Activation::gelu_new},
     {"gelu_fast", Activation::gelu_new},
     {"gelu_accurate", Activation::gelu_new},
     {"gelu", Activation::gelu},
     {"gelu_python", Activation::gelu},
     {"silu", Activation::silu},
     {"swish", Activation::silu},
     {"relu", Activation::relu}}};
constexpr std::uint64_t largest_id = 0xFFFFFFFF;

/// What a file leaves out is as in GPT2Config of transformers: the smallest GPT-2.
ModelConfig read(ConfigReader& reader) {
  ModelConfig config;
  config.vocab_size = reader.shape("vocab_size", 50257);
  config.n_positions = reader.shape("n_positions", 1024, "max_position_embeddings");
  config.n_embd = reader.shape("n_embd", 768, "hidden_size");
  config.n_layer = reader.shape("n_layer", 12, "num_hidden_layers");
  config.n_head = reader.shape("n_head", 12, "num_attention_heads");
  config.n_inner = reader.has_value("n_inner") ? reader.shape("n_inner") : 4 * config.n_embd;
  if (config.n_embd % config.n_head != 0)
    reader.complain("n_embd", "is " + std::to_string(config.n_embd),
                    "a multiple of n_head, " + std::to_string(config.n_head));
  config.layer_norm_epsilon = reader.fraction("layer_norm_epsilon", config.layer_norm_epsilon);

  constexpr std::string_view known =
      "\"gelu_new\", \"gelu_pytorch_tanh\", \"gelu_fast\", \"gelu_accurate\" (tanh form), "
      "\"gelu\", "
      "\"gelu_python\" (erf form), \"silu\", \"swish\" or \"relu\"";
  const std::string name =
      reader.string("activation_function", activation_name(config.activation), known);
  if (const auto activation = value_in(activation_functions, name))
    config.activation = *activation;
  else
    reader.complain("activation_function", "is " + in_quotes(name), known);

  config.scores_by_layer = reader.boolean("scale_attn_by_inverse_layer_idx", false);
  config.tied = reader.boolean("tie_word_embeddings", true);
  if (reader.has_value("eos_token_id"))
    if (const std::uint64_t id = reader.integer("eos_token_id", 0, largest_id);
        id < config.vocab_size)  // published files of smaller vocabularies still say 50256
      config.end_of_text = static_cast<TokenId>(id);
  for (const auto& [key, value] : fixed_options) {
    if (reader.boolean(key, value) != value)
      reader.complain(key, value ? "is false" : "is true",
                      std::string(value ? "true" : "false") + ": GPT-2 has no such option");
  }
  return config;
}

}  // namespace

extern const Network gpt2;
const Network gpt2{.model_type = "gpt2",
                   .title = "GPT-2",
                   .sites = table,
                   .read = read,
                   .prefix = "transformer.",
                   .layer_prefix = "h.",
                   .ignored = masks};

}  // namespace lamp
