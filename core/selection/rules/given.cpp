#include "core/selection/rules/given.hpp"

#include <algorithm>

#include "core/selection/lamp.hpp"
#include "core/selection/rules/largest_logit.hpp"
#include "core/selection/selection.hpp"

namespace lamp {
namespace {

/// Where the row's first component is.
template <class Given>
std::size_t place(const Given* given, const DrawCoordinates& where, std::size_t n) {
  expects(given != nullptr && where.head < given->heads && where.row < given->rows &&
              n <= given->components,
          "select_row: what is given has all rows");
  return ((where.layer * given->heads + where.head) * given->rows + where.row) * given->components;
}

}  // namespace

std::size_t mark_given(const RuleInput& input, std::span<std::uint8_t> selected,
                       SelectionScratch&) {
  const GivenSets* sets = input.spec.given;
  const auto first = static_cast<std::ptrdiff_t>(place(sets, input.where, selected.size()));
  std::copy_n(sets->marks.begin() + first, selected.size(), selected.begin());
  return static_cast<std::size_t>(std::count(selected.begin(), selected.end(), std::uint8_t{1}));
}

/// With LAMP's budget for the same row.
std::size_t mark_by_priority(const RuleInput& input, std::span<std::uint8_t> selected,
                             SelectionScratch& scratch) {
  const GivenPriorities* priorities = input.spec.priorities;
  const std::size_t n = selected.size(), first = place(priorities, input.where, n),
                    count = mark_by_lamp(input, selected, scratch);
  select_largest(count, std::span(priorities->values).subspan(first, n), selected, scratch);
  return count;
}

}  // namespace lamp
