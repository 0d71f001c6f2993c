// The names of a summation tree: which orders of the catalog have it.
#pragma once

#include <vector>

#include "core/arith/reveal/addition_tree.hpp"
#include "core/arith/spec.hpp"

namespace lamp {

/// The orders with a name and this tree, the simplest first: sequential, reverse, blocked:B,
/// pairwise:B, split:S, ..; of groups multiterm:N,F for every F, with F = 0 here. Explicit trees
/// are not among them. Every order without parameters is tried; those with parameters are listed
/// here.
std::vector<Order> orders_of(const AdditionTree& tree);

}  // namespace lamp
