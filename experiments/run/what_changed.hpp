// What makes the experiment in a folder another one than the one at hand, in words.
#pragma once

#include <filesystem>
#include <string>

#include "experiments/config/grid.hpp"

namespace lamp::experiments {

/// "seed was 7, is 8; the content of the text prose.txt": all that enters the identity of an
/// experiment and is not as the folder's study.toml says, keys with both values. Where study.toml
/// does not say enough, that. No final stop; values of any length are cut.
/// Pre: the two identities differ.
std::string what_changed(const std::filesystem::path& folder, const Config& config,
                         const Inputs& inputs);

}  // namespace lamp::experiments
