// The orders of accumulation, written once over any scalar engine. A kernel that is faster must give the same bits.
#pragma once

#include <cstddef>
#include <span>

#include "core/arith/scalar.hpp"

namespace lamp {

/// sum over k < n of a(k) b(k) in `order`, from c; a and b are callables k -> binary64.
template <ScalarArithmetic A, class Left, class Right>
double ordered_dot(const A& fl, const Order& order, std::size_t n, Left&& a, Right&& b, double c = 0.0) {
  expects(order.kind == OrderKind::sequential, "ordered_dot: a known order");
  double s = c;
  for (std::size_t k = 0; k < n; ++k) s = fl.mac(a(k), b(k), s);
  return s;
}

/// sum of x in `order` from +0: the dot product of x with ones. Engines whose step c + x*1 is a plain addition say so by
/// `accumulate`, which has the same bits.
template <ScalarArithmetic A>
double ordered_sum(const A& fl, const Order& order, std::span<const double> x) {
  if constexpr (requires(double s) { fl.accumulate(s, s); }) {
    if (order.kind == OrderKind::sequential) {
      double s = 0.0;
      for (const double value : x) s = fl.accumulate(value, s);
      return s;
    }
  }
  return ordered_dot(fl, order, x.size(), [x](std::size_t k) { return x[k]; }, [](std::size_t) { return 1.0; });
}

}  // namespace lamp
