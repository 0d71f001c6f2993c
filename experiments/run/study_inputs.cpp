#include "experiments/run/study_inputs.hpp"

#include <fstream>
#include <sstream>

#include "core/base/whole_number.hpp"

namespace lamp::experiments {
namespace {

constexpr std::string_view head = "# inputs:";

}  // namespace

std::string inputs_comment(const Inputs& inputs, std::int64_t read_at,
                           const std::optional<PythonVersions>& python) {
  std::string line(head);
  for (const ModelInputs& model : inputs.models) {
    line += " model " + to_hex(model.content) + " activation " +
            std::string(activation_name(model.activation));
    if (model.reference) line += " reference " + to_hex(*model.reference);
  }
  line += " tokenizer " + to_hex(inputs.tokenizer);
  for (const Digest& text : inputs.texts) line += " text " + to_hex(text);
  for (const Digest& rule : inputs.rules) line += " rule " + to_hex(rule);
  if (python) line += " python " + python->python + " numpy " + python->numpy;
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
    if (key == "semantics" && (inputs.semantics = whole_number<int>(value))) continue;
    if (key == "read" && (inputs.read_at = whole_number<std::int64_t>(value))) continue;
    if (key == "python" || key == "numpy") {
      if (!inputs.python) inputs.python.emplace();
      (key == "python" ? inputs.python->python : inputs.python->numpy) = value;
      continue;
    }
    const std::optional<Digest> digest = digest_from_hex(value);
    if (!digest) return std::nullopt;
    if (key == "model") inputs.models.push_back({.content = *digest});
    if (key == "reference" && !inputs.models.empty()) inputs.models.back().reference = *digest;
    if (key == "tokenizer") inputs.tokenizer = *digest;
    if (key == "text") inputs.texts.push_back(*digest);
    if (key == "rule") inputs.rules.push_back(*digest);
  }
  return inputs.models.empty() ? std::nullopt : std::optional(inputs);
}

}  // namespace lamp::experiments
