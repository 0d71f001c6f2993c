// split:S: S contiguous parts of ceil(n/S) terms, each sequential from +0, added in order to +0
// (split-K), each rounded to `part` first where that is given. The last part may be short; parts
// without terms are left out.
#pragma once

#include <algorithm>
#include <optional>

#include "core/arith/orders/row.hpp"
#include "core/fp/format.hpp"

namespace lamp {

struct Split {
  std::size_t parts = 1;              // S
  std::optional<FloatFormat> part{};  // what each part's sum is rounded to, RNE, before it is
                                      // added; absent: as it is. Not in the text

  static constexpr OrderRow row{.name = "split",
                                .kind = SumKind::tree,
                                .c = CEnters::last,
                                .products = Products::in_step,
                                .meaning = "the number of parts"};
  static constexpr std::array<Parameter<Split>, 1> parameters() {
    return {{{.letter = "S", .member = &Split::parts}}};
  }

  template <class Sum>
  typename Sum::Value sum(const Sum& s) const {
    const std::size_t size = (s.n + parts - 1) / parts;
    typename Sum::Value acc{};
    for (std::size_t first = 0; first < s.n; first += size)
      acc = s.add(acc, s.stored(s.chain(first, std::min(s.n, first + size)), part));
    return acc;
  }

  friend bool operator==(const Split&, const Split&) = default;
};

}  // namespace lamp
