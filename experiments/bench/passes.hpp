// Whole passes of a network beside the SGEMM of the same products.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "core/base/result.hpp"
#include "core/model/weights.hpp"
#include "experiments/bench/row.hpp"

namespace lamp::experiments::bench {

/// What passes are measured of: the model of a folder, or random weights of a named shape.
struct PassOptions {
  std::string shape = "gpt2";
  std::optional<std::filesystem::path> folder{};  // instead of a shape
  std::optional<std::size_t> length{};            // absent: the default, as far as the model goes
  std::size_t default_length = 1024;
  std::size_t threads = 1;
};

/// "gpt2, gpt2-medium, smollm2".
std::string shape_names();

/// What passes run on. Random weights are made when the first pass asks for them.
struct PassSetting {
  std::string name;  // of the shape, or of the folder
  ModelConfig config;
  std::size_t length;
  std::size_t threads;
  std::shared_ptr<std::optional<Model>> model = std::make_shared<std::optional<Model>>();
};

/// Reads the model of a folder. What does not fit this machine's memory is refused with its size,
/// before any weight is read or made.
Result<PassSetting> prepare_passes(const PassOptions& options);

inline constexpr std::string_view sgemm_sum = "SGEMM of the same products";

/// The SGEMM, and passes under three plans: PS(7) scores with LAMP and binary32 elsewhere, PS(7)
/// everywhere, the engine h100 everywhere.
std::vector<Row> pass_rows(const PassSetting& setting, const std::string& target);

}  // namespace lamp::experiments::bench
