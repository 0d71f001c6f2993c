// The exact solver of LAMP for softmax (componentwise). Internal to core/selection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/selection/selection.hpp"
#include "core/selection/wide.hpp"

namespace lamp {

/// Marks a smallest set with cost <= tau. The thresholds t are the a that are at most tau,
/// ascending. For each, the components with a > t are in S; of the others as many as possible are
/// left out, smallest key first and higher index first among equal keys, while their keys sum to at
/// most budget - max(t, 0). The set is that of the first t that leaves out most. The budget is tau,
/// or with absolute weights tau - 1 + (sum of all keys), because B is then 1 - (sum of the keys in
/// S). Keys b and a are scratch.keys and scratch.diagonal, each below 2^62; keys may be
/// overwritten. `sum` is that of the keys, `largest` the largest a, at most 2^40 where budget >
/// tau. Returns the size of S. Pre: tau >= 0.
std::size_t select_exact(int128 budget, int128 tau, uint128 sum, std::int64_t largest,
                         std::span<std::uint8_t> selected, SelectionScratch& scratch);

}  // namespace lamp
