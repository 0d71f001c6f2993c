#include "core/arith/orders/addition_tree.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "core/arith/orders/order.hpp"
#include "core/arith/orders/order_text.hpp"

namespace lamp {
namespace {

using Index = AdditionTree::Index;

/// Sums of numbers of nodes plus one, +0 being no node: the orders of order.hpp on it build their
/// trees.
class Recorder {
 public:
  explicit Recorder(AdditionTree& tree) : tree_(tree) {}

  static MacSpec spec() { return {}; }
  [[nodiscard]] double add(double x, double y) const {
    if (x == 0.0 || y == 0.0) return x + y;
    return number(tree_.add({node(x), node(y)}));
  }
  [[nodiscard]] double mac(double k, double, double c) const {
    return add(c, number(tree_.leaf(static_cast<std::size_t>(k), c != 0.0)));
  }
  // What no order with a tree does.
  static double round(double x) { return x; }
  static double sub(double, double) { contract_violated("tree_of: an order of additions"); }
  static double mul(double, double) { contract_violated("tree_of: an order of additions"); }
  static double div(double, double) { contract_violated("tree_of: an order of additions"); }
  static double function(Function, double x) { return x; }
  static void function(Function, std::span<const double>, std::span<double>) {}

 private:
  static double number(Index node) { return static_cast<double>(node) + 1.0; }
  static Index node(double number) { return static_cast<Index>(number - 1.0); }
  AdditionTree& tree_;
};

/// The terms start .. n - 1 in the steps of a matrix engine, as order_detail::engine takes them.
std::optional<Index> add_steps(AdditionTree& tree, const EngineStep& step, std::size_t start,
                               std::size_t n) {
  using Sum = std::optional<Index>;
  const auto together = [&](std::vector<Index> children) -> Sum {
    if (children.empty()) return std::nullopt;
    return children.size() == 1 ? children.front() : tree.add(std::move(children));
  };
  const auto pass = [&](std::size_t first, std::size_t last, auto&& takes, const Sum& from) {
    std::vector<Index> children;
    if (from) children.push_back(*from);
    for (std::size_t k = first; k < last; ++k)
      if (takes(k - first)) children.push_back(tree.leaf(k));
    return together(std::move(children));
  };
  const auto every = [](std::size_t) { return true; };
  Sum sum;
  for (std::size_t first = start; first < n; first += step.products) {
    const std::size_t last = std::min(n, first + step.products);
    if (step.protocol == EngineProtocol::fused) {
      sum = pass(first, last, every, sum);
      continue;
    }
    Sum part;
    if (step.protocol == EngineProtocol::interleaved) {
      part = pass(
          first, last, [](std::size_t k) { return k / 2 % 2 == 0; }, std::nullopt);
      part = pass(
          first, last, [](std::size_t k) { return k / 2 % 2 == 1; }, part);
    } else {
      part = pass(first, last, every, std::nullopt);
    }
    sum = sum ? together({*sum, *part}) : part;
  }
  return sum;
}

/// A matrix engine over all terms, or over `parts` contiguous ones whose sums are added in order.
AdditionTree tree_of_engine(const EngineStep& step, std::size_t parts, std::size_t n) {
  AdditionTree tree;
  const std::size_t size = parts > 0 ? (n + parts - 1) / parts : n;
  std::optional<Index> sum;
  for (std::size_t first = 0; first < n; first += size) {
    const std::optional<Index> part = add_steps(tree, step, first, std::min(n, first + size));
    sum = sum ? std::optional(tree.add({*sum, *part})) : part;
  }
  return tree;
}

}  // namespace

Index AdditionTree::leaf(std::size_t term, bool fused) {
  nodes_.push_back({.term = static_cast<Index>(term), .fused = fused});
  return static_cast<Index>(nodes_.size() - 1);
}

Index AdditionTree::add(std::vector<Index> children) {
  expects(children.size() >= 2 && std::all_of(children.begin(), children.end(),
                                              [&](Index c) { return c < nodes_.size(); }),
          "AdditionTree::add: two children or more, which are there");
  has_groups_ = has_groups_ || children.size() > 2;
  ++additions_;
  nodes_.push_back({.children = std::move(children)});
  return static_cast<Index>(nodes_.size() - 1);
}

std::size_t AdditionTree::depth() const {
  std::vector<std::size_t> depths(nodes_.size());
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    for (const Index child : nodes_[i].children) depths[i] = std::max(depths[i], depths[child] + 1);
  return depths.empty() ? 0 : depths.back();
}

std::vector<Index> AdditionTree::tokens() const {
  std::vector<Index> least(nodes_.size());
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    least[i] = nodes_[i].term;
    for (std::size_t c = 0; c < nodes_[i].children.size(); ++c) {
      const Index candidate = least[nodes_[i].children[c]];
      least[i] = c == 0 ? candidate : std::min(least[i], candidate);
    }
  }
  std::vector<Index> tokens;
  if (nodes_.empty()) return tokens;
  // What is still to be written, the next one last: nodes, or tokens that close. A node's
  // parentheses are left out where it is the first child of another addition.
  struct Pending {
    Index value;
    bool is_token, bare;
  };
  std::vector<Pending> pending{{static_cast<Index>(nodes_.size() - 1), false, false}};
  while (!pending.empty()) {
    const Pending next = pending.back();
    pending.pop_back();
    if (next.is_token) {
      tokens.push_back(next.value);
      continue;
    }
    const Node& node = nodes_[next.value];
    if (node.children.empty()) {
      tokens.push_back(node.term);
      continue;
    }
    const bool group = node.children.size() > 2, bare = next.bare && !group;
    if (!bare) {
      tokens.push_back(group ? open_group : open);
      pending.push_back({group ? close_group : close, true, false});
    }
    std::vector<Index> children = node.children;
    std::sort(children.begin(), children.end(), [&](Index x, Index y) {
      const bool x_is_leaf = nodes_[x].children.empty(), y_is_leaf = nodes_[y].children.empty();
      return x_is_leaf != y_is_leaf ? y_is_leaf : least[x] < least[y];
    });
    for (std::size_t c = children.size(); c-- > 0;)
      pending.push_back({children[c], false, c == 0 && !group});
  }
  return tokens;
}

