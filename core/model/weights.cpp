#include "core/model/weights.hpp"

#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/base/contract.hpp"
#include "core/model/files/checkpoint.hpp"

namespace lamp {
namespace {

std::vector<double> widened(const Matrix<float>& x) { return {x.flat().begin(), x.flat().end()}; }

/// Sets config.tied to what the file holds: the token vectors' bits once more are a tied head.
Result<SiteWeights> read_head(ModelConfig& config, const Checkpoint& checkpoint, const SiteRow& row,
                              const Matrix<float>& tokens) {
  config.tied = true;
  if (!checkpoint.has(row, row.tensors[0], 0))
    return SiteWeights{Linear{PackedMatrix(tokens.view().transposed()), {}}};
  const Result<Matrix<float>> head = checkpoint.read(row, row.tensors[0], 0);
  if (!head) return head.error();
  config.tied =
      head->flat().size() == tokens.flat().size() &&
      std::memcmp(head->flat().data(), tokens.flat().data(), tokens.flat().size_bytes()) == 0;
  return SiteWeights{Linear{PackedMatrix(head->view().transposed()), {}}};
}

PackedMatrix packed(const SiteRow& row, const Matrix<float>& weight) {
  return PackedMatrix(row.output_first ? weight.view().transposed() : weight.view());
}

/// The weights of a site in a layer, from its two tensors.
Result<SiteWeights> read_pair(const Checkpoint& checkpoint, const SiteRow& row, std::size_t layer) {
  Result<Matrix<float>> first = checkpoint.read(row, row.tensors[0], layer);
  if (!first) return first.error();
  if (!checkpoint.has(row, row.tensors[1], layer)) {
    if (row.operation == Operation::layer_norm) {
      std::vector<double> gamma = widened(*first), beta(gamma.size(), 0.0);
      return SiteWeights{LayerNormWeights{std::move(gamma), std::move(beta)}};
    }
    return SiteWeights{Linear{packed(row, *first), {}}};
  }
  Result<Matrix<float>> second = checkpoint.read(row, row.tensors[1], layer);
  if (!second) return second.error();
  if (row.operation == Operation::embed)
    return SiteWeights{EmbeddingWeights{*std::move(first), *std::move(second)}};
  if (row.operation == Operation::layer_norm)
    return SiteWeights{LayerNormWeights{widened(*first), widened(*second)}};
  return SiteWeights{Linear{packed(row, *first), widened(*second)}};
}

Result<SiteWeights> read_site(ModelConfig& config, const Checkpoint& checkpoint, const SiteRow& row,
                              std::size_t layer, const Weights& before) {
  switch (row.operation) {
    case Operation::embed:
    case Operation::layer_norm:
    case Operation::linear:
      return read_pair(checkpoint, row, layer);
    case Operation::embed_tokens: {
      Result<Matrix<float>> tokens = checkpoint.read(row, row.tensors[0], layer);
      if (!tokens) return tokens.error();
      return SiteWeights{EmbeddingWeights{*std::move(tokens), {}}};
    }
    case Operation::rms_norm: {
      const Result<Matrix<float>> gamma = checkpoint.read(row, row.tensors[0], layer);
      if (!gamma) return gamma.error();
      return SiteWeights{RmsNormWeights{widened(*gamma)}};
    }
    case Operation::logits:
      return read_head(config, checkpoint, row,
                       before.at<EmbeddingWeights>(config.network->sites.front().site).tokens);
    case Operation::scores:
    case Operation::softmax:
    case Operation::values:
    case Operation::residual:
    case Operation::activation:
    case Operation::rope:
    case Operation::product:
      return SiteWeights{};
  }
  contract_violated("read_site: a known operation");
}

/// Layer by layer, as the file has them.
Result<Weights> read_weights(ModelConfig& config, const Checkpoint& checkpoint) {
  Weights weights;
  for (const SiteRow& row : config.network->sites)
    weights.reserve(row.site, layers_of(config, row.site));
  for (std::span<const SiteRow> rest = config.network->sites; !rest.empty();) {
    const std::span<const SiteRow> part = same_grain(rest, &SiteInfo::per_layer);
    for (std::size_t layer = 0; layer < layers_of(config, part.front().site); ++layer)
      for (const SiteRow& row : part) {
        Result<SiteWeights> read = read_site(config, checkpoint, row, layer, weights);
        if (!read) return read.error();
        weights.add(row.site, *std::move(read));
      }
    rest = rest.subspan(part.size());
  }
  return weights;
}

/// The sites whose bias no layer has.
std::vector<Site> without_bias(const ModelConfig& config, const Checkpoint& checkpoint) {
  std::vector<Site> sites;
  for (const SiteRow& row : config.network->sites)
    if (tensors_of(row).size() == 2 && row.tensors[1].present == nullptr &&
        !checkpoint.has(row, row.tensors[1], 0))
      sites.push_back(row.site);
  return sites;
}

/// A folder whose config.json and header of model.safetensors agree.
struct ModelFiles {
  ModelConfig config;
  TensorFiles files;
  Checkpoint checkpoint;

