// The first components of a row, where attention sinks are, with LAMP's budget for it.
#include <algorithm>

#include "core/selection/selection.hpp"

namespace lamp {

std::size_t mark_first(const RuleInput& input, std::span<std::uint8_t> selected,
                       SelectionScratch& scratch) {
  const std::size_t count = mark_by_lamp(input, selected, scratch);
  for (std::size_t j = 0; j < selected.size(); ++j) selected[j] = j < count ? 1 : 0;
  return count;
}

}  // namespace lamp
