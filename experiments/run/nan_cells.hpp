// NaN that was computed, told apart from NaN that stands for "not computed": cells that are done
// and whose KL is NaN.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/record/contents.hpp"
#include "core/record/stored_file.hpp"

namespace lamp::experiments {

/// How many such cells there are, and the names of the first few in the order of the grid.
struct NanCells {
  static constexpr std::size_t most_names = 3;
  std::size_t count = 0;
  std::vector<std::string> first{};

  /// One more cell, whose name is name().
  template <std::invocable Name>
  void add(Name&& name) {
    if (++count <= most_names) first.push_back(name());
  }
  /// The cells of a later part.
  void add(const NanCells& more);
};

/// "KL is NaN in 5 of 24 cells: A; B; C; and 2 more".
std::string in_words(const NanCells& cells, std::size_t of);

/// "text prose, sequence 0, arithmetic.low.mu = 4, lamp.scores.rule = lamp": index holds one
/// coordinate an axis.
std::string point_name(std::span<const record::Axis> axes, std::span<const std::size_t> index);

/// The coordinates of a row-major position.
std::vector<std::size_t> index_of(std::size_t position, std::span<const std::size_t> shape);

/// The records of a shard's cells that are done and whose KL is NaN, in the shard's order.
std::vector<const record::CellRecord*> nan_records(const record::Shard& shard);

/// Those of a result; grid points that share a cell count each. Errors: as record::read_numbers.
Result<NanCells> nan_cells(const record::StoredFile& result);

}  // namespace lamp::experiments
