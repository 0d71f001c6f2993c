// exact: the exact sum of c and the exact products, then one fl.
#pragma once

#include "core/arith/orders/row.hpp"

namespace lamp {

struct Exact {
  static constexpr OrderRow row{
      .name = "exact", .kind = SumKind::exact, .c = CEnters::term, .products = Products::exact};

  template <class Sum>
  typename Sum::Value sum(const Sum& s) const {
    return s.exact();
  }

  friend bool operator==(const Exact&, const Exact&) = default;
};

}  // namespace lamp
