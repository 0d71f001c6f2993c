// Which partial sums of a sum are added to which, whatever the arithmetic: the shape that an order
// has, and that `reveal` finds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/arith/spec.hpp"

namespace lamp {

/// A tree whose leaves are the terms 0..n-1, each once. A node of two children is an addition; a
/// node of more is a group, added in one step (a matrix engine's). Children have no order: +
/// commutes.
class AdditionTree {
 public:
  using Index = std::uint32_t;
  struct Node {
    Index term = 0;      // of a leaf
    bool fused = false;  // of a leaf: a multiply-accumulate on the sum it is added to; else a
                         // product that is rounded alone
    std::vector<Index> children{};  // empty: a leaf. Else at least two, numbers of earlier nodes
  };
  static constexpr Index open = ~Index{0}, close = open - 1, open_group = open - 2,
                         close_group = open - 3;

  /// Both return the new node's number; the last one is the root.
  Index leaf(std::size_t term, bool fused = false);
  Index add(std::vector<Index> children);

  [[nodiscard]] const std::vector<Node>& nodes() const { return nodes_; }
  [[nodiscard]] std::size_t terms() const { return nodes_.size() - additions_; }
  [[nodiscard]] bool has_groups() const { return has_groups_; }
  /// Additions on the longest way from a term to the sum.
  [[nodiscard]] std::size_t depth() const;

  /// The tree as text, in one way: partial sums before terms, both by their least term; (0 1 2) for
  /// ((0 1) 2), groups in braces {0 1 2 3}.
  [[nodiscard]] std::vector<Index> tokens() const;
  [[nodiscard]] std::string text() const;

  /// The order fused-tree:.. with this tree and these fused leaves. Pre: no groups; a fused leaf's
  /// sibling is not fused.
  [[nodiscard]] std::string fused_text() const;

  /// Whether two trees have the same additions; what is fused does not count.
  friend bool operator==(const AdditionTree& x, const AdditionTree& y) {
    return x.tokens() == y.tokens();
  }

 private:
  std::vector<Node> nodes_;
  std::size_t additions_ = 0;
  bool has_groups_ = false;
};

/// The tree of an order's sum of n terms; an addition to +0 is not counted as one. Nothing for
/// kahan, neumaier and exact, which have no tree, and for n = 0. Pre: check_length(order, n).
std::optional<AdditionTree> tree_of(const Order& order, std::size_t n);

}  // namespace lamp
