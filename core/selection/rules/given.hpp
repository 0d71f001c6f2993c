// Sets that somebody else has chosen, row by row: what a ranking of all scores of a pass gives. No
// config names this rule.
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

/// Pre: SelectionSpec::given has the row.
std::size_t mark_given(const RuleInput&, std::span<std::uint8_t>, SelectionScratch&);

inline constexpr Rule given_sets{"given", mark_given};

}  // namespace lamp
