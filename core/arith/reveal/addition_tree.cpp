#include "core/arith/reveal/addition_tree.hpp"

#include <algorithm>
#include <utility>

#include "core/arith/orders/program.hpp"
#include "core/base/contract.hpp"

namespace lamp {
namespace {

using Index = AdditionTree::Index;

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

std::optional<AdditionTree> tree_of(const Order& order, std::size_t n) {
  SumProgram program;
  if (n == 0 || !write_program(order, n, program)) return std::nullopt;
  AdditionTree tree;
  std::vector<Index> node(program.sums);  // of each partial sum
  using Kind = SumOperation::Kind;
  for (const SumOperation& o : program.operations) {
    switch (o.kind) {
      case Kind::start:
        node[o.sum] = tree.leaf(o.from);
        break;
      case Kind::mac:
      case Kind::add_product: {
        const Index term = tree.leaf(o.from, o.kind == Kind::mac);
        node[o.sum] = tree.add({node[o.sum], term});
        break;
      }
      case Kind::add:
        node[o.sum] = tree.add({node[o.sum], node[o.from]});
        break;
      case Kind::add_zero:
        break;
      case Kind::step: {
        const SumStep& step = program.steps[o.from];
        std::vector<Index> children;
        if (step.from_sum) children.push_back(node[o.sum]);
        for (const std::uint32_t k : step.terms) children.push_back(tree.leaf(k));
        node[o.sum] = children.size() == 1 ? children.front() : tree.add(std::move(children));
        break;
      }
    }
  }
  return tree;
}

}  // namespace lamp
