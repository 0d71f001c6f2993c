// Sums in any order of the catalog, over any scalar arithmetic. A kernel that is faster must give
// the same bits.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "core/arith/scalar.hpp"

namespace lamp {
namespace order_detail {

/// An evaluator that has orders of its own: the second implementation.
template <class A>
concept HasOwnOrders = requires(const A& fl, const Order& order,
                                const std::optional<MacSpec>& block, std::span<const double> x) {
  fl.dot(order, block, x, x, 0.0);
};
/// An evaluator that depends on what it computes for (stochastic rounding) and makes the evaluator
/// of a block itself.
template <class A>
concept MakesBlocks = requires(const A& fl, const MacSpec& spec) {
  fl.block(spec);
};

inline bool is_positive_zero(double x) { return x == 0.0 && !std::signbit(x); }

/// The evaluator of everything that happens once for many steps: one that rounds exact sums and
/// takes any operands.
template <class A>
decltype(auto) general(const A& fl) {
  if constexpr (requires(const ExactSum& sum) { fl.round(sum); }) {
    return (fl);
  } else {
    return GeneralArithmetic(fl.spec());
  }
}

/// What definitions of orders add (core/arith/orders/row.hpp), as numbers: a(k) b(k), k < n, of
/// rows that are rounded already, in the arithmetic fl; `inner` is that of blocks.
template <ScalarArithmetic A, ScalarArithmetic Inner, class Left, class Right>
class SumOfProducts {
 public:
  using Value = double;
  const std::size_t n;
  const double c;

  SumOfProducts(const A& fl, const Inner& inner, std::size_t n_, Left& a, Right& b, double c_)
      : n(n_), c(c_), fl_(fl), inner_(inner), a_(a), b_(b) {}

  [[nodiscard]] double mac(std::size_t k, double x) const {
    return fl_.mac_rounded(a_(k), b_(k), x);
  }
  [[nodiscard]] double product(std::size_t k) const { return mac(k, 0.0); }
  [[nodiscard]] double add(double x, double y) const { return fl_.add(x, y); }
  [[nodiscard]] double sub(double x, double y) const { return fl_.sub(x, y); }
  [[nodiscard]] double chain(std::size_t first, std::size_t last, std::size_t step = 1,
                             double x = 0.0) const {
    const A& fl = fl_;
    Left& a = a_;
    Right& b = b_;
    for (std::size_t k = first; k < last; k += step) x = fl.mac_rounded(a(k), b(k), x);
    return x;
  }
  [[nodiscard]] double chain_down(std::size_t first, std::size_t last, double x) const {
    for (std::size_t k = last; k > first; --k) x = mac(k - 1, x);
    return x;
  }
  [[nodiscard]] double block(std::size_t first, std::size_t last) const {
    double x = 0.0;
    for (std::size_t k = first; k < last; ++k) x = inner_.mac_rounded(a_(k), b_(k), x);
    return x;
  }

  /// fl of c and all exact products.
  [[nodiscard]] double exact() const {
    ExactSum sum;
    sum.add(c);
    for (std::size_t k = 0; k < n; ++k) sum.add_product(a_(k), b_(k));
    return fl_.round(sum);
  }
  /// x and the terms first .. last - 1 in one step of multiterm:N,F.
  [[nodiscard]] double multiterm_step(int fraction_bits, std::size_t first, std::size_t last,
                                      double x) const {
    const MacSpec& spec = fl_.spec();
    left_.resize(last - first), right_.resize(last - first);
    for (std::size_t k = 0; k < left_.size(); ++k) {
      left_[k] = a_(first + k);
      right_[k] = b_(first + k);
    }
    return fl_.round_by_engine(aligned_sum(spec, fraction_bits, left_, right_, x));
  }
  /// What the steps of a matrix engine start from.
  [[nodiscard]] double start_on_engine(double x) const { return fl_.round(x); }
  /// One pass of a matrix engine over x and the terms first + k, k < last - first, for which
  /// takes(k) holds.
  template <class Takes>
  [[nodiscard]] double engine_pass(const EngineStep& step, std::size_t first, std::size_t last,
                                   Takes&& takes, double x) const {
    left_.clear(), right_.clear();
    for (std::size_t k = first; k < last; ++k) {
      if (!takes(k - first)) continue;
      left_.push_back(a_(k));
      right_.push_back(b_(k));
    }
    const MacSpec pass{
        .operands = fl_.spec().operands, .format = step.output, .rounding = step.rounding};
    return aligned_sum(pass, step.fraction_bits, left_, right_, x, step.least_exponent)
        .rounded_by_engine(pass.format, pass.rounding);
  }
  [[nodiscard]] double engine(const EngineStep& step, std::size_t first, std::size_t last,
                              double x) const {
    return engine_steps(*this, step, first, last, x);
  }

