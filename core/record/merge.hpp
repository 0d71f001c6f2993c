// result.h5 from shards: every dataset (G, dims), G = the grid of sequences and cells, NaN or status 0 where nothing was computed.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/base/result.hpp"
#include "core/record/contents.hpp"

namespace lamp::record {

/// One text attribute or scalar dataset of /provenance: name and UTF-8 value.
using Provenance = std::vector<std::pair<std::string, std::string>>;

struct MergePlan {
  std::vector<Axis> sequence_axes;          // [text,] sequence
  std::vector<Axis> grid_axes;              // in file order
  std::vector<Digest> cell_ids;             // row-major over grid_axes
  std::vector<std::filesystem::path> shards;  // row-major over sequence_axes; a missing file is a pending sequence
  std::map<std::string, Axis> inner_axes;   // scales of dims that are not counted from 0 (e.g. "bin", "tolerance"); others are 0..n-1
  Digest experiment{};
  Provenance provenance;
};

struct MergeSummary {
  std::size_t done = 0, failed = 0, pending = 0;  // cells, over all sequences
};

/// Writes `out` (temporary, reopened and compared with what was to be written, then renamed). Datasets are chunked by cell,
/// carry units, long_name and dimension scales; each group holds its own copy of the scales it uses.
Result<MergeSummary> merge(const MergePlan& plan, const std::filesystem::path& out);

}  // namespace lamp::record
