// Explicit summation trees, tree:((0 1) (2 3)): which partial sums are added to which, for a sum of
// n terms.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace lamp {

/// A tree whose leaves are the terms 0..n-1, each once, and whose nodes add their children left to
/// right: (a b c) is (a + b) + c. Kept as written, one token for a leaf and for each parenthesis,
/// in the shortest way of writing it: (0 1 2) for ((0 1) 2), 0 for (0). So trees that add the same
/// numbers in the same way are equal.
class SummationTree {
 public:
  static constexpr std::size_t max_terms = std::size_t{1} << 20;
  static constexpr std::size_t max_nodes =
      std::size_t{1} << 20;  // pairs of parentheses, so the deepest nesting too

  static constexpr std::uint32_t open = ~std::uint32_t{0};
  static constexpr std::uint32_t close = open - 1;

  /// A leaf or a node: "3", "((0 1) (2 3))"; blanks separate. The error says what is wrong at which
  /// character, and what is legal. `keep_lone_leaves`: (0) is not 0 where it is not the first
  /// child; of fused trees.
  static Result<SummationTree> parse(std::string_view text, bool keep_lone_leaves = false);
  [[nodiscard]] std::string text() const;

  /// n: the tree sums this many terms, no other number.
  [[nodiscard]] std::size_t terms() const { return terms_; }
  /// Leaves (their k), `open` and `close`, in the order of the text.
  [[nodiscard]] const std::vector<std::uint32_t>& tokens() const { return tokens_; }

  /// The tree's value over any terms: term(k) is called with ascending position in the text, add(x,
  /// y) as soon as both are there. Takes memory, not stack, for deep trees.
  template <class Term, class Add>
  [[nodiscard]] double evaluate(Term&& term, Add&& add) const;
  /// The value of the fused tree: every node sums from +0, a leaf k by mac(k, sum so far), a node
  /// by add(sum so far, its sum); a node that is the first child starts its parent's sum.
  template <class Mac, class Add>
  [[nodiscard]] double evaluate_fused(Mac&& mac, Add&& add) const;

  friend bool operator==(const SummationTree&, const SummationTree&) = default;

 private:
  std::vector<std::uint32_t> tokens_;
  std::size_t terms_ = 0;
};

template <class Term, class Add>
double SummationTree::evaluate(Term&& term, Add&& add) const {
  struct Partial {
    double sum = 0.0;
    bool empty = true;
  };
  std::vector<Partial> nodes(1);  // the innermost open node last; the first stands for the whole
  for (const std::uint32_t token : tokens_) {
    if (token == open) {
      nodes.emplace_back();
      continue;
    }
    double value = 0.0;
    if (token == close) {
      value = nodes.back().sum;
      nodes.pop_back();
    } else {
      value = term(static_cast<std::size_t>(token));
    }
    Partial& node = nodes.back();
    node.sum = node.empty ? value : add(node.sum, value);
    node.empty = false;
  }
  return nodes.front().sum;
}

template <class Mac, class Add>
double SummationTree::evaluate_fused(Mac&& mac, Add&& add) const {
  struct Partial {
    double sum = 0.0;
    bool empty = true;
  };
  std::vector<Partial> nodes(1);
  for (const std::uint32_t token : tokens_) {
    if (token == open) {
      nodes.emplace_back();
      continue;
    }
    if (token != close) {
      nodes.back() = {mac(static_cast<std::size_t>(token), nodes.back().sum), false};
      continue;
    }
    const double value = nodes.back().sum;
    nodes.pop_back();
    nodes.back() = {nodes.back().empty ? value : add(nodes.back().sum, value), false};
  }
  return nodes.front().sum;
}

}  // namespace lamp
