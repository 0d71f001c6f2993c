// The largest y, with LAMP's budget for the same row. For absolute weights it is LAMP's own set,
// but for z so small or so close that their integers tie.
#include "core/selection/rules/largest_logit.hpp"

#include <algorithm>

#include "core/base/contract.hpp"
#include "core/selection/integers.hpp"

namespace lamp {

void select_largest(std::size_t count, std::span<const double> y, std::span<std::uint8_t> selected,
                    SelectionScratch& scratch) {
  const std::size_t n = y.size();
  expects(selected.size() == n && count <= n,
          "select_largest: one mark for every y, count <= y.size()");
  scratch.keys.resize(n);
  std::transform(y.begin(), y.end(), scratch.keys.begin(), order_key);
  mark(scratch.keys, cut_of_size(scratch, count), selected);
}

std::size_t mark_largest_logits(const RuleInput& input, std::span<std::uint8_t> selected,
                                SelectionScratch& scratch) {
  const std::size_t count = mark_by_lamp(input, selected, scratch);
  scratch.marks.assign(selected.begin(), selected.end());
  select_largest(count, input.row.y, selected, scratch);
  if (!std::equal(selected.begin(), selected.end(), scratch.marks.begin()))
    scratch.seen.unlike_lamp = true;
  return count;
}

}  // namespace lamp
