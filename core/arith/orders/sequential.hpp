// sequential: s = c; s = mac(a_k, b_k, s), k ascending. reverse: k descending.
#pragma once

#include "core/arith/orders/row.hpp"

namespace lamp {

struct Sequential {
  static constexpr OrderRow row{.name = "sequential",
                                .kind = SumKind::tree,
                                .c = CEnters::start,
                                .products = Products::in_step};

  template <class Sum>
  typename Sum::Value sum(const Sum& s) const {
    return s.chain(0, s.n, 1, s.c);
  }

  friend bool operator==(const Sequential&, const Sequential&) = default;
};

struct Reverse {
  static constexpr OrderRow row{
      .name = "reverse", .kind = SumKind::tree, .c = CEnters::start, .products = Products::in_step};

  template <class Sum>
  typename Sum::Value sum(const Sum& s) const {
    return s.chain_down(0, s.n, s.c);
  }

  friend bool operator==(const Reverse&, const Reverse&) = default;
};

}  // namespace lamp
