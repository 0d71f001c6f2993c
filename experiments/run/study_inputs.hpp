// What study.toml says of the files that its run read, so that cells can be told apart without
// opening the model.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "experiments/config/grid.hpp"

namespace lamp::experiments {

/// One line of comment: "# inputs: model HEX activation NAME [reference HEX] .. tokenizer HEX text
/// HEX .."
std::string inputs_comment(const Inputs& inputs);

/// What the second line of study.toml says; nothing where it says something else. Trust it where
/// the experiment's identity agrees.
std::optional<Inputs> read_inputs(const std::filesystem::path& study);

}  // namespace lamp::experiments
