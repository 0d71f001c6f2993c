// LAMP: a smallest set S of one row with cost(S) <= tau, whatever f is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/selection/target.hpp"

namespace lamp {

/// Marks in `selected` (one byte per component, 0 or 1) the set that LAMP recomputes, by tau or by
/// rate; returns its size. The whole row where the target refuses it. spec.rule is not looked at.
/// Pre: check(spec, target) is empty;
/// selected.size() == row.size().
/// Source: method.md section 6; for softmax, absolute weights and the greedy solver, Budzinskiy et
/// al., arXiv 2601.21623.
std::size_t select_lamp(const SelectionSpec& spec, const Target& target, const SelectionRow& row,
                        std::span<std::uint8_t> selected, SelectionScratch& scratch);

/// cost(S) of a set under the same integers, as a binary64 number (for `calc` and tests); infinite
/// where the row is refused, 0 for an empty row.
double cost_of_set(const SelectionSpec& spec, const Target& target, const SelectionRow& row,
                   std::span<const std::uint8_t> selected, SelectionScratch& scratch);
double cost_of_set(const SelectionSpec& spec, const Target& target, const SelectionRow& row,
                   std::span<const std::uint8_t> selected);

/// k = ceil(r n - 1e-9), within 0..n: how many components a rate selects.
std::size_t count_of_rate(double rate, std::size_t n);

}  // namespace lamp
