// Orders as a config writes them: "sequential", "blocked:32", "multiterm:8,24", "tree:((0 1) (2
// 3))".
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/arith/spec.hpp"
#include "core/base/result.hpp"

namespace lamp {

/// The order of a text. The error says what is wrong and what is legal there.
Result<Order> parse_order(std::string_view text);
/// The one text of an order: parse_order(order_text(order)) == order, for every order that has a
/// text (a matrix engine has a name instead). A tree is written as short as it can be.
std::string order_text(const Order& order);
/// How every order is written, for help and errors: "sequential, reverse, blocked:B, ...".
std::string order_forms();

/// Whether the order is for sums of one length only, as explicit trees are.
inline bool has_fixed_length(const Order& order) { return row_of(order).fixed_length; }

/// Checks that a sum of n terms can be taken in the order: a tree is for its own n only. The error
/// says which n is legal.
Result<void> check_length(const Order& order, std::size_t n);

}  // namespace lamp
