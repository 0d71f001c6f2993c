// What cells of a grid share: the tokens and the reference pass. Axes over the model, over
// shuffling and, where tokens or the reference are drawn, over the seed split the grid into
// variants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/sha256.hpp"
#include "experiments/config/config.hpp"

namespace lamp::experiments {

inline constexpr std::string_view seed_key = "seed", shuffle_key = "tokens.shuffle",
                                  model_key = "model.path";

/// Cells of one variant have the same tokens and are compared with the same reference pass: they
/// share a shard a sequence.
struct Variant {
  std::size_t model = 0;  // of model_paths(config)
  bool shuffle = false;
  std::optional<std::uint32_t> seed{};  // of the draws of tokens and reference; none: nothing is
                                        // drawn there, and cells of all seeds share the variant
  friend bool operator==(const Variant&, const Variant&) = default;
};

/// Nothing where the key is no axis.
const GridAxis* find_axis(const Config& config, std::string_view key);

/// The models of a run: the values of the axis, or the one of model.path.
std::vector<std::filesystem::path> model_paths(const Config& config);
/// What the result calls a model: its folder's name.
std::string model_name(const std::filesystem::path& folder);

/// A value of an axis as the result calls it: of models and own rules, without the way to them.
Coordinate label_of(std::string_view key, const Coordinate& value);

/// All variants, each once; without axes one.
std::vector<Variant> variants_of(const Config& config);
/// That of a cell: one coordinate an axis of the grid.
Variant variant_of(const Config& config, std::span<const std::size_t> index);

/// The axes of the grid that tell variants apart, in file order: the dimensions of /reference.
std::vector<std::string> variant_axes(const Config& config);

/// "model.path = gpt2-nano, seed = 3"; empty where no axis tells variants apart.
std::string variant_name(const Config& config, const Variant& variant);

/// What the identity of a sequence says of its variant: what is an axis, so that more values of an
/// axis change no identity. `models`: the contents of model_paths(config).
std::string variant_identity(const Config& config, const Variant& variant,
                             std::span<const Digest> models);

}  // namespace lamp::experiments
