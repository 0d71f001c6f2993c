#include "core/model/files/gguf_model.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "core/base/contract.hpp"
#include "core/model/files/strict_json.hpp"
#include "core/model/files/text.hpp"

namespace lamp {
namespace {

using nlohmann::json;

/// How the published tensor's elements lie in the file.
enum class Layout : std::uint8_t {
  as_is,
  transposed,  // (in, out) as (out, in)
  queries,     // the rows of a head that rotary positions rotate together, i and i + width/2, are
  keys         // neighbours, 2 i and 2 i + 1
};

/// A tensor's name before .weight or .bias, in the file and as published; within a layer where
/// per_layer.
struct TensorName {
  std::string_view in_file, published;
  bool per_layer = true;
  Layout layout = Layout::as_is;
};

/// A key of the metadata behind "ARCHITECTURE.", and of config.json.
struct ConfigKey {
  std::string_view in_file, published;
};

struct Architecture {
  std::string_view name;  // general.architecture, and model_type
  std::string_view layer_prefix;
  std::span<const ConfigKey> keys;  // all required
  std::span<const TensorName> tensors;
};

constexpr std::array<ConfigKey, 6> gpt2_keys{
    {{"context_length", "n_positions"},
     {"embedding_length", "n_embd"},
     {"block_count", "n_layer"},
     {"attention.head_count", "n_head"},
     {"feed_forward_length", "n_inner"},
     {"attention.layer_norm_epsilon", "layer_norm_epsilon"}}};
constexpr std::array<TensorName, 10> gpt2_tensors{
    {{"token_embd", "wte", false},
     {"position_embd", "wpe", false},
     {"output_norm", "ln_f", false},
     {"output", "lm_head", false},
     {"attn_norm", "ln_1"},
     {"attn_qkv", "attn.c_attn", true, Layout::transposed},
     {"attn_output", "attn.c_proj", true, Layout::transposed},
     {"ffn_norm", "ln_2"},
     {"ffn_up", "mlp.c_fc", true, Layout::transposed},
     {"ffn_down", "mlp.c_proj", true, Layout::transposed}}};

constexpr std::array<ConfigKey, 9> llama_keys{{{"context_length", "max_position_embeddings"},
                                               {"embedding_length", "hidden_size"},
                                               {"block_count", "num_hidden_layers"},
                                               {"attention.head_count", "num_attention_heads"},
                                               {"attention.head_count_kv", "num_key_value_heads"},
                                               {"feed_forward_length", "intermediate_size"},
                                               {"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
                                               {"rope.freq_base", "rope_theta"},
                                               {"rope.dimension_count", "head_dim"}}};
constexpr std::array<TensorName, 12> llama_tensors{
    {{"token_embd", "embed_tokens", false},
     {"output_norm", "norm", false},
     {"output", "lm_head", false},
     {"attn_norm", "input_layernorm"},
     {"attn_q", "self_attn.q_proj", true, Layout::queries},
     {"attn_k", "self_attn.k_proj", true, Layout::keys},
     {"attn_v", "self_attn.v_proj"},
     {"attn_output", "self_attn.o_proj"},
     {"ffn_norm", "post_attention_layernorm"},
     {"ffn_gate", "mlp.gate_proj"},
     {"ffn_up", "mlp.up_proj"},
     {"ffn_down", "mlp.down_proj"}}};

constexpr std::array<Architecture, 2> architectures{
    {{"gpt2", "h.", gpt2_keys, gpt2_tensors}, {"llama", "layers.", llama_keys, llama_tensors}}};

template <class T>
const T* find(const Gguf& gguf, std::string_view key) {
  const auto found = gguf.metadata().find(key);
  return found == gguf.metadata().end() ? nullptr : std::get_if<T>(&found->second);
}

Error bad(const Gguf& gguf, const std::string& what, const std::string& legal) {
  return {ExitCode::bad_data, gguf.path() + ": " + what + "; legal: " + legal};
}

/// A number of the metadata as config.json writes it; null where there is none.
json number(const Gguf& gguf, std::string_view key) {
  if (const auto* x = find<std::uint64_t>(gguf, key)) return *x;
  if (const auto* x = find<std::int64_t>(gguf, key)) return *x;
  const auto* x = find<double>(gguf, key);
  if (x == nullptr || !std::isfinite(*x)) return nullptr;
  const auto single = static_cast<float>(*x);
  if (static_cast<double>(single) != *x) return *x;
  std::array<char, 64> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), single).ptr;
  double shortest = 0.0;
  std::from_chars(digits.data(), end, shortest);
  return shortest;
}

/// What the file says that would be another function than ours.
std::optional<Error> unread(const Gguf& gguf, const Architecture& architecture) {
  const std::string prefix = std::string(architecture.name) + ".";
  if (const auto* type = find<std::string>(gguf, prefix + "rope.scaling.type");
      type != nullptr && *type != "none")
    return bad(gguf, prefix + "rope.scaling.type is " + in_quotes(*type), "none");
  if (gguf.tensors().contains("rope_freqs.weight"))
    return bad(gguf, "scales the frequencies of rotary positions (tensor \"rope_freqs.weight\")",
               "the folder that the file was made of: model.safetensors and config.json");
  if (const json heads = number(gguf, prefix + "attention.head_count"),
      width = number(gguf, prefix + "embedding_length"),
      rotated = number(gguf, prefix + "rope.dimension_count");
      !rotated.is_null() && heads.is_number_unsigned() && width.is_number_unsigned()) {
    const json length = number(gguf, prefix + "attention.key_length");
    const json head = length.is_null() && heads != 0 && architecture.name == "llama"
                          ? json(width.get<std::uint64_t>() / heads.get<std::uint64_t>())
                          : length;
    if (!head.is_null() && rotated != head)
      return bad(gguf, prefix + "rope.dimension_count is " + json_text(rotated),
                 json_text(head) + ", the width of a head");
  }
  return std::nullopt;
}

/// The row of a table for a tensor's name, which becomes the published one; null: there is none.
const TensorName* find_name(const Architecture& architecture, std::string_view name,
                            std::string& published) {
  std::string layer;
  if (name.starts_with("blk.")) {
    name.remove_prefix(4);
    const std::size_t dot = std::min(name.find('.'), name.size());
    layer = std::string(architecture.layer_prefix) + std::string(name.substr(0, dot)) + ".";
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  const std::size_t dot = std::min(name.rfind('.'), name.size());
  const std::string_view ending = name.substr(dot);
  if (ending != ".weight" && ending != ".bias") return nullptr;
  for (const TensorName& known : architecture.tensors)
    if (known.in_file == name.substr(0, dot) && known.per_layer == !layer.empty()) {
      published = layer + std::string(known.published) + std::string(ending);
      return &known;
    }
  return nullptr;
}

/// A tensor of the file as it is published.
struct Place {
  std::string published;
  Tensor shown;
  bool transposed = false;
  std::size_t head_rows = 0;
};

Result<Place> place_of(const Gguf& gguf, const Architecture& architecture, const json& config,
                       const std::string& name, const GgufTensor& tensor) {
  Place place{{}, {TensorType::blocks, std::string(tensor.type->name), tensor.shape, {}}};
  const TensorName* known = find_name(architecture, name, place.published);
  if (known == nullptr)
    return bad(gguf, "tensor " + in_quotes(name) + " is not one of this architecture's",
               "those of a " + std::string(architecture.name));
  if (known->layout == Layout::transposed) {
    std::reverse(place.shown.shape.begin(), place.shown.shape.end());
    place.transposed = tensor.shape.size() == 2;
  }
  if (known->layout == Layout::queries || known->layout == Layout::keys) {
    const json& of =
        config.at(known->layout == Layout::queries ? "num_attention_heads" : "num_key_value_heads");
    const std::size_t heads = of.is_number_unsigned() ? of.get<std::size_t>() : 0,
                      rows = tensor.shape.front();
    if (heads == 0 || rows % heads != 0 || rows / heads % 2 != 0)
      return bad(gguf, "tensor " + in_quotes(name) + " has " + std::to_string(rows) + " rows",
                 "an even number for each of " + json_text(of) + " heads");
    place.head_rows = rows / heads;
  }
  return place;
}

/// The row of the published tensor that is row `row` of the file, where heads have `width` rows.
std::size_t unrotated(std::size_t row, std::size_t width) {
  const std::size_t head = row / width, within = row % width;
  return head * width + within % 2 * (width / 2) + within / 2;
}

}  // namespace

Result<GgufModel> GgufModel::open(const std::filesystem::path& file) {
  Result<Gguf> gguf = Gguf::open(file);
  if (!gguf) return gguf.error();
  GgufModel model(*std::move(gguf));
  const Gguf& from = model.gguf_;
  std::string names;
  for (const Architecture& a : architectures) (names += names.empty() ? "" : ", ") += a.name;
  const auto* name = find<std::string>(from, "general.architecture");
  const auto architecture =
      std::find_if(architectures.begin(), architectures.end(),
                   [&](const Architecture& a) { return name != nullptr && a.name == *name; });
  if (architecture == architectures.end())
    return bad(from, "general.architecture is " + (name ? in_quotes(*name) : "missing"), names);
  if (const std::optional<Error> error = unread(from, *architecture)) return *error;

  json config{{"model_type", architecture->name}};
  for (const ConfigKey& key : architecture->keys) {
    const std::string in_file = std::string(architecture->name) + "." + std::string(key.in_file);
    const json value = number(from, in_file);
    if (value.is_null()) return bad(from, in_file + " is missing", "a number");
    config[std::string(key.published)] = value;
  }
  for (const auto& [in_file, tensor] : from.tensors()) {
    Result<Place> place = place_of(from, *architecture, config, in_file, tensor);
    if (!place) return place.error();
    const auto kept = model.tensors_.emplace(place->published, std::move(place->shown)).first;
    model.sources_.emplace(&kept->second, Source{&tensor, place->transposed, place->head_rows});
  }
  const auto vectors = from.tensors().find("token_embd.weight");
  if (vectors == from.tensors().end())
    return bad(from, "has no tensor \"token_embd.weight\"", "a whole model");
  config["vocab_size"] = vectors->second.shape.front();
  config["tie_word_embeddings"] = !from.tensors().contains("output.weight");
  if (architecture->name == "llama")
    config["attention_bias"] = from.tensors().contains("blk.0.attn_q.bias");
  if (const json id = number(from, "tokenizer.ggml.eos_token_id"); !id.is_null())
    config["eos_token_id"] = id;
  model.config_ = json_text(config);
  return model;
}

Result<void> GgufModel::read(const Tensor& tensor, std::span<float> out) const {
  const auto found = sources_.find(&tensor);
  expects(found != sources_.end() && out.size() == tensor.size(), "GgufModel: a tensor of it");
  const auto& [source, transposed, head_rows] = found->second;
  if (!transposed && head_rows == 0) return gguf_.read(*source, 0, out);
  const bool vector = source->shape.size() == 1;  // a bias, whose elements are its rows
  const std::size_t rows = source->shape.front(), cols = source->size() / rows;
  std::vector<float> values(vector ? rows : cols);
  for (std::size_t row = 0; row < rows; ++row) {
    if (row == 0 || !vector)
      if (Result<void> done = gguf_.read(*source, row * cols, values); !done) return done;
    if (transposed)
      for (std::size_t j = 0; j < cols; ++j) out[j * rows + row] = values[j];
    else
      std::copy_n(&values[vector ? row : 0], cols, &out[unrotated(row, head_rows) * cols]);
  }
  return {};
}

Result<ModelConfig> read_config_of_model(const std::filesystem::path& path) {
  const Result<std::optional<std::filesystem::path>> file = find_gguf(path);
  if (!file) return file.error();
  if (!*file) return read_model_config(path / "config.json");
  const Result<GgufModel> model = GgufModel::open(**file);
  if (!model) return model.error();
  return model_config_of(model->config(), model->path());
}

namespace {

/// How words are cut, by tokenizer.ggml.pre: what tokenizer.json of the families has. Each with
/// ByteLevel behind it.
json pre_tokenizer(std::string_view name) {
  const auto byte_level = [](bool cuts) {
    return json{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", cuts}};
  };
  const auto sequence = [](const json& first, const json& second) {
    return json{{"type", "Sequence"}, {"pretokenizers", json::array({first, second})}};
  };
  const auto split = [](std::string_view digits) {
    const std::string expression = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)" +
                                   std::string(digits) +
                                   R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
    return json{{"type", "Split"},
                {"pattern", {{"Regex", expression}}},
                {"behavior", "Isolated"},
                {"invert", false}};
  };
  if (name == "gpt-2") return byte_level(true);
  if (name == "smollm")
    return sequence({{"type", "Digits"}, {"individual_digits", true}}, byte_level(true));
  if (name == "llama-bpe") return sequence(split(R"(\p{N}{1,3})"), byte_level(false));
  if (name == "qwen2") return sequence(split(R"(\p{N})"), byte_level(false));
  return nullptr;
}

}  // namespace

Result<json> gguf_tokenizer(const Gguf& gguf) {
  const auto* tokens = find<std::vector<std::string>>(gguf, "tokenizer.ggml.tokens");
  if (tokens == nullptr) return json(nullptr);
  const auto text = [&](const char* key) {
    const auto* value = find<std::string>(gguf, key);
    return value == nullptr ? std::string() : *value;
  };
  const std::string model = text("tokenizer.ggml.model"), pre = text("tokenizer.ggml.pre");
  if (model != "gpt2")
    return bad(gguf, "tokenizer.ggml.model is " + in_quotes(model),
               "gpt2 (byte-level BPE), or a folder with tokenizer.json beside the GGUF");
  const json cut = pre_tokenizer(pre);
  if (cut.is_null())
    return bad(gguf, "tokenizer.ggml.pre is " + in_quotes(pre),
               "gpt-2, smollm, llama-bpe, qwen2, or a folder with tokenizer.json beside the GGUF");
  const auto* merges = find<std::vector<std::string>>(gguf, "tokenizer.ggml.merges");
  if (merges == nullptr) return bad(gguf, "has tokens but no tokenizer.ggml.merges", "both");

  constexpr std::int64_t normal = 1, control = 3, user_defined = 4, unused = 5;
  const auto* types = find<std::vector<std::int64_t>>(gguf, "tokenizer.ggml.token_type");
  if (types != nullptr && types->size() != tokens->size())
    return bad(gguf,
               "has " + std::to_string(tokens->size()) + " tokens and types of " +
                   std::to_string(types->size()),
               "tokenizer.ggml.token_type of each");
  json vocabulary = json::object(), added = json::array();
  for (std::size_t id = 0; id < tokens->size(); ++id) {
    const std::string& token = (*tokens)[id];
    if (!vocabulary.emplace(token, id).second)
      return bad(gguf, "the token " + in_quotes(token) + " is there twice", "once");
    const std::int64_t type = types == nullptr ? normal : (*types)[id];
    if (type == normal) continue;
    if (type != control && type != user_defined && type != unused)
      return bad(gguf, "the token " + in_quotes(token) + " is of type " + std::to_string(type),
                 "1 (text), 3 (control), 4 (user defined), 5 (unused)");
    added.push_back({{"id", id}, {"content", token}, {"special", type != user_defined}});
  }
  return json{{"added_tokens", added},
              {"normalizer", nullptr},
              {"pre_tokenizer", cut},
              {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", *merges}}}};
}

}  // namespace lamp
