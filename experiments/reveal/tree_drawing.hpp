// A summation tree drawn with lines of text, short where it is regular.
#pragma once

#include <string>

#include "core/arith/reveal/addition_tree.hpp"

namespace lamp::experiments {

/// Parts that are the same but for a shift of their terms are drawn once: "4 parts alike, 32
/// apart". Terms and parts at one level are added one after the other, in the order of the lines.
/// Pre: the tree has a term.
std::string drawing(const AdditionTree& tree);

}  // namespace lamp::experiments
