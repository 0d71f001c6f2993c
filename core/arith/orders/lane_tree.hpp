// lane-tree:<tree>: as many lanes as the tree has leaves, lane l sums k = l, l + L, .. from +0;
// then the lanes are added as the tree says.
#pragma once

#include <vector>

#include "core/arith/orders/row.hpp"
#include "core/arith/orders/summation_tree.hpp"

namespace lamp {

struct LaneTree {
  SummationTree lanes{};

  static constexpr OrderRow row{.name = "lane-tree",
                                .kind = SumKind::tree,
                                .c = CEnters::last,
                                .products = Products::in_step,
                                .meaning = "each lane 0, 1, .. once"};
  static constexpr TreeParameter<LaneTree> parameters() { return {&LaneTree::lanes}; }

  template <class Sum>
  typename Sum::Value sum(const Sum& s) const {
    std::vector<typename Sum::Value> lane(lanes.terms());
    for (std::size_t l = 0; l < lane.size(); ++l) lane[l] = s.chain(l, s.n, lane.size());
    return lanes.evaluate([&](std::size_t l) { return lane[l]; },
                          [&](const auto& x, const auto& y) { return s.add(x, y); });
  }

  friend bool operator==(const LaneTree&, const LaneTree&) = default;
};

}  // namespace lamp
