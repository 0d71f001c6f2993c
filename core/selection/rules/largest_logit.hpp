// The largest components of a row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/selection/selection.hpp"

namespace lamp {

/// Marks the `count` largest of y, ties lower index first. Pre: no NaN in y, or count is 0 or
/// y.size().
void select_largest(std::size_t count, std::span<const double> y, std::span<std::uint8_t> selected,
                    SelectionScratch& scratch);

}  // namespace lamp
