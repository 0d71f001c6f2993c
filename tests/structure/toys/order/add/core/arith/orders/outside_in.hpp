// outside-in: terms 0, n - 1, 1, n - 2, .. one after the other, from +0.
#pragma once

#include "core/arith/orders/row.hpp"

namespace lamp {

struct OutsideIn {
  static constexpr OrderRow row{.name = "outside-in",
                                .kind = SumKind::tree,
                                .c = CEnters::last,
                                .products = Products::in_step};

  template <class Sum>
  typename Sum::Value sum(const Sum& s) const {
    typename Sum::Value x{};
    for (std::size_t k = 0; k < s.n; ++k) x = s.mac(k % 2 == 0 ? k / 2 : s.n - 1 - k / 2, x);
    return x;
  }

  friend bool operator==(const OutsideIn&, const OutsideIn&) = default;
};

}  // namespace lamp
