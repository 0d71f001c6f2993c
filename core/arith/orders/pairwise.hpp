// pairwise:B: n <= B: sequential from +0; else m = floor(n/2), (first m) + (last n - m), each so.
#pragma once

#include "core/arith/orders/row.hpp"

namespace lamp {

struct Pairwise {
  std::size_t size = 1;  // B, the most terms that are added one after the other

  static constexpr OrderRow row{.name = "pairwise",
                                .kind = SumKind::tree,
                                .c = CEnters::last,
                                .products = Products::in_step,
                                .meaning = "the most terms that are added one after the other"};
  static constexpr std::array<Parameter<Pairwise>, 1> parameters() {
    return {{{.letter = "B", .member = &Pairwise::size}}};
  }

  template <class Sum>
  typename Sum::Value sum(const Sum& s) const {
    return part(s, 0, s.n);
  }

  friend bool operator==(const Pairwise&, const Pairwise&) = default;

 private:
  template <class Sum>
  typename Sum::Value part(const Sum& s, std::size_t first, std::size_t n) const {
    if (n <= size) return s.chain(first, first + n);
    const std::size_t m = n / 2;
    const typename Sum::Value left = part(s, first, m);
    return s.add(left, part(s, first + m, n - m));
  }
};

}  // namespace lamp
