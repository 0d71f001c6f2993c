// panels:Q,U: parts of OpenBLAS's lengths, each sequential from +0, added in order to +0.
#pragma once

#include <algorithm>

#include "core/arith/orders/row.hpp"

namespace lamp {

struct Panels {
  std::size_t size = 1;      // Q, GEMM_Q of the library
  std::size_t multiple = 1;  // U, its GEMM_UNROLL_M

  static constexpr OrderRow row{
      .name = "panels",
      .kind = SumKind::tree,
      .c = CEnters::last,
      .products = Products::in_step,
      .meaning = "the terms of a part, and what the length of a shorter one is a multiple of"};
  static constexpr std::array<Parameter<Panels>, 2> parameters() {
    return {
        {{.letter = "Q", .member = &Panels::size}, {.letter = "U", .member = &Panels::multiple}}};
  }

  /// How many terms the next part has where `rest` are left: Q of them where rest >= 2 Q, all where
  /// rest <= Q, else half of them, rounded up to a multiple of U.
  [[nodiscard]] std::size_t length(std::size_t rest) const {
    if (rest >= 2 * size) return size;
    if (rest <= size) return rest;
    return std::min(rest, (rest / 2 + multiple - 1) / multiple * multiple);
  }

  template <class Sum>
  typename Sum::Value sum(const Sum& s) const {
    typename Sum::Value acc{};
    for (std::size_t first = 0, end = 0; first < s.n; first = end) {
      end = first + length(s.n - first);
      acc = s.add(acc, s.chain(first, end));
    }
    return acc;
  }

  friend bool operator==(const Panels&, const Panels&) = default;
};

}  // namespace lamp
