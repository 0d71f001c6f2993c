// Sets made of blocks of keys, as sparse attention reads them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/selection/selection.hpp"

namespace lamp {

/// Block b has the keys 16 b .. 16 b + 15 of the row, the last one those that are there.
inline constexpr std::size_t block_keys = 16;

/// How many blocks n keys make.
constexpr std::size_t blocks_of(std::size_t n) { return (n + block_keys - 1) / block_keys; }

/// Marks `count` keys: whole blocks by descending score, ties lower index first, and of the last
/// one that is needed the first keys. A score that is NaN says nothing against its block, which
/// comes before all others. Pre: one score a block; count <= selected.size().
void mark_blocks(std::size_t count, std::span<const double> scores,
                 std::span<std::uint8_t> selected, SelectionScratch& scratch);

}  // namespace lamp
