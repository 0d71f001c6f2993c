#include "core/arith/orders/summation_tree.hpp"

#include <algorithm>
#include <charconv>

namespace lamp {
namespace {

constexpr std::string_view legal =
    "legal: nested parentheses with each of 0..n-1 once, such as ((0 1) (2 3))";

Error bad_tree(std::string what) {
  return Error{ExitCode::bad_data, "tree: " + std::move(what) + "; " + std::string(legal)};
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The number n of terms; an error unless each of 0..n-1 occurs once.
Result<std::size_t> count_terms(const std::vector<std::uint32_t>& tokens) {
  std::vector<std::uint32_t> leaves;
  std::copy_if(tokens.begin(), tokens.end(), std::back_inserter(leaves),
               [](std::uint32_t t) { return t < SummationTree::close; });
  std::sort(leaves.begin(), leaves.end());
  for (std::size_t k = 0; k < leaves.size(); ++k) {
    if (leaves[k] == k) continue;
    if (leaves[k] > k)
      return bad_tree("term " + std::to_string(k) + " is missing and " + std::to_string(leaves[k]) +
                      " is there, in a tree of " + std::to_string(leaves.size()) + " terms");
    return bad_tree("term " + std::to_string(leaves[k]) + " is there twice");
  }
  return leaves.size();
}

/// Writes tokens as they come, leaving out parentheses that say nothing: those of a node that is
/// the first child (what it adds is what its parent would add first) and those around a single
/// child.
class Writer {
 public:
  Writer(std::vector<std::uint32_t>& tokens, bool keep_lone_leaves)
      : tokens_(tokens), keep_lone_leaves_(keep_lone_leaves) {}

  [[nodiscard]] std::size_t depth() const { return written_.size(); }

  void open() {
    const bool first_child = !written_.empty() && children_.back() == 0;
    written_.push_back(!first_child);
    if (first_child) return;
    begin_.push_back(tokens_.size());
    children_.push_back(0);
    tokens_.push_back(SummationTree::open);
  }
  void leaf(std::uint32_t k) {
    tokens_.push_back(k);
    if (!children_.empty()) ++children_.back();
  }
  void close() {
    const bool written = written_.back();
    written_.pop_back();
    if (!written) return;  // its children count as its parent's
    const bool root = children_.size() == 1;
    const bool lone_leaf =
        tokens_.back() < SummationTree::close && tokens_.size() == begin_.back() + 2;
    if (children_.back() == 1 && !(keep_lone_leaves_ && lone_leaf && !root))
      tokens_.erase(tokens_.begin() + static_cast<std::ptrdiff_t>(begin_.back()));
    else
      tokens_.push_back(SummationTree::close);
    begin_.pop_back();
    children_.pop_back();
    if (!children_.empty()) ++children_.back();
  }

 private:
  std::vector<std::uint32_t>& tokens_;
  bool keep_lone_leaves_;
  std::vector<bool> written_;          // of every open node: its parentheses are among the tokens
  std::vector<std::size_t> begin_;     // of those: where
  std::vector<std::size_t> children_;  // and how many
};

}  // namespace

Result<SummationTree> SummationTree::parse(std::string_view text, bool keep_lone_leaves) {
  std::vector<std::uint32_t> tokens;
  Writer writer(tokens, keep_lone_leaves);
  std::size_t terms = 0, nodes = 0;
  char before = ' ';  // the last character but for blanks: ' ', '(', ')' or a digit
  for (std::size_t i = 0; i < text.size();) {
    const auto at = [&] { return " at character " + std::to_string(i + 1); };
    const char c = text[i];
    if (is_blank(c)) {
      ++i;
      continue;
    }
    if (c != '(' && c != ')' && !is_digit(c))
      return bad_tree("neither a digit nor a parenthesis" + at());
    if (c != ')' && before != ' ' && writer.depth() == 0)
      return bad_tree("more than one tree" + at());
    if (c == '(') {
      if (++nodes > max_nodes) return bad_tree("more than " + std::to_string(max_nodes) + " nodes");
      writer.open();
      ++i;
    } else if (c == ')') {
      if (writer.depth() == 0) return bad_tree("')' without '('" + at());
      if (before == '(') return bad_tree("a node without children" + at());
      writer.close();
      ++i;
    } else {
      std::uint32_t k = 0;
      const auto [end, error] = std::from_chars(text.data() + i, text.data() + text.size(), k);
      if (error != std::errc{} || k >= max_terms)
        return bad_tree("term" + at() + " is not below " + std::to_string(max_terms));
      if (++terms > max_terms) return bad_tree("more than " + std::to_string(max_terms) + " terms");
      writer.leaf(k);
      i = static_cast<std::size_t>(end - text.data());
    }
    before = c;
  }
  if (writer.depth() != 0) return bad_tree("a '(' is never closed");
  if (terms == 0) return bad_tree("no terms");
  const Result<std::size_t> counted = count_terms(tokens);
  if (!counted) return counted.error();
  SummationTree tree;
  tree.tokens_ = std::make_shared<const std::vector<std::uint32_t>>(std::move(tokens));
  tree.terms_ = *counted;
  return tree;
}

std::string SummationTree::text() const {
  std::string text;
  for (const std::uint32_t token : tokens()) {
    if (token == close) {
      text += ')';
      continue;
    }
    if (!text.empty() && text.back() != '(') text += ' ';
    text += token == open ? "(" : std::to_string(token);
  }
  return text;
}

}  // namespace lamp
