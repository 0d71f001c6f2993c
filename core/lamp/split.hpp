// The inner loop of the search for a cut, vectorised: integers only, so every instruction set gives the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lamp {

struct KeySplit {
  std::size_t below = 0, above = 0;
  std::uint64_t sum_below = 0;  // modulo 2^64
};

/// A split may write so many elements past each of its parts.
inline constexpr std::size_t split_slack = 8;

/// Splits keys round a pivot, keeping their order: those below it into `low`, which may be where keys are, those above into `high`,
/// which may not.
KeySplit split_keys(std::span<const std::uint64_t> keys, std::uint64_t pivot, std::uint64_t* low, std::uint64_t* high);

}  // namespace lamp
