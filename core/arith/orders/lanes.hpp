// lanes:L: lane l sums k = l, l + L, .. from +0; then the upper half of the lanes is added onto the
// lower, until one is left. Lanes without terms are +0 and take part.
#pragma once

#include <vector>

#include "core/arith/orders/row.hpp"

namespace lamp {

struct Lanes {
  std::size_t count = 1;  // L

  static constexpr OrderRow row{.name = "lanes",
                                .kind = SumKind::tree,
                                .c = CEnters::last,
                                .products = Products::in_step,
                                .meaning = "the number of lanes"};
  static constexpr std::array<Parameter<Lanes>, 1> parameters() {
    return {{{.letter = "L",
              .member = &Lanes::count,
              .most = std::size_t{1} << 20,
              .power_of_two = true}}};
  }

  template <class Sum>
  typename Sum::Value sum(const Sum& s) const {
    std::vector<typename Sum::Value> lane(count);
    for (std::size_t l = 0; l < count; ++l) lane[l] = s.chain(l, s.n, count);
    for (std::size_t width = count / 2; width > 0; width /= 2)
      for (std::size_t l = 0; l < width; ++l) lane[l] = s.add(lane[l], lane[l + width]);
    return lane[0];
  }

  friend bool operator==(const Lanes&, const Lanes&) = default;
};

}  // namespace lamp
