// What an order of accumulation says of itself: its row. Texts, ranges, help, checks of length,
// `reveal` and the choice of a fast path read it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <variant>

#include "core/base/names.hpp"

namespace lamp {

class SummationTree;

/// How the order adds. `tree`: additions alone, each partial sum used once. `steps`: a tree too, of
/// steps that add more than two numbers at once. `compensated`: subtractions too. `exact`: one
/// rounding.
enum class SumKind : std::uint8_t { tree, steps, compensated, exact };

/// Where c enters. `start`: the first step adds to it, as it is. `last`: fl(sum + c), left out
/// where c is +0. `term`: it is one of the terms.
enum class CEnters : std::uint8_t { start, last, term };
inline constexpr std::array<NamedValue<CEnters>, 3> c_enters_names{
    {{"starts", CEnters::start}, {"last", CEnters::last}, {"a term", CEnters::term}}};
static_assert(names_all(c_enters_names));

/// How a product enters a sum. `in_step`: by a multiply-accumulate. `alone`: rounded before it is
/// added. `as_written`: either, as the text of the order says. `exact`: not rounded.
enum class Products : std::uint8_t { in_step, alone, as_written, exact };
inline constexpr std::array<NamedValue<Products>, 4> products_names{
    {{"in the step", Products::in_step},
     {"rounded alone", Products::alone},
     {"as written", Products::as_written},
     {"exact", Products::exact}}};
static_assert(names_all(products_names));

struct OrderRow {
  std::string_view name;  // empty: the order has no text of its own
  SumKind kind;
  CEnters c;
  Products products;
  bool fixed_length = false;      // for sums of one length, which is terms()
  bool has_blocks = false;        // some steps are of Arithmetic::block
  std::string_view meaning = {};  // what the parameters are, for error messages
};

/// A parameter that is a number, and its legal range.
template <class O>
struct Parameter {
  std::string_view letter;  // as help writes it
  std::variant<std::size_t O::*, int O::*> member;
  std::size_t least = 1;
  std::size_t most = 1'000'000'000;
  bool power_of_two = false;
};

/// A parameter that is a tree. `keep_lone_leaves`: as SummationTree::parse has it.
template <class O>
struct TreeParameter {
  SummationTree O::*member;
  bool keep_lone_leaves = false;
};

// An order is a struct of its parameters with
//   row           an OrderRow
//   parameters()  an array of Parameter, in the order of the text, or one TreeParameter; a struct
//                 without members has none
//   sum(s)        its definition, a template over what it adds: s is a SumOf.. that has
//     Value                        a partial sum; Value{} is +0
//     n, c                         the number of terms; what an order starts with
//     mac(k, x)                    x + a_k b_k, one multiply-accumulate
//     product(k)                   +0 + a_k b_k: rounded alone
//     add(x, y)                    one rounded addition
//     chain(first, last, step, x)  x = mac(k, x) for k = first, first + step, .. below last
//     chain_down(first, last, x)   the same for k = last - 1, .., first
//     block(first, last)           a chain from +0 in the arithmetic of blocks
//     stored(x, F)                 x rounded RNE to a format F where there is one: no step, no draw
//   and, for the orders that need them, add_products below, which some sums have at once; sub(x,
//   y), by_magnitude(x, y): the pair with the larger magnitude first, x where they are equal;
//   exact(), multiterm_step, engine, engine_pass, start_on_engine
//   (core/arith/orders/ordered_dot.cpp).
// The definition fixes the order of these calls, because stochastic modes count them.

/// x = add(x, product(k)) for k = first, first + step, .. below last.
template <class Sum, class Value = typename Sum::Value>
Value add_products(const Sum& s, std::size_t first, std::size_t last, std::size_t step, Value x) {
  if constexpr (requires { s.add_products(first, last, step, x); })
    if (s.adds_products()) return s.add_products(first, last, step, std::move(x));
  for (std::size_t k = first; k < last; k += step) x = s.add(x, s.product(k));
  return x;
}

}  // namespace lamp
