// The orders of accumulation: each is a file of this folder with its parameters, its row and its
// definition (row.hpp says what these are), and a line here.
#pragma once

#include <type_traits>
#include <utility>
#include <variant>

#include "core/arith/orders/blocked.hpp"
#include "core/arith/orders/compensated.hpp"
#include "core/arith/orders/exact.hpp"
#include "core/arith/orders/lane_tree.hpp"
#include "core/arith/orders/lanes.hpp"
#include "core/arith/orders/matrix_engine.hpp"
#include "core/arith/orders/multiterm.hpp"
#include "core/arith/orders/numpy_sum.hpp"
#include "core/arith/orders/pairwise.hpp"
#include "core/arith/orders/panels.hpp"
#include "core/arith/orders/sequential.hpp"
#include "core/arith/orders/split.hpp"
#include "core/arith/orders/tree.hpp"

namespace lamp {

/// An order of accumulation. Help lists the alternatives in this sequence; their numbers never
/// leave the process.
using Order = std::variant<Sequential,    //
                           Reverse,       //
                           Blocked,       //
                           Pairwise,      //
                           Lanes,         //
                           Split,         //
                           Panels,        //
                           LaneTree,      //
                           NumpySum,      //
                           Multiterm,     //
                           Kahan,         //
                           Neumaier,      //
                           Exact,         //
                           Tree,          //
                           FusedTree,     //
                           MatrixEngine,  //
                           SplitEngine>;

template <class O>
bool is(const Order& order) {
  return std::holds_alternative<O>(order);
}

inline const OrderRow& row_of(const Order& order) {
  return std::visit([]<class O>(const O&) -> const OrderRow& { return O::row; }, order);
}

/// Calls visitor(std::type_identity<O>{}) for every order O, in the catalog's sequence.
template <class Visitor>
void for_each_order(Visitor&& visitor) {
  [&]<std::size_t... i>(std::index_sequence<i...>) {
    (visitor(std::type_identity<std::variant_alternative_t<i, Order>>{}), ...);
  }
  (std::make_index_sequence<std::variant_size_v<Order>>{});
}

/// The step of a matrix engine's order, whole or split; null for other orders.
inline const EngineStep* engine_step(const Order& order) {
  if (const auto* whole = std::get_if<MatrixEngine>(&order)) return &whole->step;
  const auto* split = std::get_if<SplitEngine>(&order);
  return split != nullptr ? &split->step : nullptr;
}

/// What the sums of parts are rounded to before they are added; null: they are as they are, or the
/// order has no parts.
inline const FloatFormat* part_of(const Order& order) {
  return std::visit(
      []<class O>(const O& o) -> const FloatFormat* {
        if constexpr (requires { o.part; })
          return o.part ? &*o.part : nullptr;
        else
          return nullptr;
      },
      order);
}

}  // namespace lamp
