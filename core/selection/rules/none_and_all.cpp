// The two ends: nothing is recomputed, everything is.
#include <algorithm>

#include "core/selection/selection.hpp"

namespace lamp {

std::size_t mark_none(const RuleInput&, std::span<std::uint8_t> selected, SelectionScratch&) {
  std::fill(selected.begin(), selected.end(), std::uint8_t{0});
  return 0;
}

std::size_t mark_all(const RuleInput&, std::span<std::uint8_t> selected, SelectionScratch&) {
  std::fill(selected.begin(), selected.end(), std::uint8_t{1});
  return selected.size();
}

}  // namespace lamp
