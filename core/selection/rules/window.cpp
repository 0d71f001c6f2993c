// The window of streaming attention (Xiao et al., arXiv 2309.17453): key 0 and the most recent
// keys, with LAMP's budget for the same row.
#include <algorithm>

#include "core/selection/selection.hpp"

namespace lamp {

std::size_t mark_window(const RuleInput& input, std::span<std::uint8_t> selected,
                        SelectionScratch& scratch) {
  const std::size_t count = mark_by_lamp(input, selected, scratch);
  std::fill(selected.begin(), selected.end(), std::uint8_t{0});
  if (count == 0) return 0;
  selected.front() = 1;
  std::fill_n(selected.rbegin(), count - 1, std::uint8_t{1});
  return count;
}

}  // namespace lamp
