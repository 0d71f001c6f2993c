// Which orders are evaluated on many outputs at once by their definition, and how many partial sums
// they hold meanwhile.
#pragma once

#include <cstddef>

#include "core/arith/orders/catalog.hpp"

namespace lamp::gemm_detail {

/// Orders that add, one number at a time.
template <class O>
constexpr bool adds = O::row.kind == SumKind::tree || O::row.kind == SumKind::compensated;

inline constexpr std::size_t most_sums_at_once = 4096;  // of a panel of columns: a megabyte

/// Partial sums that an order holds at once, where they may be many; 1 else.
inline std::size_t sums_at_once(const Order& order) {
  if (const auto* lanes = std::get_if<Lanes>(&order)) return lanes->count;
  if (const auto* tree = std::get_if<LaneTree>(&order)) return tree->lanes.terms();
  return 1;
}

}  // namespace lamp::gemm_detail
