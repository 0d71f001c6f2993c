// A uniform draw of a set of given size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/selection/selection.hpp"

namespace lamp {

/// Marks `count` of selected.size() components, every subset of that size equally likely.
/// Words come from Philox4x32-10 with key (seed, sequence) and counter (block, 0, row, (layer 2^9 +
/// head) 2^7 + site 4 + 3), block = 0, 1, ..: the layout of stochastic rounding, whose draws are
/// numbered 0..2, so the two never meet.
void select_random(std::size_t count, const DrawCoordinates& where,
                   std::span<std::uint8_t> selected);

}  // namespace lamp