std::string AdditionTree::fused_text() const {
  expects(!has_groups_, "AdditionTree::fused_text: no groups");
  std::vector<std::string> texts(
      nodes_.size());  // of a node's children in order, without parentheses
  const auto is_leaf = [&](Index node) { return nodes_[node].children.empty(); };
  for (Index i = 0; i < nodes_.size(); ++i) {
    if (is_leaf(i)) {
      texts[i] = std::to_string(nodes_[i].term);
      continue;
    }
    Index first = nodes_[i].children[0], second = nodes_[i].children[1];
    const bool swap =
        nodes_[first].fused || (!nodes_[second].fused && is_leaf(first) && !is_leaf(second));
    if (swap) std::swap(first, second);
    expects(!nodes_[first].fused, "AdditionTree::fused_text: one of two siblings is not fused");
    const bool bare = nodes_[second].fused;
    texts[i] = std::move(texts[first]) + (bare ? " " : " (") + std::move(texts[second]) +
               (bare ? "" : ")");
  }
  return "fused-tree:(" + texts.back() + ")";
}

std::string AdditionTree::text() const {
  std::string text;
  for (const Index token : tokens()) {
    if (token == close || token == close_group) {
      text += token == close ? ')' : '}';
      continue;
    }
    if (!text.empty() && text.back() != '(' && text.back() != '{') text += ' ';
    text += token == open ? "(" : token == open_group ? "{" : std::to_string(token);
  }
  return text;
}

namespace {

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
      const Order order{.kind = OrderKind::panels, .size = q, .multiple = u};
      bool are_nodes = true;
      for (std::size_t first = 0, length = 0; first < n && are_nodes; first += length) {
        length = order_detail::panel_length(order, n - first);
        are_nodes = parts.contains({first, length});
      }
      if (are_nodes) orders.push_back(order);
    }
  return orders;
}

}  // namespace

std::optional<AdditionTree> tree_of(const Order& order, std::size_t n) {
  if (n == 0 || order.kind == OrderKind::kahan || order.kind == OrderKind::neumaier ||
      order.kind == OrderKind::exact)
    return std::nullopt;
  if (order.kind == OrderKind::multiterm) return tree_of_engine({.products = order.size}, 0, n);
  if (order.kind == OrderKind::engine) return tree_of_engine(order.engine, order.size, n);
  AdditionTree tree;
  ordered_dot(
      Recorder(tree), order, n, [](std::size_t k) { return static_cast<double>(k); },
      [](std::size_t) { return 1.0; });
  return tree;
}

std::vector<Order> orders_of(const AdditionTree& tree) {
  const std::size_t n = tree.terms();
  const std::vector<Index> tokens = tree.tokens();
  std::vector<Order> found;
  std::vector<std::string> arithmetics;  // of the orders found: what they fuse
  const auto consider = [&](const Order& order) {
    const AdditionTree candidate = *tree_of(order, n);
    if (candidate.tokens() != tokens) return;
    const std::string arithmetic =
        candidate.has_groups() ? order_text(order) : candidate.fused_text();
    if (std::find(arithmetics.begin(), arithmetics.end(), arithmetic) != arithmetics.end()) return;
    arithmetics.push_back(arithmetic), found.push_back(order);
  };
  if (tree.has_groups()) {
    for (std::size_t size = 2; size <= n; ++size)
      consider({.kind = OrderKind::multiterm, .size = size});
    return found;
  }
  consider({.kind = OrderKind::sequential});
  const bool is_sequential = !found.empty();
  consider({.kind = OrderKind::reverse});
  for (const OrderKind kind : {OrderKind::blocked, OrderKind::pairwise, OrderKind::split}) {
    // B = n or S = 1 is sequential.
    for (std::size_t size = kind == OrderKind::split ? 2 : 1; size < std::max<std::size_t>(n, 2);
         ++size) {
      if (is_sequential && size > 1)
        break;  // blocks that round one product alone: an explicit tree
      consider({.kind = kind, .size = size});
    }
  }
  consider({.kind = OrderKind::numpy_sum, .size = 8192});
  for (std::size_t lanes = 2; lanes < 2 * n; lanes *= 2)
    consider({.kind = OrderKind::lanes, .size = lanes});
  for (const Order& order : lane_trees(tree)) consider(order);
  for (const Order& order : panels(tree)) consider(order);
  return found;
}

}  // namespace lamp
