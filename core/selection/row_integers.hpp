// A softmax row as integers, vectorised: every operation is exact or correctly rounded, so every
// instruction set gives the same bits. Internal to core/selection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "core/selection/target.hpp"

namespace lamp {

inline constexpr double refused_from = 0x1p22;  // a value from here on refuses the row

/// What the row as a whole amounts to; `refused`: a value is NaN, negative, or too large, and the
/// whole row is selected.
struct RowIntegers {
  uint128 sum = 0;  // of the keys
  std::int64_t diagonal =
      std::numeric_limits<std::int64_t>::min();  // largest diagonal surplus; 0 with normwise-1
  bool refused = false;
};

/// keys[j] = floor(b_j 2^40), and with the componentwise norm diagonal[j] = floor(a_j 2^40): b = z
/// w and a = (1 - 2 z) w, or b = 2 z (1 - z) w (normwise-1). given: w (weights `dot`), y
/// (`relative`: w = abs(y)), not read for `absolute`. n elements each.
RowIntegers row_integers(ErrorWeights weights, Norm norm, const double* z, const double* given,
                         std::size_t n, std::uint64_t* keys, std::int64_t* diagonal);

}  // namespace lamp
