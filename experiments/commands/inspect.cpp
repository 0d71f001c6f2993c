#include <iostream>
#include <nlohmann/json.hpp>

#include "core/model/tokenizer.hpp"
#include "core/model/weights.hpp"
#include "experiments/commands/commands.hpp"

namespace lamp::experiments {
namespace {

using Json = nlohmann::ordered_json;

/// Numbers in the weights; tied ones once.
std::size_t parameters(const ModelConfig& c) {
  const std::size_t block =
      4 * c.n_embd + (c.n_embd + 1) * 3 * c.n_embd + (c.n_embd + 1) * c.n_embd + (c.n_embd + 1) * c.n_inner + (c.n_inner + 1) * c.n_embd;
  return (c.vocab_size * (c.tied ? 1 : 2) + c.n_positions) * c.n_embd + c.n_layer * block + 2 * c.n_embd;
}

Result<Json> inspect_model(const std::filesystem::path& folder) {
  const Result<Model> model = read_model(folder);
  if (!model) return model.error();
  const ModelConfig& c = model->config;
  Json out{{"kind", "model"},
           {"vocab_size", c.vocab_size},
           {"n_positions", c.n_positions},
           {"n_embd", c.n_embd},
           {"n_layer", c.n_layer},
           {"n_head", c.n_head},
           {"n_inner", c.n_inner},
           {"layer_norm_epsilon", c.layer_norm_epsilon},
           {"activation", activation_name(c.activation)},
           {"tied", c.tied},
           {"end_of_text", nullptr},
           {"parameters", parameters(c)},
           {"content", to_hex(model->content)},
           {"tokenizer", nullptr}};
  if (c.end_of_text) out["end_of_text"] = *c.end_of_text;
  if (std::filesystem::exists(folder / "vocab.json")) {
    const Result<Tokenizer> tokenizer = Tokenizer::read(folder);
    if (!tokenizer) return tokenizer.error();
    out["tokenizer"] = {{"vocab_size", tokenizer->vocab_size()}, {"content", to_hex(tokenizer->content())}};
  }
  return out;
}

}  // namespace

int inspect_command(const InspectOptions& options) {
  std::error_code failure;
  const std::filesystem::file_status status = std::filesystem::status(options.path, failure);
  const std::string name = options.path.string();
  if (status.type() == std::filesystem::file_type::not_found)
    return report("inspect", {ExitCode::missing_input, name + ": no such file or folder"});
  if (failure)
    return report("inspect",
                  {failure == std::errc::permission_denied ? ExitCode::permission : ExitCode::io, name + ": " + failure.message()});
  if (!std::filesystem::is_directory(status))
    return report("inspect", {ExitCode::usage, name + ": inspecting files is not available yet in this version; legal: a model folder"});
  const Result<Json> found = inspect_model(options.path);
  if (!found) return report("inspect", found.error());
  if (options.json) {
    std::cout << found->dump() << '\n';
    return 0;
  }
  for (const auto& [key, value] : found->items())
    std::cout << key << ": " << (value.is_string() ? value.get<std::string>() : value.dump()) << '\n';
  return 0;
}

}  // namespace lamp::experiments
