#include "core/model/files/config.hpp"

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "core/model/files/input_file.hpp"
#include "core/model/files/strict_json.hpp"
#include "core/model/files/text.hpp"

namespace lamp {
namespace {

using nlohmann::json;

constexpr std::uint64_t largest_config = 1U << 20;

/// The integers of a GPT-2. The upper limits keep every product of two of them within 64 bits;
/// those of n_layer and n_head are what the counter of a stochastic rounding holds (9 bits of head,
/// 16 of layer).
struct IntegerKey {
  std::string_view name;
  std::size_t ModelConfig::*member;
  std::uint64_t most;
};
constexpr std::array<IntegerKey, 5> integer_keys{
    {{"vocab_size", &ModelConfig::vocab_size, 1U << 24},
     {"n_positions", &ModelConfig::n_positions, 1U << 20},
     {"n_embd", &ModelConfig::n_embd, 1U << 20},
     {"n_layer", &ModelConfig::n_layer, 1U << 16},
     {"n_head", &ModelConfig::n_head, 1U << 9}}};
constexpr std::uint64_t largest_n_inner = 1U << 24;

/// Options of Hugging Face's GPT-2 that give another function than GPT-2's: each may only have this
/// value.
constexpr std::array<std::pair<std::string_view, bool>, 3> fixed_options{
    {{"scale_attn_weights", true},
     {"scale_attn_by_inverse_layer_idx", false},
     {"add_cross_attention", false}}};

/// One config.json: every getter returns the value, or remembers the first complaint and returns
/// its fallback.
class Reader {
 public:
  Reader(const json& document, std::string file) : document_(document), file_(std::move(file)) {}

  std::uint64_t integer(std::string_view key, std::uint64_t least, std::uint64_t most) {
    const json* value = find(key);
    const std::string legal =
        "an integer from " + std::to_string(least) + " to " + std::to_string(most);
    if (value == nullptr) return complain(key, "is missing", legal), least;
    if (!value->is_number_unsigned() || value->get<std::uint64_t>() < least ||
        value->get<std::uint64_t>() > most)
      return complain(key, "is " + shown(*value), legal), least;
    return value->get<std::uint64_t>();
  }

  bool boolean(std::string_view key, bool fallback) {
    const json* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_boolean())
      return complain(key, "is " + shown(*value), "true or false"), fallback;
    return value->get<bool>();
  }

  double fraction(std::string_view key, double fallback) {
    const json* value = find(key);
    if (value == nullptr) return fallback;
    const double number = value->is_number() ? value->get<double>() : 0.0;
    if (!(number > 0.0 && number <= 1.0))
      return complain(key, "is " + shown(*value), "a number above 0, at most 1"), fallback;
    return number;
  }

  std::string string(std::string_view key, std::string_view fallback, std::string_view legal) {
    const json* value = find(key);
    if (value == nullptr) return std::string(fallback);
    if (!value->is_string())
      return complain(key, "is " + shown(*value), legal), std::string(fallback);
    return value->get<std::string>();
  }

  [[nodiscard]] const json* find(std::string_view key) const {
    const auto found = document_.find(key);
    return found == document_.end() ? nullptr : &*found;
  }
  [[nodiscard]] bool has_value(std::string_view key) const {
    return find(key) != nullptr && !find(key)->is_null();
  }

  void complain(std::string_view key, const std::string& what, std::string_view legal) {
    if (complaint_.empty())
      complaint_ = file_ + ": " + std::string(key) + " " + what + "; legal: " + std::string(legal);
  }
  static std::string shown(const json& value) {
    return value.is_string()       ? in_quotes(value.get_ref<const std::string&>())
           : value.is_structured() ? std::string(value.is_array() ? "an array" : "an object")
                                   : value.dump();
  }
  [[nodiscard]] const std::string& complaint() const { return complaint_; }

 private:
  const json& document_;
  std::string file_;
  std::string complaint_;
};

ModelConfig read_fields(Reader& reader) {
  ModelConfig config;
  if (const std::string type = reader.string("model_type", "", "\"gpt2\""); type != "gpt2")
    reader.complain("model_type",
                    reader.has_value("model_type") ? "is " + in_quotes(type) : "is missing",
                    "\"gpt2\"");
  for (const IntegerKey& key : integer_keys)
    config.*key.member = reader.integer(key.name, 1, key.most);
  config.n_inner = reader.has_value("n_inner") ? reader.integer("n_inner", 1, largest_n_inner)
                                               : 4 * config.n_embd;
  if (config.n_embd % config.n_head != 0) {
    reader.complain("n_embd", "is " + std::to_string(config.n_embd),
                    "a multiple of n_head, " + std::to_string(config.n_head));
  }
  config.layer_norm_epsilon = reader.fraction("layer_norm_epsilon", config.layer_norm_epsilon);

  constexpr std::string_view known = "\"gelu_new\" (tanh form) or \"gelu\" (erf form)";
  const std::string name =
      reader.string("activation_function", activation_name(config.activation), known);
  if (const auto activation = parse_activation(name))
    config.activation = *activation;
  else
    reader.complain("activation_function", "is " + in_quotes(name), known);

  config.tied = reader.boolean("tie_word_embeddings", true);
  if (reader.has_value("eos_token_id"))
    config.end_of_text =
        static_cast<TokenId>(reader.integer("eos_token_id", 0, config.vocab_size - 1));
  for (const auto& [key, value] : fixed_options) {
    if (reader.boolean(key, value) != value)
      reader.complain(key, value ? "is false" : "is true",
                      std::string(value ? "true" : "false") + ": GPT-2 has no such option");
  }
  return config;
}

}  // namespace

std::string canonical_text(const ModelConfig& config) {
  std::string text = "gpt2";
  const auto add = [&](std::string_view key, std::string_view value) {
    ((text += ' ') += key) += '=', text += value;
  };
  for (const IntegerKey& key : integer_keys) add(key.name, std::to_string(config.*key.member));
  add("n_inner", std::to_string(config.n_inner));
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(),
                                 config.layer_norm_epsilon, std::chars_format::hex)
                       .ptr;
  add("layer_norm_epsilon",
      std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
  add("activation_function", activation_name(config.activation));
  add("tied", config.tied ? "true" : "false");
  add("end_of_text", config.end_of_text ? std::to_string(*config.end_of_text) : "none");
  return text;
}

Result<ModelConfig> read_model_config(const std::filesystem::path& file) {
  const Result<std::string> text = read_text_file(file, largest_config);
  if (!text) return text.error();
  const Result<json> document = parse_strict_json(*text, file.string());
  if (!document) return document.error();
  if (!document->is_object())
    return Error{ExitCode::bad_data,
                 file.string() + ": holds " + Reader::shown(*document) + "; legal: an object"};
  Reader reader(*document, file.string());
  ModelConfig config = read_fields(reader);
  if (!reader.complaint().empty()) return Error{ExitCode::bad_data, reader.complaint()};
  return config;
}

}  // namespace lamp
