// The orders of accumulation, written once over any scalar engine: the table of README.md line by
// line. A kernel that is faster must give the same bits.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "core/arith/orders/tree.hpp"
#include "core/arith/scalar.hpp"

namespace lamp {
namespace order_detail {

/// An engine that evaluates orders by itself: the second implementation.
template <class A>
concept HasOwnOrders = requires(const A& fl, const Order& order,
                                const std::optional<MacSpec>& block, std::span<const double> x) {
  fl.dot(order, block, x, x, 0.0);
};
/// An engine that depends on what it computes for (stochastic rounding) and makes the engine of a
/// block itself.
template <class A>
concept MakesBlocks = requires(const A& fl, const MacSpec& spec) {
  fl.block(spec);
};

inline bool is_positive_zero(double x) { return x == 0.0 && !std::signbit(x); }

/// The engine of everything that happens once for many steps: one that rounds exact sums and takes
/// any operands.
template <class A>
decltype(auto) general(const A& fl) {
  if constexpr (requires(const ExactSum& sum) { fl.round(sum); }) {
    return (fl);
  } else {
    return GeneralArithmetic(fl.spec());
  }
}

/// Terms first, first + step, .. below `last` from s, one multiply-accumulate each.
template <ScalarArithmetic A, class Left, class Right>
double sequential(const A& fl, std::size_t first, std::size_t last, std::size_t step, Left& a,
                  Right& b, double s) {
  for (std::size_t k = first; k < last; k += step) s = fl.mac(a(k), b(k), s);
  return s;
}

template <ScalarArithmetic A, ScalarArithmetic Inner, class Left, class Right>
double blocked(const A& fl, const Inner& inner, std::size_t size, std::size_t n, Left& a,
               Right& b) {
  double acc = 0.0;
  for (std::size_t first = 0; first < n; first += size)
    acc = fl.add(acc, sequential(inner, first, std::min(n, first + size), 1, a, b, 0.0));
  return acc;
}

template <ScalarArithmetic A, class Left, class Right>
double pairwise(const A& fl, std::size_t size, std::size_t first, std::size_t n, Left& a,
                Right& b) {
  if (n <= size) return sequential(fl, first, first + n, 1, a, b, 0.0);
  const std::size_t m = n / 2;
  const double left = pairwise(fl, size, first, m, a, b);
  return fl.add(left, pairwise(fl, size, first + m, n - m, a, b));
}

template <ScalarArithmetic A, class Left, class Right>
double lanes(const A& fl, std::size_t count, std::size_t n, Left& a, Right& b) {
  std::vector<double> s(count);
  for (std::size_t l = 0; l < count; ++l) s[l] = sequential(fl, l, n, count, a, b, 0.0);
  for (std::size_t width = count / 2; width > 0; width /= 2)
    for (std::size_t l = 0; l < width; ++l) s[l] = fl.add(s[l], s[l + width]);
  return s[0];
}

template <ScalarArithmetic A, class Left, class Right>
double split(const A& fl, std::size_t parts, std::size_t n, Left& a, Right& b) {
  return blocked(fl, fl, (n + parts - 1) / parts, n, a,
                 b);  // the parts that are left empty are no blocks
}

/// OpenBLAS's parts of a long sum: of Q terms while two more follow, then one or two of about half
/// of the rest, the first a multiple of U.
inline std::size_t panel_length(const Order& order, std::size_t rest) {
  if (rest >= 2 * order.size) return order.size;
  if (rest <= order.size) return rest;
  return std::min(rest, (rest / 2 + order.multiple - 1) / order.multiple * order.multiple);
}

template <ScalarArithmetic A, class Left, class Right>
double panels(const A& fl, const Order& order, std::size_t n, Left& a, Right& b) {
  double acc = 0.0;
  for (std::size_t first = 0, length = 0; first < n; first += length) {
    length = panel_length(order, n - first);
    acc = fl.add(acc, sequential(fl, first, first + length, 1, a, b, 0.0));
  }
  return acc;
}

template <ScalarArithmetic A, class Left, class Right>
double lane_tree(const A& fl, const SummationTree& lanes, std::size_t n, Left& a, Right& b) {
  std::vector<double> s(lanes.terms());
  for (std::size_t l = 0; l < s.size(); ++l) s[l] = sequential(fl, l, n, s.size(), a, b, 0.0);
  return lanes.evaluate([&](std::size_t l) { return s[l]; },
                        [&](double x, double y) { return fl.add(x, y); });
}

/// numpy's pairwise sum of the n rounded products from `first` on: eight lanes, neighbours first,
/// then the tail; above 128 terms halves, the first a multiple of eight. Pre: n > 0.
template <ScalarArithmetic A, class Left, class Right>
double numpy_pairwise(const A& fl, std::size_t first, std::size_t n, Left& a, Right& b) {
  constexpr std::size_t most = 128, width = 8;
  if (n > most) {
    const std::size_t m = n / 2 / width * width;
    const double left = numpy_pairwise(fl, first, m, a, b);
    return fl.add(left, numpy_pairwise(fl, first + m, n - m, a, b));
  }
  const auto product = [&](std::size_t k) { return fl.mac(a(first + k), b(first + k), 0.0); };
  const std::size_t lanes = n < width ? 1 : width, tail = n / lanes * lanes;
  std::array<double, width> s{};
  for (std::size_t l = 0; l < lanes; ++l) {
    s[l] = product(l);
    for (std::size_t k = l + lanes; k < tail; k += lanes) s[l] = fl.add(s[l], product(k));
  }
  for (std::size_t apart = 1; apart < lanes; apart *= 2)
    for (std::size_t l = 0; l < lanes; l += 2 * apart) s[l] = fl.add(s[l], s[l + apart]);
  for (std::size_t k = tail; k < n; ++k) s[0] = fl.add(s[0], product(k));
  return s[0];
}

/// numpy.sum of rounded products, a buffer of them after the other.
template <ScalarArithmetic A, class Left, class Right>
double numpy_sum(const A& fl, std::size_t buffer, std::size_t n, Left& a, Right& b) {
  double acc = 0.0;
  for (std::size_t first = 0; first < n; first += buffer)
    acc = fl.add(acc, numpy_pairwise(fl, first, std::min(buffer, n - first), a, b));
  return acc;
}

/// Kahan, "Further remarks on reducing truncation errors", CACM 8 (1965), on rounded products.
template <ScalarArithmetic A, class Left, class Right>
double kahan(const A& fl, std::size_t n, Left& a, Right& b) {
  double s = 0.0, e = 0.0;
  for (std::size_t k = 0; k < n; ++k) {
    const double p = fl.mac(a(k), b(k), 0.0);
    const double y = fl.sub(p, e);
    const double t = fl.add(s, y);
    e = fl.sub(fl.sub(t, s), y);
    s = t;
  }
  return s;
}

/// Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen", ZAMM 54
/// (1974), on rounded products.
template <ScalarArithmetic A, class Left, class Right>
double neumaier(const A& fl, std::size_t n, Left& a, Right& b) {
  double s = 0.0, e = 0.0;
  for (std::size_t k = 0; k < n; ++k) {
    const double p = fl.mac(a(k), b(k), 0.0);
    const double t = fl.add(s, p);
    const bool sum_is_larger = std::abs(s) >= std::abs(p);
    const double larger = sum_is_larger ? s : p, smaller = sum_is_larger ? p : s;
    const double difference = fl.sub(larger, t);
    e = fl.add(e, fl.add(difference, smaller));
    s = t;
  }
  return fl.add(s, e);
}

template <ScalarArithmetic A, class Left, class Right>
double tree(const A& fl, const SummationTree& tree, std::size_t n, Left& a, Right& b) {
  expects(tree.terms() == n, "ordered_dot: as many terms as the tree has (check_length)");
  return tree.evaluate([&](std::size_t k) { return fl.mac(a(k), b(k), 0.0); },
                       [&](double x, double y) { return fl.add(x, y); });
}

template <ScalarArithmetic A, class Left, class Right>
double fused_tree(const A& fl, const SummationTree& tree, std::size_t n, Left& a, Right& b) {
  expects(tree.terms() == n, "ordered_dot: as many terms as the tree has (check_length)");
  return tree.evaluate_fused([&](std::size_t k, double s) { return fl.mac(a(k), b(k), s); },
                             [&](double x, double y) { return fl.add(x, y); });
}

inline double operand(const MacSpec& mac, double x) {
  return mac.operands ? round(x, *mac.operands) : x;
}

template <class A, class Left, class Right>
double exact(const A& fl, std::size_t n, Left& a, Right& b, double c) {
  const MacSpec& mac = fl.spec();
  ExactSum sum;
  sum.add(c);
  for (std::size_t k = 0; k < n; ++k) sum.add_product(operand(mac, a(k)), operand(mac, b(k)));
  return fl.round(sum);
}

template <class A, class Left, class Right>
double multiterm(const A& fl, std::size_t size, int fraction_bits, std::size_t n, Left& a, Right& b,
                 double c) {
  const MacSpec& mac = fl.spec();
  std::vector<double> x(std::min(size, n)), y(x.size());
  for (std::size_t first = 0; first < n; first += size) {
    const std::size_t count = std::min(size, n - first);
    for (std::size_t k = 0; k < count; ++k)
      x[k] = operand(mac, a(first + k)), y[k] = operand(mac, b(first + k));
    c = fl.round_by_engine(
        aligned_sum(mac, fraction_bits, std::span(x).first(count), std::span(y).first(count), c));
  }
  return c;
}

/// One pass of a matrix engine over the terms k < n for which takes(k) holds, and c: a step of
/// multiterm.
template <class Left, class Right, class Takes>
double engine_pass(const MacSpec& pass, const EngineStep& step, std::size_t first, std::size_t last,
                   Left& a, Right& b, Takes&& takes, double c) {
  std::vector<double> x, y;
  for (std::size_t k = first; k < last; ++k) {
    if (!takes(k - first)) continue;
    x.push_back(operand(pass, a(k)));
    y.push_back(operand(pass, b(k)));
  }
  return aligned_sum(pass, step.fraction_bits, x, y, c, step.least_exponent)
      .rounded_by_engine(pass.format, pass.rounding);
}

template <class A, class Left, class Right>
double engine(const A& fl, const EngineStep& step, std::size_t n, Left& a, Right& b, double c) {
  const MacSpec pass{
      .operands = fl.spec().operands, .format = step.output, .rounding = step.rounding};
  const auto every = [](std::size_t) { return true; };
  c = fl.round(c);
  for (std::size_t first = 0; first < n; first += step.products) {
    const std::size_t last = std::min(n, first + step.products);
    const auto run = [&](auto&& takes, double from) {
      return engine_pass(pass, step, first, last, a, b, takes, from);
    };
    switch (step.protocol) {
      case EngineProtocol::fused:
        c = run(every, c);
        break;
      case EngineProtocol::separate:
        c = fl.add(run(every, 0.0), c);
        break;
      case EngineProtocol::interleaved: {
        const double half = run([](std::size_t k) { return k / 2 % 2 == 0; }, 0.0);
        c = fl.add(run([](std::size_t k) { return k / 2 % 2 == 1; }, half), c);
        break;
      }
    }
  }
  return c;
}

/// Split-K on a matrix engine: contiguous parts of ceil(n/S) terms, each the engine's sum from +0,
/// added in order to +0.
template <class A, class Left, class Right>
double split_engine(const A& fl, const Order& order, std::size_t n, Left& a, Right& b) {
  const std::size_t size = (n + order.size - 1) / order.size;
  double sum = 0.0;
  for (std::size_t first = 0; first < n; first += size) {
    const auto left = [&](std::size_t k) { return a(first + k); };
    const auto right = [&](std::size_t k) { return b(first + k); };
    sum =
        fl.add(sum, engine(general(fl), order.engine, std::min(size, n - first), left, right, 0.0));
  }
  return sum;
}

/// Orders that end with c: their sum from +0. Pre: n > 0.
template <ScalarArithmetic A, ScalarArithmetic Inner, class Left, class Right>
double sum_without_c(const A& fl, const Inner& inner, const Order& order, std::size_t n, Left& a,
                     Right& b) {
  switch (order.kind) {
    case OrderKind::blocked:
      return blocked(fl, inner, order.size, n, a, b);
    case OrderKind::pairwise:
      return pairwise(fl, order.size, 0, n, a, b);
    case OrderKind::lanes:
      return lanes(fl, order.size, n, a, b);
    case OrderKind::split:
      return split(fl, order.size, n, a, b);
    case OrderKind::panels:
      return panels(fl, order, n, a, b);
    case OrderKind::lane_tree:
      return lane_tree(fl, *order.tree, n, a, b);
    case OrderKind::numpy_sum:
      return numpy_sum(fl, order.size, n, a, b);
    case OrderKind::kahan:
      return kahan(fl, n, a, b);
    case OrderKind::neumaier:
      return neumaier(fl, n, a, b);
    case OrderKind::tree:
      return tree(fl, *order.tree, n, a, b);
    case OrderKind::fused_tree:
      return fused_tree(fl, *order.tree, n, a, b);
    case OrderKind::engine:
      return split_engine(fl, order, n, a, b);
    case OrderKind::sequential:
    case OrderKind::reverse:
    case OrderKind::multiterm:
    case OrderKind::exact:
      break;  // start with c: ordered_dot
  }
  contract_violated("ordered_dot: an order of the catalog");
}

}  // namespace order_detail

/// sum over k < n of a(k) b(k) in `order` and with c as the order has it; a and b are callables k
/// -> binary64. `inner` is the engine inside the blocks of blocked:B. The roundings happen in the
/// order of README.md's definitions, so engines may count them. Pre: a tree order is given as many
/// terms as it has.
template <ScalarArithmetic A, ScalarArithmetic Inner, class Left, class Right>
double ordered_dot(const A& fl, const Inner& inner, const Order& order, std::size_t n, Left&& a,
                   Right&& b, double c = 0.0) {
  if (order.kind == OrderKind::sequential) return order_detail::sequential(fl, 0, n, 1, a, b, c);
  if (order.kind == OrderKind::reverse) {
    const auto left = [&](std::size_t k) { return a(n - 1 - k); };
    const auto right = [&](std::size_t k) { return b(n - 1 - k); };
    return order_detail::sequential(fl, 0, n, 1, left, right, c);
  }
  if (order.kind == OrderKind::multiterm)
    return order_detail::multiterm(order_detail::general(fl), order.size, order.fraction_bits, n, a,
                                   b, c);
  if (order.kind == OrderKind::exact)
    return order_detail::exact(order_detail::general(fl), n, a, b, c);
  if (order.kind == OrderKind::engine && !order.splits_engine())
    return order_detail::engine(order_detail::general(fl), order.engine, n, a, b, c);
  const double sum = n == 0 ? 0.0 : order_detail::sum_without_c(fl, inner, order, n, a, b);
  return order_detail::is_positive_zero(c) ? sum : fl.add(sum, c);
}

/// The same in the arithmetic's order, with the engine of its blocks. fl has the bits of
/// arithmetic.mac for these operands.
template <ScalarArithmetic A, class Left, class Right>
double ordered_dot(const A& fl, const Arithmetic& arithmetic, std::size_t n, Left&& a, Right&& b,
                   double c = 0.0) {
  if constexpr (order_detail::HasOwnOrders<A>) {
    std::vector<double> x(n), y(n);
    for (std::size_t k = 0; k < n; ++k) x[k] = a(k), y[k] = b(k);
    return fl.dot(arithmetic.order, arithmetic.block, x, y, c);
  } else {
    if (arithmetic.order.kind != OrderKind::blocked)
      return ordered_dot(fl, fl, arithmetic.order, n, a, b, c);
    if constexpr (order_detail::MakesBlocks<A>) {
      return ordered_dot(fl, fl.block(arithmetic.block ? *arithmetic.block : arithmetic.mac),
                         arithmetic.order, n, a, b, c);
    } else {
      if (!arithmetic.block) return ordered_dot(fl, fl, arithmetic.order, n, a, b, c);
      // fl may be for binary32 operands only, and a block's sum may be any number.
      return visit_arithmetic(
          *arithmetic.block, std::is_same_v<A, Binary32Arithmetic>, [&](const auto& inner) {
            return ordered_dot(order_detail::general(fl), inner, arithmetic.order, n, a, b, c);
          });
    }
  }
}

/// The same with blocks in the arithmetic of fl itself.
template <ScalarArithmetic A, class Left, class Right>
double ordered_dot(const A& fl, const Order& order, std::size_t n, Left&& a, Right&& b,
                   double c = 0.0) {
  if constexpr (order_detail::HasOwnOrders<A> || order_detail::MakesBlocks<A>) {
    return ordered_dot(fl, Arithmetic{.mac = fl.spec(), .order = order}, n, a, b, c);
  } else {
    return ordered_dot(fl, fl, order, n, a, b, c);
  }
}

/// sum of x in `order` from +0 (an Order, or an Arithmetic with its blocks): the dot product of x
/// with ones. Engines whose step c + x*1 is a plain addition say so by `accumulate`, which has the
/// same bits.
template <ScalarArithmetic A, class OrderOrArithmetic>
double ordered_sum(const A& fl, const OrderOrArithmetic& how, std::span<const double> x) {
  if constexpr (requires(double s) { fl.accumulate(s, s); }) {
    const Order* order = nullptr;
    if constexpr (std::is_same_v<OrderOrArithmetic, Order>)
      order = &how;
    else
      order = &how.order;
    if (order->kind == OrderKind::sequential) {
      double s = 0.0;
      for (const double value : x) s = fl.accumulate(value, s);
      return s;
    }
  }
  return ordered_dot(
      fl, how, x.size(), [x](std::size_t k) { return x[k]; }, [](std::size_t) { return 1.0; });
}

}  // namespace lamp
