// Explicit summation trees, tree:((0 1) (2 3)): which partial sums are added to which, for a sum of
// n terms.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
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

  /// Reads a leaf or a node: "3", "((0 1) (2 3))"; blanks separate. The error says what is wrong at
  /// which character, and what is legal. `keep_lone_leaves`: (0) is not 0 where it is not the first
  /// child; of fused trees.
  static Result<SummationTree> parse(std::string_view text, bool keep_lone_leaves = false);
  [[nodiscard]] std::string text() const;

  /// n, the number of terms that the tree sums.
  [[nodiscard]] std::size_t terms() const { return terms_; }
  /// Leaves (their k), `open` and `close`, in the order of the text.
  [[nodiscard]] const std::vector<std::uint32_t>& tokens() const { return *tokens_; }

  /// The tree's value over any terms: term(k) is called with ascending position in the text, add(x,
  /// y) as soon as x and y are known. Takes memory, not stack, for deep trees.
  template <class Term, class Add>
  [[nodiscard]] auto evaluate(Term&& term, Add&& add) const;
  /// The value of the fused tree: every node sums from `zero`, a leaf k by mac(k, sum so far), a
  /// node by add(sum so far, its sum); a node that is the first child starts its parent's sum.
  template <class Value, class Mac, class Add>
  [[nodiscard]] Value evaluate_fused(Value zero, Mac&& mac, Add&& add) const;

  friend bool operator==(const SummationTree& x, const SummationTree& y) {
    return x.tokens_ == y.tokens_ || *x.tokens_ == *y.tokens_;
  }

 private:
  /// Shared by copies: an arithmetic with a long tree is copied often.
  std::shared_ptr<const std::vector<std::uint32_t>> tokens_ =
      std::make_shared<const std::vector<std::uint32_t>>();
  std::size_t terms_ = 0;
};

template <class Term, class Add>
auto SummationTree::evaluate(Term&& term, Add&& add) const {
  using Value = std::decay_t<std::invoke_result_t<Term, std::size_t>>;
  struct Partial {
    Value sum{};
    bool empty = true;
  };
  std::vector<Partial> nodes(1);  // the innermost open node last; the first stands for the whole
  for (const std::uint32_t token : tokens()) {
    if (token == open) {
      nodes.emplace_back();
      continue;
    }
    Value value{};
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

template <class Value, class Mac, class Add>
Value SummationTree::evaluate_fused(Value zero, Mac&& mac, Add&& add) const {
  struct Partial {
    Value sum;
    bool empty = true;
  };
  std::vector<Partial> nodes{{zero}};
  for (const std::uint32_t token : tokens()) {
    if (token == open) {
      nodes.push_back({zero});
      continue;
    }
    if (token != close) {
      nodes.back() = {mac(static_cast<std::size_t>(token), nodes.back().sum), false};
      continue;
    }
    const Value value = nodes.back().sum;
    nodes.pop_back();
    nodes.back() = {nodes.back().empty ? value : add(nodes.back().sum, value), false};
  }
  return nodes.front().sum;
}

}  // namespace lamp
