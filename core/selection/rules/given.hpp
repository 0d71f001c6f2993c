// What somebody else knows of all components of a pass, row by row: the sets themselves (no config
// names that rule), or priorities, of which a rule takes the largest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/selection/rules/rule.hpp"

namespace lamp {

/// marks: (layer, head, row, component), 0 or 1.
struct GivenSets {
  std::size_t heads = 0, rows = 0, components = 0;
  std::vector<std::uint8_t> marks;
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
