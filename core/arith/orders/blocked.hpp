// blocked:B: blocks of B terms in order, each a sum from +0 in the arithmetic of blocks, added to
// +0. blocked:32 with a binary32 block is the reference code's "efficient" mode.
#pragma once

#include <algorithm>

#include "core/arith/orders/row.hpp"

namespace lamp {

struct Blocked {
  std::size_t size = 1;  // B, the terms of a block; the last block may be shorter

  static constexpr OrderRow row{.name = "blocked",
                                .kind = SumKind::tree,
                                .c = CEnters::last,
                                .products = Products::in_step,
                                .has_blocks = true,
                                .meaning = "the terms of a block"};
  static constexpr std::array<Parameter<Blocked>, 1> parameters() {
    return {{{.letter = "B", .member = &Blocked::size}}};
  }

  template <class Sum>
  typename Sum::Value sum(const Sum& s) const {
    typename Sum::Value acc{};
    for (std::size_t first = 0; first < s.n; first += size)
      acc = s.add(acc, s.block(first, std::min(s.n, first + size)));
    return acc;
  }

  friend bool operator==(const Blocked&, const Blocked&) = default;
};

}  // namespace lamp
