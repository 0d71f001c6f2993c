// LAMP's choice for one row: which components of y = g(x) to recompute so that f(y) is accurate. Pure functions of one row,
// decided in integers (method.md section 6), so that any algorithm gives the same set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace lamp {

enum class ErrorWeights : std::uint8_t { absolute, relative, dot };
enum class Norm : std::uint8_t { componentwise, normwise1 };
enum class Solver : std::uint8_t { greedy, exact };
enum class Mask : std::uint8_t { exclude, as_zero };
enum class Rule : std::uint8_t { lamp, random, random_full_row, largest_logit, none, all, truth };

/// How a set is chosen; exactly one of tau and rate is set for the rules that need a budget.
struct SelectionSpec {
  Rule rule = Rule::lamp;
  ErrorWeights weights = ErrorWeights::absolute;
  Norm norm = Norm::componentwise;
  Solver solver = Solver::greedy;
  Mask mask = Mask::exclude;
  std::optional<double> tau = 1.5;
  std::optional<double> rate;
  friend bool operator==(const SelectionSpec&, const SelectionSpec&) = default;
};

/// Reusable memory of the selection functions; one per thread.
struct SelectionScratch {
  std::vector<std::uint64_t> keys;
  std::vector<std::uint32_t> order;
};

/// Softmax: marks in `selected` (one byte per component, 0 or 1) the set that LAMP recomputes; returns its size.
/// z: the softmax of the low row, n = z.size() causal entries. y: the low row itself, same length (weights `relative`).
/// row_length: T, the length of the row with its masked entries; matters for mask = as_zero only.
/// Pre: spec.rule is lamp; weights absolute, norm componentwise, solver greedy, tau set.
std::size_t select_softmax(const SelectionSpec& spec, std::span<const double> z, std::span<const double> y, std::size_t row_length,
                           std::span<std::uint8_t> selected, SelectionScratch& scratch);

/// cost(S) of a set under the same integers, as a binary64 number (for `calc` and tests); infinite where the row is refused.
double cost_softmax(const SelectionSpec& spec, std::span<const double> z, std::span<const double> y, std::size_t row_length,
                    std::span<const std::uint8_t> selected);

/// Coordinates of a random draw: two rows that differ in any of them draw independently.
struct DrawCoordinates {
  std::uint32_t seed = 0, sequence = 0, layer = 0, head = 0, row = 0;
};

/// Marks `count` of selected.size() components, every subset of that size equally likely.
void select_random(std::size_t count, const DrawCoordinates& where, std::span<std::uint8_t> selected, SelectionScratch& scratch);

/// Marks the set of any rule for one softmax row and returns its size: lamp as select_softmax; random with |S_LAMP| of the same
/// row; none; all. The forward pass calls this.
std::size_t select_row(const SelectionSpec& spec, std::span<const double> z, std::span<const double> y, std::size_t row_length,
                       const DrawCoordinates& where, std::span<std::uint8_t> selected, SelectionScratch& scratch);

}  // namespace lamp
