// result.h5 from shards: every dataset (G, dims), G = the grid of sequences and cells, the fill
// value of its type (contents.hpp) and status 0 where nothing was computed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/result.hpp"
#include "core/record/contents.hpp"

namespace lamp::record {

/// One scalar text dataset of /provenance: name and UTF-8 value.
using Provenance = std::vector<std::pair<std::string, std::string>>;

/// A quantity of grid points that no single sequence has: a mean over them, say. `values` row-major
/// over the sequence axes but the last, the grid axes, then its dims.
struct PointQuantity {
  Quantity quantity;
  Values values;
};

/// A text that is read off the values of another quantity, of the cells or of the reference.
struct TextQuantity {
  std::string path, long_name;
  std::string of;  // path of a quantity of signed integers; where no shard has it there is no text
  /// UTF-8 without NUL, the same for the same values.
  std::function<std::string(std::span<const std::int64_t>)> text;
};

struct MergePlan {
  std::vector<Axis> sequence_axes;  // [text,] sequence; at least one
  std::vector<Axis> grid_axes;      // in file order; none for a single cell
  std::vector<Digest> cell_ids;  // row-major over grid_axes; points that mean the same have one id,
                                 // and one cell's values
  std::vector<std::filesystem::path>
      shards;  // row-major over sequence_axes, then by variant; a missing file is pending
  std::map<std::string, Axis> inner_axes;  // scales of dims, by name or "/group/name"; those
                                           // without values, and others, are 0..n-1
  std::vector<PointQuantity> of_points{};  // computed by whoever asks for the merge
  std::vector<TextQuantity> texts{};       // "" where what they are of is not there
  Digest experiment{};                     // every shard must be of it
  Provenance provenance;
  std::vector<Digest> sequence_ids{};  // parallel to shards; empty: not checked
  /// Of each grid point: which of a sequence's shards its cell is in, from 0; empty: there is one.
  std::vector<std::size_t> variants{};
  /// Grid axes that the reference depends on: each of a sequence's shards has its own.
  std::vector<std::string> reference_axes{};
  /// More files of the same sequences, from other folders: each list is parallel to shards, and
  /// what its files hold joins what those hold.
  std::vector<std::vector<std::filesystem::path>> more_shards{};
  /// A grid point in words, for errors.
  std::function<std::string(std::size_t)> point_name{};
};

struct MergeSummary {
  std::size_t done = 0, failed = 0, pending = 0;  // cells, over all sequences
  std::vector<std::string> damaged{};  // shards that were left out as if they were not there
};

/// Writes `out` (temporary, closed, reopened and compared with what was to be written, fsync,
/// rename), and removes what a killed merge left beside it. The shards of a sequence are read at a
/// time and written by runs of cells: memory is these and some buffers, whatever the size of the
/// result.
///
/// Layout: every quantity (sequence axes, grid axes, dims), a reference quantity (sequence axes,
/// reference_axes in grid order, dims); /metrics/status and /reference/status (uint8 flags) say
/// what was computed, the rest is the fill value of its type. A cell that failed counts as not
/// computed. Cells of a shard that are not in the grid are ignored. Each group holds its own copy
/// of the dimension scales it uses, named as the dimension and attached. Every dataset has units
/// and long_name. Equal plans and shards give equal bytes apart from /provenance, which is written
/// last.
///
/// A shard that is damaged, or of another experiment or sequence, counts as missing and is named in
/// the summary. Errors: bad_data naming a shard of other quantities or sizes than the first;
/// check_failed naming a cell, or the reference, that two files have with other bits;
/// cannot_create, permission, io for `out`, which is then as it was before. Pre: as many cell_ids
/// as grid points, as many shards (and of each of more_shards) as sequences of
/// variants; unique one-word axis names.
Result<MergeSummary> merge(const MergePlan& plan, const std::filesystem::path& out);

}  // namespace lamp::record
