// What somebody else knows of all components of a pass, row by row: the sets themselves (no config
// names that rule), or priorities, of which a rule takes the largest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/selection/rules/rule.hpp"

namespace lamp {

/// marks: (layer, head, row, component), 0 or 1.
struct GivenSets {
  std::size_t heads = 0, rows = 0, components = 0;
  std::vector<std::uint8_t> marks;

  /// Nothing chosen.
  static GivenSets none(std::size_t layers, std::size_t heads, std::size_t rows,
                        std::size_t components) {
    return {heads, rows, components, std::vector<std::uint8_t>(layers * heads * rows * components)};
  }
  /// All components of one row.
  [[nodiscard]] std::span<const std::uint8_t> row(std::size_t layer, std::size_t head,
                                                  std::size_t i) const {
    return std::span(marks).subspan(((layer * heads + head) * rows + i) * components, components);
  }
};

/// values: (layer, head, row, component); the largest are recomputed first, of equal ones the lower
/// index; no NaN among the causal ones.
struct GivenPriorities {
  std::size_t heads = 0, rows = 0, components = 0;
  std::vector<double> values;
};

/// Pre: SelectionSpec::given has the row.
std::size_t mark_given(const RuleInput&, std::span<std::uint8_t>, SelectionScratch&);

inline constexpr Rule given_sets{"given", mark_given};

}  // namespace lamp
