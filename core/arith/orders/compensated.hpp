// kahan, neumaier: sums of rounded products with a correction e of what the additions lost.
#pragma once

#include "core/arith/orders/row.hpp"

namespace lamp {

/// Kahan, "Further remarks on reducing truncation errors", CACM 8 (1965).
struct Kahan {
  static constexpr OrderRow row{.name = "kahan",
                                .kind = SumKind::compensated,
                                .c = CEnters::last,
                                .products = Products::alone};

  template <class Sum>
  typename Sum::Value sum(const Sum& s) const {
    typename Sum::Value total{}, e{};
    for (std::size_t k = 0; k < s.n; ++k) {
      const auto p = s.product(k);
      const auto y = s.sub(p, e);
      const auto t = s.add(total, y);
      e = s.sub(s.sub(t, total), y);
      total = t;
    }
    return total;
  }

  friend bool operator==(const Kahan&, const Kahan&) = default;
};

/// Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen", ZAMM 54
/// (1974).
struct Neumaier {
  static constexpr OrderRow row{.name = "neumaier",
                                .kind = SumKind::compensated,
                                .c = CEnters::last,
                                .products = Products::alone};

  template <class Sum>
  typename Sum::Value sum(const Sum& s) const {
    typename Sum::Value total{}, e{};
    for (std::size_t k = 0; k < s.n; ++k) {
      const auto p = s.product(k);
      const auto t = s.add(total, p);
      const auto [larger, smaller] = s.by_magnitude(total, p);
      const auto difference = s.sub(larger, t);
      e = s.add(e, s.add(difference, smaller));
      total = t;
    }
    return s.add(total, e);
  }

  friend bool operator==(const Neumaier&, const Neumaier&) = default;
};

}  // namespace lamp
