#include "core/selection/rules/given.hpp"

#include <algorithm>

#include "core/selection/selection.hpp"

namespace lamp {

std::size_t mark_given(const RuleInput& input, std::span<std::uint8_t> selected,
                       SelectionScratch&) {
  const GivenSets* sets = input.spec.given;
  expects(sets != nullptr && input.where.head < sets->heads && input.where.row < sets->rows &&
              selected.size() <= sets->components,
          "mark_given: sets of all rows");
  const std::size_t row =
      (input.where.layer * sets->heads + input.where.head) * sets->rows + input.where.row;
  const auto first = sets->marks.begin() + static_cast<std::ptrdiff_t>(row * sets->components);
  std::copy_n(first, selected.size(), selected.begin());
  return static_cast<std::size_t>(std::count(selected.begin(), selected.end(), std::uint8_t{1}));
}

}  // namespace lamp
