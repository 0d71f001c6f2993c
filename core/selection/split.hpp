// The inner loops of the search for a cut, vectorised: integers only, so every instruction set
// gives the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "core/selection/wide.hpp"

namespace lamp {

/// The diagonals are those of split_pairs only.
struct KeySplit {
  std::size_t below = 0, above = 0;
  uint128 sum_below = 0;
  std::int64_t diagonal_below = std::numeric_limits<std::int64_t>::min(),
               diagonal_equal = std::numeric_limits<std::int64_t>::min();
};

/// A split may write this many elements past the end of each of its parts.
inline constexpr std::size_t split_slack = 8;

/// Splits keys round a pivot, keeping their order: those below it into `low`, which may be where
/// keys are, or null where they are not wanted, those above into `high`, which may not.
KeySplit split_keys(std::span<const std::uint64_t> keys, std::uint64_t pivot, std::uint64_t* low,
                    std::uint64_t* high);

/// The same for keys that have a diagonal surplus each, which goes with them; also the largest of
/// it below and at the pivot.
struct Pairs {
  std::uint64_t* keys = nullptr;
  std::int64_t* diagonal = nullptr;
};
KeySplit split_pairs(std::span<const std::uint64_t> keys, const std::int64_t* diagonal,
                     std::uint64_t pivot, Pairs low, Pairs high);

/// marks[j] = 1 where keys[j] is above the pivot, 0 elsewhere; returns how many are.
/// Pre: one mark for each key.
std::size_t mark_above(std::span<const std::uint64_t> keys, std::uint64_t pivot,
                       std::span<std::uint8_t> marks);

}  // namespace lamp
