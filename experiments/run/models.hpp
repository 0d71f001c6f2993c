// The models of a run: one, or those of an axis of the grid, which must go together.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "core/base/result.hpp"
#include "core/model/weights.hpp"
#include "experiments/config/config.hpp"

namespace lamp::experiments {

/// read_model, or read_model_without_weights.
using ModelReader = Result<Model>(const std::filesystem::path& folder);

/// All of model_paths(config), in that order. Those of an axis have equal shapes, so that results
/// have one, and where tokens are of a text equal tokenizers, so that they read the same tokens;
/// else bad_data, which names what differs and what to do instead.
Result<std::vector<Model>> read_models(const Config& config, ModelReader& read);

/// reference.model, where the config names one. Passes of both are compared component by component
/// and operation by operation: it may have other weights than the models of the run, and that is
/// all; else bad_data, which names what differs.
Result<std::optional<Model>> read_reference_model(const Config& config,
                                                  const std::vector<Model>& models,
                                                  ModelReader& read);

}  // namespace lamp::experiments
