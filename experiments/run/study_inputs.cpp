#include "experiments/run/study_inputs.hpp"

#include <charconv>
#include <fstream>
#include <sstream>

namespace lamp::experiments {
namespace {

constexpr std::string_view head = "# inputs:";

std::optional<Digest> digest_of(std::string_view hex) {
  constexpr std::string_view digits = "0123456789abcdef";
  Digest digest{};
  if (hex.size() != 2 * digest.size()) return std::nullopt;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    const std::size_t high = digits.find(hex[2 * i]), low = digits.find(hex[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    digest[i] = static_cast<std::uint8_t>(16 * high + low);
  }
  return digest;
}

/// A number that is the whole text.
template <class Integer>
std::optional<Integer> number_in(std::string_view text) {
  Integer number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

std::string inputs_comment(const Inputs& inputs, std::int64_t read_at) {
  std::string line(head);
  for (const ModelInputs& model : inputs.models) {
    line += " model " + to_hex(model.content) + " activation " +
            std::string(activation_name(model.activation));
    if (model.reference) line += " reference " + to_hex(*model.reference);
  }
  line += " tokenizer " + to_hex(inputs.tokenizer);
  for (const Digest& text : inputs.texts) line += " text " + to_hex(text);
  return line + " semantics " + std::to_string(semantics) + " read " + std::to_string(read_at) +
         "\n";
}

std::optional<RecordedInputs> read_inputs(const std::filesystem::path& study) {
  std::ifstream in(study);
  std::string line;
  if (!std::getline(in, line) || !std::getline(in, line) || !line.starts_with(head))
    return std::nullopt;
  RecordedInputs inputs;
  std::istringstream words(line.substr(head.size()));
  for (std::string key, value; words >> key >> value;) {
    if (key == "activation") {
      const std::optional<Activation> activation = parse_activation(value);
      if (!activation || inputs.models.empty()) return std::nullopt;
      inputs.models.back().activation = *activation;
      continue;
    }
    if (key == "semantics" && (inputs.semantics = number_in<int>(value))) continue;
    if (key == "read" && (inputs.read_at = number_in<std::int64_t>(value))) continue;
    const std::optional<Digest> digest = digest_of(value);
    if (!digest) return std::nullopt;
    if (key == "model") inputs.models.push_back({.content = *digest});
    if (key == "reference" && !inputs.models.empty()) inputs.models.back().reference = *digest;
    if (key == "tokenizer") inputs.tokenizer = *digest;
    if (key == "text") inputs.texts.push_back(*digest);
  }
  return inputs.models.empty() ? std::nullopt : std::optional(inputs);
}

}  // namespace lamp::experiments
