// Sums in any order of the catalog, over any scalar arithmetic. A kernel that is faster must give
// the same bits.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "core/arith/scalar.hpp"
#include "core/arith/stochastic.hpp"

namespace lamp {

/// sum over k of a[k] b[k] in the arithmetic's order, with c as the order has it and blocks in
/// their own arithmetic, of rows a and b that are rounded to the arithmetic's operands first. fl
/// has the bits of arithmetic.mac for these operands. The roundings happen in the order of the
/// definitions, so fl may count them. Pre: a.size() == b.size(), check_length(order, a.size()).
double ordered_dot(const GeneralArithmetic& fl, const Arithmetic& arithmetic,
                   std::span<const double> a, std::span<const double> b, double c = 0.0);
double ordered_dot(const Binary64Arithmetic& fl, const Arithmetic& arithmetic,
                   std::span<const double> a, std::span<const double> b, double c = 0.0);
double ordered_dot(const Binary32Arithmetic& fl, const Arithmetic& arithmetic,
                   std::span<const double> a, std::span<const double> b, double c = 0.0);
double ordered_dot(const StochasticArithmetic& fl, const Arithmetic& arithmetic,
                   std::span<const double> a, std::span<const double> b, double c = 0.0);

/// An evaluator that has orders of its own: the second implementation.
template <class A>
concept HasOwnOrders = requires(const A& fl, const Order& order,
                                const std::optional<MacSpec>& block, std::span<const double> x) {
  fl.dot(order, block, x, x, 0.0);
};
template <HasOwnOrders A>
double ordered_dot(const A& fl, const Arithmetic& arithmetic, std::span<const double> a,
                   std::span<const double> b, double c = 0.0) {
  return fl.dot(arithmetic.order, arithmetic.block, a, b, c);
}

/// sum of x in the arithmetic's order from +0: the dot product of x with ones. Evaluators whose
/// step c + x*1 is a plain addition say so by `accumulate`, which has the same bits; the type of
/// its sum is the evaluator's own.
template <ScalarArithmetic A>
double ordered_sum(const A& fl, const Arithmetic& arithmetic, std::span<const double> x) {
  if constexpr (requires { fl.accumulate(0.0, {}); }) {
    if (is<Sequential>(arithmetic.order)) {
      auto s = fl.accumulate(0.0, {});
      for (const double value : x) s = fl.accumulate(value, s);
      return static_cast<double>(s);
    }
  }
  thread_local std::vector<double> ones;
  if (ones.size() < x.size()) ones.resize(x.size(), 1.0);
  return ordered_dot(fl, arithmetic, x, std::span(ones).first(x.size()));
}

}  // namespace lamp
