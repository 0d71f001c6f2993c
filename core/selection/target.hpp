// What a function f makes of a row, in integers: the cost of leaving components of y = g(x) low.
// LAMP (lamp.hpp) searches in it for a smallest set. A target is one function and one row.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

#include "core/selection/selection.hpp"
#include "core/selection/wide.hpp"

namespace lamp {

inline constexpr double fixed_point = 0x1p40;  // the unit of every integer here is 2^-40
inline constexpr std::int64_t one = std::int64_t{1} << 40;

/// What is known of the surpluses a_j of a row.
enum class Surplus : std::uint8_t {
  zero,   // every a_j is 0: the cost is a sum (normwise-1)
  falls,  // a_j falls as the key grows, up to ties
  any
};

/// The cost of a set S, of a row whose keys b_j are scratch.keys and whose surpluses a_j are
/// scratch.diagonal (not filled where they are zero):
///   cost(S) = max(0, missing + sum of b_j over j not in S) + max(outside, a_j over j not in S),
/// where rows of S count 0 in the second maximum; and 0 where S is everything and nothing is
/// outside.
struct RowCosts {
  static constexpr std::int64_t nothing = std::numeric_limits<std::int64_t>::min();

  uint128 sum = 0;                  // of all keys
  int128 missing = 0;               // what B lacks where it is counted from the keys in S
  std::int64_t diagonal = nothing;  // the largest a_j; 0 where all are zero
  std::int64_t outside = nothing;   // the largest a of rows that are never in S (masked entries)
  Surplus surplus = Surplus::any;
  bool refused = false;  // a value is NaN, negative or too large: the whole row is selected
};

/// Pre: z is not empty.
using CostFunction = RowCosts (*)(const SelectionSpec&, const SelectionRow&, SelectionScratch&);

struct Target {
  std::string_view function;  // f
  CostFunction costs;
};

RowCosts softmax_costs(const SelectionSpec&, const SelectionRow&, SelectionScratch&);

namespace targets {
inline constexpr Target softmax{"softmax", softmax_costs};
}  // namespace targets

/// Every target, by f.
inline constexpr std::array all_targets{&targets::softmax};

}  // namespace lamp
