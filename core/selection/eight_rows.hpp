// Sums of rows that take turns, eight at a time: each addition waits for the one before in its row.
// Internal to core/selection.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <tuple>

#include "core/selection/selection.hpp"

namespace lamp {

using EightRows = std::array<const double*, 8>;

/// Fills in `sums` of all rows; of_eight(y, n, sums) are those of eight. Pre: rows are of one
/// length.
template <class OfEight>
void sum_in_turns(std::span<SelectionRow> rows, const OfEight& of_eight) {
  constexpr std::size_t together = std::tuple_size_v<EightRows>;
  for (std::size_t first = 0; first < rows.size(); first += together) {
    const std::span<SelectionRow> some =
        rows.subspan(first, std::min(together, rows.size() - first));
    EightRows y{};
    for (std::size_t r = 0; r < together; ++r) y[r] = some[std::min(r, some.size() - 1)].y.data();
    std::array<RowSums, together> sums;
    of_eight(y, some.front().y.size(), sums.data());
    for (std::size_t r = 0; r < some.size(); ++r) some[r].sums = sums[r];
  }
}

}  // namespace lamp
