// What study.toml says of the files that its run read, so that cells can be told apart without
// opening the model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "experiments/config/grid.hpp"

namespace lamp::experiments {

/// What evaluated own rules: "3.11.2", and its numpy.
struct PythonVersions {
  std::string python, numpy;
};

/// What a study.toml says of its files, and of who read them when.
struct RecordedInputs : Inputs {
  std::optional<int> semantics{};          // of the lamp that did
  std::optional<std::int64_t> read_at{};   // seconds since 1970, before the first was opened
  std::optional<PythonVersions> python{};  // that evaluated own rules
};

/// One line of comment: "# inputs: model HEX activation NAME [reference HEX] .. tokenizer HEX text
/// HEX .. [rule HEX .. python VERSION numpy VERSION] semantics N read SECONDS". `read_at`,
/// `python`: see RecordedInputs.
std::string inputs_comment(const Inputs& inputs, std::int64_t read_at,
                           const std::optional<PythonVersions>& python = {});

/// What the second line of study.toml says, which older versions wrote without semantics and read;
/// nothing where it says something else, or names no model. Trust it where the experiment's
/// identity agrees.
std::optional<RecordedInputs> read_inputs(const std::filesystem::path& study);

}  // namespace lamp::experiments
