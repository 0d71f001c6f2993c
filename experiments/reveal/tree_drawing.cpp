#include "experiments/reveal/tree_drawing.hpp"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace lamp::experiments {
namespace {

using Index = AdditionTree::Index;

class Drawing {
 public:
  explicit Drawing(const AdditionTree& tree)
      : nodes_(tree.nodes()),
        shape_(nodes_.size()),
        least_(nodes_.size()),
        children_(nodes_.size()) {
    std::map<std::vector<Index>, Index> shapes{{{}, 0}};
    for (Index i = 0; i < nodes_.size(); ++i) {
      children_[i] = nodes_[i].children;
      least_[i] = nodes_[i].term;
      if (children_[i].empty()) continue;
      std::sort(children_[i].begin(), children_[i].end(), [&](Index x, Index y) {
        return is_leaf(x) != is_leaf(y) ? is_leaf(y) : least_[x] < least_[y];
      });
      least_[i] =
          least_[*std::min_element(children_[i].begin(), children_[i].end(),
                                   [&](Index x, Index y) { return least_[x] < least_[y]; })];
      std::vector<Index> key;
      for (const Index child : children_[i])
        key.insert(key.end(), {shape_[child], least_[child] - least_[i]});
      shape_[i] = shapes.emplace(std::move(key), static_cast<Index>(shapes.size())).first->second;
    }
  }

  std::string text() {
    const auto root = static_cast<Index>(nodes_.size() - 1);
    if (is_leaf(root)) return std::to_string(least_[root]) + "\n";
    draw(root, "");
    return std::move(text_);
  }

 private:
  [[nodiscard]] bool is_leaf(Index node) const { return nodes_[node].children.empty(); }

  /// What is added one after the other at a node: its first child is taken apart, unless it is like
  /// the second.
  [[nodiscard]] std::vector<Index> parts_of(Index node) const {
    std::vector<Index> parts;
    while (true) {
      const std::vector<Index>& children = children_[node];
      for (std::size_t c = children.size(); c-- > 1;) parts.push_back(children[c]);
      const Index first = children.front();
      const bool alike = !is_leaf(first) && shape_[first] == shape_[children[1]];
      if (is_leaf(first) || alike || children.size() > 2 || children_[first].size() > 2) {
        parts.push_back(first);
        break;
      }
      node = first;
    }
    std::reverse(parts.begin(), parts.end());
    return parts;
  }

  /// Parts first .. end - 1 are alike and equally far apart.
  [[nodiscard]] std::size_t end_of_run(const std::vector<Index>& parts, std::size_t first) const {
    std::size_t end = first + 1;
    const auto apart = [&](std::size_t p) {
      return static_cast<long>(least_[parts[p]]) - static_cast<long>(least_[parts[p - 1]]);
    };
    while (end < parts.size() && shape_[parts[end]] == shape_[parts[first]] &&
           (end == first + 1 || apart(end) == apart(first + 1)))
      ++end;
    return end;
  }

  [[nodiscard]] std::string terms(const std::vector<Index>& parts, std::size_t first,
                                  std::size_t end) const {
    const auto term = [&](std::size_t p) { return std::to_string(least_[parts[p]]); };
    std::string text = term(first);
    for (std::size_t p = first + 1; p < end; ++p) {
      const bool left_out = end - first > 5 && p > first + 1 && p + 1 < end;
      if (!left_out) text += ", " + term(p);
      if (left_out && p == first + 2) text += ", ..";
    }
    return text;
  }

  /// The steps of a matrix engine, each a group with the sum so far, from first to last: their
  /// terms; empty where a step has other parts.
  [[nodiscard]] std::vector<std::vector<Index>> steps_of(Index node) const {
    std::vector<std::vector<Index>> steps;
    while (true) {
      const std::vector<Index>& children = children_[node];
      const bool more = !is_leaf(children.front());
      steps.emplace_back(children.begin() + (more ? 1 : 0), children.end());
      if (!std::all_of(steps.back().begin(), steps.back().end(),
                       [&](Index c) { return is_leaf(c); }))
        return {};
      if (!more) break;
      node = children.front();
    }
    std::reverse(steps.begin(), steps.end());
    return steps;
  }

  void draw_steps(const std::vector<std::vector<Index>>& steps, const std::string& indent) {
    const auto text = [&](const std::vector<Index>& step) {
      return end_of_run(step, 0) == step.size()
                 ? terms(step, 0, step.size())
                 : std::to_string(step.size()) + " terms from " + terms(step, 0, 1);
    };
    text_ += indent + std::to_string(steps.size()) + " steps, each with the sum so far:\n";
    for (std::size_t first = 0; first < steps.size();) {
      std::size_t end = first + 1;
      while (end < steps.size() && steps[end].size() == steps[first].size()) ++end;
      text_ += indent + (end == steps.size() ? "└─ " : "├─ ") + text(steps[first]);
      if (end - first > 1)
        text_ +=
            " and so on, " + std::to_string(end - first) + " times, to " + text(steps[end - 1]);
      text_ += "\n";
      first = end;
    }
  }

  void draw(Index node, const std::string& indent) {
    if (children_[node].size() > 2)
      if (const auto steps = steps_of(node); steps.size() > 1) return draw_steps(steps, indent);
    const std::vector<Index> parts = parts_of(node);
    const bool group = children_[node].size() > 2;
    if (group) text_ += indent + "in one step:\n";
    for (std::size_t first = 0; first < parts.size();) {
      std::size_t end = end_of_run(parts, first);
      if (is_leaf(parts[first]) && end - first == 1)  // terms of no regular distance
        while (end < parts.size() && is_leaf(parts[end]) && end_of_run(parts, end) - end == 1)
          ++end;
      const bool last = end == parts.size();
      const std::string branch = indent + (last ? "└─ " : "├─ "),
                        below = indent + (last ? "   " : "│  ");
      if (is_leaf(parts[first])) {
        text_ += branch + terms(parts, first, end) + "\n";
      } else {
        const long apart = end - first > 1 ? static_cast<long>(least_[parts[first + 1]]) -
                                                 static_cast<long>(least_[parts[first]])
                                           : 0;
        text_ += branch +
                 (end - first > 1 ? std::to_string(end - first) + " parts alike, " +
                                        std::to_string(apart) + " apart; the first:"
                                  : std::string("a part:")) +
                 "\n";
        draw(parts[first], below);
      }
      first = end;
    }
  }

  const std::vector<AdditionTree::Node>& nodes_;
  std::vector<Index> shape_,
      least_;  // nodes of one shape have the same terms, less their least one
  std::vector<std::vector<Index>> children_;
  std::string text_;
};

}  // namespace

std::string drawing(const AdditionTree& tree) {
  expects(tree.terms() > 0, "drawing: the tree has a term");
  return Drawing(tree).text();
}

}  // namespace lamp::experiments
