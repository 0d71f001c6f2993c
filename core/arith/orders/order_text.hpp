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
/// Its one text: parse_order(order_text(order)) == order, for every order that a text gives (a
/// matrix engine has none, but a name). A tree is written as short as it can be.
std::string order_text(const Order& order);
/// Every order as it is written, for help and errors: "sequential, reverse, blocked:B, ...".
std::string order_forms();

/// For sums of one length: explicit trees.
inline bool has_fixed_length(const Order& order) { return row_of(order).fixed_length; }

/// A sum of n terms can be taken in the order: a tree is for its own n only. The error says which n
/// is legal.
Result<void> check_length(const Order& order, std::size_t n);

}  // namespace lamp
