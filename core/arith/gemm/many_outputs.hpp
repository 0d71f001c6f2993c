// Which orders are evaluated on many outputs at once, by their definition.
#pragma once

#include <cstddef>

#include "core/arith/orders/catalog.hpp"

namespace lamp::gemm_detail {

/// Orders that add, one number at a time.
template <class O>
constexpr bool adds = O::row.kind == SumKind::tree || O::row.kind == SumKind::compensated;

/// Whether the order adds and holds not too many partial sums at once: of a panel of columns they
/// are a megabyte at most.
inline bool runs_on_many_outputs(const Order& order) {
  constexpr std::size_t most_sums = 4096;
  std::size_t sums = 1;  // where they may be many
  if (const auto* lanes = std::get_if<Lanes>(&order)) sums = lanes->count;
  if (const auto* tree = std::get_if<LaneTree>(&order)) sums = tree->lanes.terms();
  return sums <= most_sums && std::visit([]<class O>(const O&) { return adds<O>; }, order);
}

}  // namespace lamp::gemm_detail
