#include "experiments/run/models.hpp"

#include <string>
#include <utility>

#include "core/model/files/tokenizer.hpp"
#include "core/model/networks/network.hpp"
#include "experiments/config/value.hpp"
#include "experiments/config/variants.hpp"

namespace lamp::experiments {
namespace {

/// "n_layer 2", "n_layer 4": the first in which two models cannot be in one result; else empty.
std::pair<std::string, std::string> different_shapes(const ModelConfig& a, const ModelConfig& b) {
  if (a.network != b.network)
    return {"the network " + std::string(a.network->title),
            "the network " + std::string(b.network->title)};
  for (const ShapeKey& key : shape_keys)
    if (a.*key.member != b.*key.member) {
      const std::string name = std::string(key.name) + ' ';
      return {name + std::to_string(a.*key.member), name + std::to_string(b.*key.member)};
    }
  return {};
}

Error do_not_go_together(const Config& config, const std::string& what) {
  const std::string key = "grid." + std::string(model_key);
  const auto place = config.places.at.find(key);
  return {ExitCode::bad_data,
          (place == config.places.at.end() ? "" : place->second + ": ") + key + ": " + what +
              "; legal: models of equal shapes and vocabulary. Run each by itself and compare the "
              "results: bash notebooks/run 01 A/result.h5 --with B/result.h5"};
}

/// What a pass depends on besides its weights.
std::string constants_of(const Config& config, ModelConfig model) {
  model.activation = config.activation.value_or(model.activation);
  model.tied = true, model.end_of_text.reset();
  return canonical_text(model);
}

}  // namespace

Result<std::optional<Model>> read_reference_model(const Config& config,
                                                  const std::vector<Model>& models,
                                                  ModelReader& read) {
  if (config.reference_model.empty()) return std::optional<Model>();
  const std::string name = one_line(model_name(config.reference_model));
  const auto fail = [&](const std::string& what) {
    const auto place = config.places.at.find("reference.model");
    return Error{ExitCode::bad_data,
                 (place == config.places.at.end() ? "" : place->second + ": ") +
                     "reference.model: " + what +
                     "; legal: a model that differs from the run's in its weights alone"};
  };
  Result<Model> model = read(config.reference_model);
  if (!model) return model.error();
  const std::vector<std::filesystem::path> paths = model_paths(config);
  for (std::size_t i = 0; i < models.size(); ++i) {
    const std::string other_name = one_line(model_name(paths[i]));
    if (const auto [first, other] = different_shapes(model->config, models[i].config);
        !first.empty())
      return fail(name + " has " + first + ", " + other_name + " has " + other);
    const std::string first = constants_of(config, model->config),
                      other = constants_of(config, models[i].config);
    if (first != other)
      return fail(name + " is \"" + first + "\", " + other_name + " \"" + other + '"');
    if (config.tokens.from_ids) continue;
    const Result<Tokenizer> tokenizer = Tokenizer::read(config.reference_model);
    if (!tokenizer) return tokenizer.error();
    const Result<Tokenizer> others = Tokenizer::read(paths[i]);
    if (!others) return others.error();
    if (tokenizer->content() != others->content())
      return fail(name + " and " + other_name + " have different vocabularies");
  }
  return std::optional<Model>(*std::move(model));
}

Result<std::vector<Model>> read_models(const Config& config, ModelReader& read) {
  std::vector<Model> models;
  std::optional<Digest> vocabulary;
  const std::vector<std::filesystem::path> paths = model_paths(config);
  const auto name = [&](std::size_t i) { return one_line(model_name(paths[i])); };
  for (std::size_t i = 0; i < paths.size(); ++i) {
    Result<Model> model = read(paths[i]);
    if (!model) return model.error();
    models.push_back(*std::move(model));
    if (const auto [first, other] = different_shapes(models.front().config, models.back().config);
        !first.empty())
      return do_not_go_together(config,
                                name(0) + " has " + first + ", " + name(i) + " has " + other);
    if (paths.size() == 1 || config.tokens.from_ids) continue;
    const Result<Tokenizer> tokenizer = Tokenizer::read(paths[i]);
    if (!tokenizer) return tokenizer.error();
    if (vocabulary.value_or(tokenizer->content()) != tokenizer->content())
      return do_not_go_together(config,
                                name(0) + " and " + name(i) + " have different vocabularies");
    vocabulary = tokenizer->content();
  }
  return models;
}

}  // namespace lamp::experiments
