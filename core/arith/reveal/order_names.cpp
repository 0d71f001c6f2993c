#include "core/arith/reveal/order_names.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>

#include "core/arith/orders/order_text.hpp"

namespace lamp {
namespace {

using Index = AdditionTree::Index;

/// Terms of each node, ascending; numbers of nodes in the order of their terms' smallest.
std::vector<std::vector<Index>> terms_of_nodes(const AdditionTree& tree) {
  std::vector<std::vector<Index>> terms(tree.nodes().size());
  for (std::size_t i = 0; i < terms.size(); ++i) {
    if (tree.nodes()[i].children.empty()) terms[i] = {tree.nodes()[i].term};
    for (const Index child : tree.nodes()[i].children)
      terms[i].insert(terms[i].end(), terms[child].begin(), terms[child].end());
    std::sort(terms[i].begin(), terms[i].end());
  }
  return terms;
}

/// lane-tree orders that the tree may be of: for every number of lanes whose terms are nodes, the
/// tree over these.
std::vector<Order> lane_trees(const AdditionTree& tree) {
  constexpr std::size_t most_lanes = 128;
  const std::size_t n = tree.terms();
  const std::vector<std::vector<Index>> terms = terms_of_nodes(tree);
  std::vector<Order> orders;
  for (std::size_t lanes = 2; lanes < n && lanes <= most_lanes;
       ++lanes) {  // more: an explicit tree
    const auto is_lane = [&](const std::vector<Index>& t) {
      if (t.size() != (n - t.front() - 1) / lanes + 1 || t.front() >= lanes) return false;
      for (std::size_t k = 1; k < t.size(); ++k)
        if (t[k] != t[k - 1] + lanes) return false;
      return true;
    };
    AdditionTree fold;
    std::vector<std::optional<Index>> folded(terms.size());
    for (std::size_t i = 0; i < terms.size(); ++i) {
      const std::vector<Index>& children = tree.nodes()[i].children;
      if (is_lane(terms[i]))
        folded[i] = fold.leaf(terms[i].front());
      else if (!children.empty() && folded[children[0]] && folded[children[1]])
        folded[i] = fold.add({*folded[children[0]], *folded[children[1]]});
    }
    if (!folded.back() || fold.terms() != lanes) continue;
    if (Result<Order> order = parse_order("lane-tree:" + fold.text())) orders.push_back(*order);
  }
  return orders;
}

/// panels:Q,U whose parts are nodes of the tree.
std::vector<Order> panels(const AdditionTree& tree) {
  constexpr std::size_t multiples[] = {1, 2, 4, 8, 16, 32};
  const std::size_t n = tree.terms();
  std::set<std::pair<std::size_t, std::size_t>>
      parts;  // first term and length of nodes of neighbouring terms
  for (const std::vector<Index>& terms : terms_of_nodes(tree))
    if (terms.back() - terms.front() + 1 == terms.size())
      parts.emplace(terms.front(), terms.size());
  std::vector<Order> orders;
  for (std::size_t q = 1; q < n; ++q)
    for (const std::size_t u : multiples) {
      const Panels order{.size = q, .multiple = u};
      bool are_nodes = true;
      for (std::size_t first = 0, length = 0; first < n && are_nodes; first += length) {
        length = order.length(n - first);
        are_nodes = parts.contains({first, length});
      }
      if (are_nodes) orders.push_back(order);
    }
  return orders;
}

/// Collects the orders that have a tree, each arithmetic once: the order considered first names it.
class Names {
 public:
  explicit Names(const AdditionTree& tree) : n_(tree.terms()), tokens_(tree.tokens()) {}

  void consider(const Order& order) {
    const AdditionTree candidate = *tree_of(order, n_);
    if (candidate.tokens() != tokens_) return;
    std::string arithmetic = candidate.has_groups() ? order_text(order) : candidate.fused_text();
    if (std::find(arithmetics_.begin(), arithmetics_.end(), arithmetic) != arithmetics_.end())
      return;
    arithmetics_.push_back(std::move(arithmetic)), found_.push_back(order);
  }
  [[nodiscard]] const std::vector<Order>& found() const { return found_; }

 private:
  std::size_t n_;
  std::vector<Index> tokens_;
  std::vector<Order> found_;
  std::vector<std::string> arithmetics_;  // of the orders found: what they fuse
};

/// O has no parameters that would have to be found before its tree is compared.
template <class O>
constexpr bool can_be_tried = O::row.kind == SumKind::tree && !O::row.name.empty() &&
                              !O::row.fixed_length && std::is_empty_v<O>;

}  // namespace

std::vector<Order> orders_of(const AdditionTree& tree) {
  const std::size_t n = tree.terms(), most = std::max<std::size_t>(n, 2);
  Names names(tree);
  if (tree.has_groups()) {
    for (std::size_t size = 2; size <= n; ++size) names.consider(Multiterm{.size = size});
    return names.found();
  }
  names.consider(Sequential{});
  const bool is_sequential = !names.found().empty();
  names.consider(Reverse{});
  // B = n or S = 1 is sequential, and blocks that round one product alone are an explicit tree.
  const std::size_t sizes = is_sequential ? 2 : most;
  for (std::size_t size = 1; size < sizes; ++size) names.consider(Blocked{size});
  for (std::size_t size = 1; size < sizes; ++size) names.consider(Pairwise{size});
  for (std::size_t parts = 2; parts < sizes; ++parts) names.consider(Split{parts});
  names.consider(NumpySum{});
  for (std::size_t lanes = 2; lanes < 2 * n; lanes *= 2) names.consider(Lanes{lanes});
  for (const Order& order : lane_trees(tree)) names.consider(order);
  for (const Order& order : panels(tree)) names.consider(order);
  for_each_order([&]<class O>(std::type_identity<O>) {
    if constexpr (can_be_tried<O>) names.consider(O{});
  });
  return names.found();
}

}  // namespace lamp
