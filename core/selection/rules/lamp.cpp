// LAMP itself: a smallest set, or one of the size that a rate asks for, by what f makes of the row.
#include "core/selection/lamp.hpp"

namespace lamp {

std::size_t mark_by_lamp(const RuleInput& input, std::span<std::uint8_t> selected,
                         SelectionScratch& scratch) {
  return select_lamp(input.spec, input.target, input.row, selected, scratch);
}

}  // namespace lamp
