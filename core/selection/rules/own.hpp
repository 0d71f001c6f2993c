// A rule that is evaluated elsewhere, such as somebody's Python function: core shows it rows, and
// takes its marks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <utility>

#include "core/base/result.hpp"
#include "core/selection/selection.hpp"

namespace lamp {

/// Thrown where an own rule fails or its answer is no set. What its pass has made or shown until
/// then is no result.
class RuleFailed final : public std::exception {
 public:
  explicit RuleFailed(Error error) : error_(std::move(error)) {}
  [[nodiscard]] const char* what() const noexcept override { return error_.message.c_str(); }
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  Error error_;
};

/// What an own rule looks at: rows that follow each other, row i at first.row + i. Keys are there
/// wherever the site has some.
struct OwnRows {
  const SelectionSpec& spec;
  const Target& target;
  std::span<const SelectionRow> rows;
  const DrawCoordinates& first;
};

class OwnRule {
 public:
  virtual ~OwnRule() = default;
  /// selected[i], one byte for each component of row i, holds LAMP's own set, and is given the
  /// rule's: 0 or 1. It depends on the row and its place alone. Called by several threads at once.
  /// Throws RuleFailed.
  virtual void mark(const OwnRows& rows, std::span<const std::span<std::uint8_t>> selected) = 0;
};

/// Rows of this many components are shown together: fewer calls, and none too large.
constexpr std::size_t own_rows_together(std::size_t components) {
  constexpr std::size_t at_once = std::size_t{1} << 14;
  return std::max<std::size_t>(1, at_once / std::max<std::size_t>(1, components));
}

/// Pre: SelectionSpec::own is there.
std::size_t mark_by_own(const RuleInput&, std::span<std::uint8_t>, SelectionScratch&);

/// The rule of a spec with `own`. Nothing is known of it.
inline constexpr Rule own_rule{"python", mark_by_own};

}  // namespace lamp
