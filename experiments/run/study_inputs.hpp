// What study.toml says of the files that its run read, so that cells can be told apart without
// opening the model.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "experiments/config/grid.hpp"

namespace lamp::experiments {

/// What a study.toml says of its files, and of who read them.
struct RecordedInputs : Inputs {
  std::optional<int> semantics{};  // of the lamp that did
};

/// One line of comment: "# inputs: model HEX activation NAME [reference HEX] .. tokenizer HEX text
/// HEX .. semantics N"
std::string inputs_comment(const Inputs& inputs);

/// What the second line of study.toml says, which older versions wrote without semantics;
/// nothing where it says something else, or names no model. Trust it where the experiment's
/// identity agrees.
std::optional<RecordedInputs> read_inputs(const std::filesystem::path& study);

}  // namespace lamp::experiments
