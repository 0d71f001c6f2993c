// Whether rows of marks have one.
#pragma once

#include <algorithm>
#include <cstddef>

#include "core/arith/gemm/gemm.hpp"
#include "core/base/marks.hpp"

namespace lamp {

/// Whether row i has a mark in the columns from `first` on, `count` of them at most.
inline bool has_mark(const Marks& marks, std::size_t i, std::size_t first, std::size_t count) {
  return any_marked(marks.row(i).subspan(first, std::min(count, marks.cols - first)));
}

}  // namespace lamp
