#include "core/selection/rules/own.hpp"

#include <algorithm>

#include "core/base/contract.hpp"
#include "core/base/marks.hpp"
#include "core/selection/lamp.hpp"

namespace lamp {
namespace {

void mark_together(const OwnRows& rows, std::span<const std::span<std::uint8_t>> selected,
                   SelectionScratch& scratch) {
  expects(rows.spec.own != nullptr, "select_row: an own rule is there");
  for (std::size_t i = 0; i < rows.rows.size(); ++i)
    select_lamp(rows.spec, rows.target, rows.rows[i], selected[i], scratch);
  rows.spec.own->mark(rows, selected);
}

}  // namespace

std::size_t mark_by_own(const RuleInput& input, std::span<std::uint8_t> selected,
                        SelectionScratch& scratch) {
  mark_together({input.spec, input.target, std::span(&input.row, 1), input.where},
                std::span(&selected, 1), scratch);
  return static_cast<std::size_t>(std::count(selected.begin(), selected.end(), std::uint8_t{1}));
}

void select_rows(const SelectionSpec& spec, const Target& target,
                 std::span<const SelectionRow> rows, const DrawCoordinates& first,
                 std::span<const std::span<std::uint8_t>> selected, SelectionScratch& scratch) {
  expects(selected.size() == rows.size(), "select_rows: marks for every row");
  if (spec.own == nullptr) {
    DrawCoordinates where = first;
    for (std::size_t i = 0; i < rows.size(); ++i, ++where.row)
      select_row(spec, target, rows[i], where, selected[i], scratch);
    return;
  }
  mark_together({spec, target, rows, first}, selected, scratch);
  for (const std::span<std::uint8_t> set : selected)
    scratch.seen.selected = scratch.seen.selected || any_marked(set);
}

}  // namespace lamp
