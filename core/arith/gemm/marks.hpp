// Whether rows of marks have one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/arith/gemm/gemm.hpp"

namespace lamp {

/// Whether row i has a mark in the columns from `first` on, `count` of them at most.
inline bool has_mark(const Marks& marks, std::size_t i, std::size_t first, std::size_t count) {
  const std::uint8_t* row = marks.data + i * marks.row_stride + first;
  const std::uint8_t* end = row + std::min(count, marks.cols - first);
  return std::find_if(row, end, [](std::uint8_t mark) { return mark != 0; }) != end;
}

}  // namespace lamp