 private:
  const A& fl_;
  const Inner& inner_;
  Left& a_;
  Right& b_;
  mutable std::vector<double> left_, right_;  // operands of a step
};

}  // namespace order_detail

/// sum over k < n of a(k) b(k) in `order` and with c as the order has it; a and b are callables k
/// -> binary64, operands that are rounded already. `inner` is the evaluator inside blocks. The
/// roundings happen in the order of the definitions, so evaluators may count them. Pre:
/// check_length(order, n).
template <ScalarArithmetic A, ScalarArithmetic Inner, class Left, class Right>
double ordered_dot(const A& fl, const Inner& inner, const Order& order, std::size_t n, Left&& a,
                   Right&& b, double c = 0.0) {
  const auto in_order = [&]<class O>(const O& o) {
    if constexpr (O::row.fixed_length)
      expects(n == 0 || o.terms() == n, "ordered_dot: a sum of the order's length (check_length)");
    constexpr bool rounds_once_for_many =
        O::row.kind == SumKind::steps || O::row.kind == SumKind::exact;
    if constexpr (O::row.c != CEnters::last) {
      if constexpr (rounds_once_for_many) {
        decltype(auto) any = order_detail::general(fl);
        return o.sum(order_detail::SumOfProducts(any, inner, n, a, b, c));
      } else {
        return o.sum(order_detail::SumOfProducts(fl, inner, n, a, b, c));
      }
    } else {
      double sum = 0.0;
      if (n > 0) {
        if constexpr (rounds_once_for_many) {
          decltype(auto) any = order_detail::general(fl);
          sum = o.sum(order_detail::SumOfProducts(any, inner, n, a, b, 0.0));
        } else {
          sum = o.sum(order_detail::SumOfProducts(fl, inner, n, a, b, 0.0));
        }
      }
      return order_detail::is_positive_zero(c) ? sum : fl.add(sum, c);
    }
  };
  return std::visit(in_order, order);
}

namespace order_detail {

/// Of rows that are rounded already, with the evaluator of blocks.
template <ScalarArithmetic A, class Left, class Right>
double dot_of_rounded(const A& fl, const Arithmetic& arithmetic, std::size_t n, Left& a, Right& b,
                      double c) {
  if (!row_of(arithmetic.order).has_blocks)
    return ordered_dot(fl, fl, arithmetic.order, n, a, b, c);
  if constexpr (MakesBlocks<A>) {
    return ordered_dot(fl, fl.block(arithmetic.steps()), arithmetic.order, n, a, b, c);
  } else {
    if (!arithmetic.block) return ordered_dot(fl, fl, arithmetic.order, n, a, b, c);
    // fl may be for binary32 operands only, and a block's sum may be any number.
    return visit_arithmetic(*arithmetic.block, std::is_same_v<A, Binary32Arithmetic>,
                            [&](const auto& inner) {
                              return ordered_dot(general(fl), inner, arithmetic.order, n, a, b, c);
                            });
  }
}

}  // namespace order_detail

/// The same in the arithmetic's order, with the evaluator of its blocks, of rows a and b that are
/// rounded to the arithmetic's operands first. fl has the bits of arithmetic.mac for these
/// operands.
template <ScalarArithmetic A, class Left, class Right>
double ordered_dot(const A& fl, const Arithmetic& arithmetic, std::size_t n, Left&& a, Right&& b,
                   double c = 0.0) {
  const std::optional<NumberSystem>& operands = arithmetic.steps().operands;
  if constexpr (!order_detail::HasOwnOrders<A>)
    if (!operands) return order_detail::dot_of_rounded(fl, arithmetic, n, a, b, c);
  std::vector<double> x(n), y(n);
  for (std::size_t k = 0; k < n; ++k) x[k] = a(k), y[k] = b(k);
  if constexpr (order_detail::HasOwnOrders<A>) {
    return fl.dot(arithmetic.order, arithmetic.block, x, y, c);
  } else {
    round_row(*operands, x, x);
    round_row(*operands, y, y);
    const auto left = [&x](std::size_t k) { return x[k]; };
    const auto right = [&y](std::size_t k) { return y[k]; };
    return order_detail::dot_of_rounded(fl, arithmetic, n, left, right, c);
  }
}

/// The same with blocks in the arithmetic of fl itself.
template <ScalarArithmetic A, class Left, class Right>
double ordered_dot(const A& fl, const Order& order, std::size_t n, Left&& a, Right&& b,
                   double c = 0.0) {
  return ordered_dot(fl, Arithmetic{.mac = fl.spec(), .order = order}, n, a, b, c);
}

/// sum of x in `order` from +0 (an Order, or an Arithmetic with its blocks): the dot product of x
/// with ones. Evaluators whose step c + x*1 is a plain addition say so by `accumulate`, which has
/// the same bits.
template <ScalarArithmetic A, class OrderOrArithmetic>
double ordered_sum(const A& fl, const OrderOrArithmetic& how, std::span<const double> x) {
  if constexpr (requires(double s) { fl.accumulate(s, s); }) {
    const Order* order = nullptr;
    if constexpr (std::is_same_v<OrderOrArithmetic, Order>)
      order = &how;
    else
      order = &how.order;
    if (is<Sequential>(*order)) {
      double s = 0.0;
      for (const double value : x) s = fl.accumulate(value, s);
      return s;
    }
  }
  return ordered_dot(
      fl, how, x.size(), [x](std::size_t k) { return x[k]; }, [](std::size_t) { return 1.0; });
}

}  // namespace lamp
