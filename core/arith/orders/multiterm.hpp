// multiterm:N,F: the step of a matrix engine. The sum so far and up to N exact products are aligned
// to the largest exponent, each truncated to F fraction bits, added exactly, rounded once.
#pragma once

#include <algorithm>

#include "core/arith/orders/row.hpp"

namespace lamp {

struct Multiterm {
  std::size_t size = 1;   // N
  int fraction_bits = 0;  // F

  static constexpr OrderRow row{.name = "multiterm",
                                .kind = SumKind::steps,
                                .c = CEnters::start,
                                .products = Products::exact,
                                .meaning = "the terms of a step, and the fraction bits kept"};
  /// Products of binary64 numbers span 4300 bits: F = 10,000 truncates nothing.
  static constexpr std::array<Parameter<Multiterm>, 2> parameters() {
    return {{{.letter = "N", .member = &Multiterm::size},
             {.letter = "F", .member = &Multiterm::fraction_bits, .least = 0, .most = 10'000}}};
  }

  template <class Sum>
  typename Sum::Value sum(const Sum& s) const {
    typename Sum::Value acc = s.c;
    for (std::size_t first = 0; first < s.n; first += size)
      acc = s.multiterm_step(fraction_bits, first, std::min(s.n, first + size), acc);
    return acc;
  }

  friend bool operator==(const Multiterm&, const Multiterm&) = default;
};

}  // namespace lamp
