// tree:<tree>: the products, each rounded alone, added as written. fused-tree:<tree>: every node
// sums from +0 its children left to right, a term by one multiply-accumulate, a node by one
// addition; a node that is the first child is the start.
#pragma once

#include "core/arith/orders/row.hpp"
#include "core/arith/orders/summation_tree.hpp"

namespace lamp {

struct Tree {
  SummationTree tree{};

  static constexpr OrderRow row{.name = "tree",
                                .kind = SumKind::tree,
                                .c = CEnters::last,
                                .products = Products::alone,
                                .fixed_length = true,
                                .meaning = "each term 0, 1, .. once, and as many as the sum has"};
  static constexpr TreeParameter<Tree> parameters() { return {&Tree::tree}; }
  [[nodiscard]] std::size_t terms() const { return tree.terms(); }

  template <class Sum>
  typename Sum::Value sum(const Sum& s) const {
    return tree.evaluate([&](std::size_t k) { return s.product(k); },
                         [&](const auto& x, const auto& y) { return s.add(x, y); });
  }

  friend bool operator==(const Tree&, const Tree&) = default;
};

struct FusedTree {
  SummationTree tree{};

  static constexpr OrderRow row{.name = "fused-tree",
                                .kind = SumKind::tree,
                                .c = CEnters::last,
                                .products = Products::as_written,
                                .fixed_length = true,
                                .meaning = Tree::row.meaning};
  static constexpr TreeParameter<FusedTree> parameters() {
    return {&FusedTree::tree, /*keep_lone_leaves=*/true};
  }
  [[nodiscard]] std::size_t terms() const { return tree.terms(); }

  template <class Sum>
  typename Sum::Value sum(const Sum& s) const {
    return tree.evaluate_fused(
        typename Sum::Value{}, [&](std::size_t k, const auto& x) { return s.mac(k, x); },
        [&](const auto& x, const auto& y) { return s.add(x, y); });
  }

  friend bool operator==(const FusedTree&, const FusedTree&) = default;
};

}  // namespace lamp
