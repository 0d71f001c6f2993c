// The exact solver of LAMP for softmax (componentwise). Internal to core/lamp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/lamp/selection.hpp"
#include "core/lamp/wide.hpp"

namespace lamp {

/// Marks a smallest set with cost <= tau: for each threshold t among the a, ascending, what has a > t is in S, and of the rest as many as
/// possible are left out, smallest key first, higher index first among equals, while they sum to at most tau - max(t, lowest); the
/// first t that leaves out most. Keys b and a are scratch.keys and scratch.diagonal, each below 2^62; `sum` is that of the keys,
/// `largest` the largest a. Returns the size of S.
std::size_t select_exact(int128 tau, std::int64_t lowest, uint128 sum, std::int64_t largest, std::span<std::uint8_t> selected,
                         SelectionScratch& scratch);

}  // namespace lamp