  ModelFiles(const ModelConfig& of, TensorFiles opened)
      : config(of), files(std::move(opened)), checkpoint(config, files) {}  // refers to the two
};

Result<std::unique_ptr<ModelFiles>> open_model(const std::filesystem::path& folder) {
  std::error_code of_folder;
  const std::filesystem::file_status status = std::filesystem::status(folder, of_folder);
  if (std::filesystem::exists(status) && !std::filesystem::is_directory(status) &&
      folder.extension() != ".gguf") {
    return Error{ExitCode::bad_data, folder.string() +
                                         ": is not a folder; legal: a folder with config.json and "
                                         "model.safetensors, or a file .gguf"};
  }
  Result<TensorFiles> tensors = TensorFiles::open(folder);
  const bool refused = !tensors && tensors.error().code != ExitCode::missing_input;
  if (refused) return tensors.error();
  const GgufModel* gguf = tensors ? tensors->gguf() : nullptr;
  Result<ModelConfig> config = gguf != nullptr ? model_config_of(gguf->config(), gguf->path())
                                               : read_model_config(folder / "config.json");
  if (!config) return config.error();
  if (!tensors) return tensors.error();
  auto files = std::make_unique<ModelFiles>(*std::move(config), *std::move(tensors));
  if (const Result<void> checked = files->checkpoint.check(); !checked) return checked.error();
  return files;
}

}  // namespace

Result<Model> read_model(const std::filesystem::path& folder) {
  const Result<std::unique_ptr<ModelFiles>> opened = open_model(folder);
  if (!opened) return opened.error();
  const ModelFiles& files = **opened;
  Model model;
  model.config = files.config;
  Result<Weights> weights = read_weights(model.config, files.checkpoint);
  if (!weights) return weights.error();
  model.weights = *std::move(weights);
  model.tie_overruled = files.config.tied && !model.config.tied;
  model.without_bias = without_bias(model.config, files.checkpoint);
  Sha256 hash;
  hash.update(canonical_text(model.config) + "\n");
  if (const Result<void> done = files.files.hash(hash); !done) return done.error();
  if (const Result<void> done = files.files.unchanged(); !done) return done.error();
  model.content = hash.finish();
  return model;
}

Result<Model> read_model_without_weights(const std::filesystem::path& folder) {
  const Result<std::unique_ptr<ModelFiles>> opened = open_model(folder);
  if (!opened) return opened.error();
  const ModelFiles& files = **opened;
  const SiteRow& head = files.config.network->sites.back();
  Model model;
  model.config = files.config;
  model.without_bias = without_bias(model.config, files.checkpoint);
  model.config.tied = !files.checkpoint.has(head, head.tensors[0], 0);
  return model;
}

}  // namespace lamp
