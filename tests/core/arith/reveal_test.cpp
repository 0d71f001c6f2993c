// reveal: the trees of our own orders come back as README.md defines them, whatever the format; sums without a tree are said to have none.
#include "core/arith/reveal.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>
#include <optional>

#include "core/arith/order_text.hpp"
#include "core/arith/scalar.hpp"
#include "tests/core/arith/orders.hpp"
#include "tests/support/formats.hpp"

namespace lamp {
namespace {

using test::order_of;
using Node = AdditionTree::Index;

/// Dot products of an arithmetic of this library.
DotProducts products_of(const Arithmetic& arithmetic) {
  return [arithmetic](std::span<const DotProduct> products) -> Result<std::vector<double>> {
    std::vector<double> answers;
    for (const DotProduct& p : products) answers.push_back(dot(arithmetic, p.a, p.b));
    return answers;
  };
}

/// Trees written down from README.md's definitions, not by the orders' code.
class Written {
 public:
  explicit Written(std::size_t n) : n_(n) {}

  std::string sequential() { return chain(all()), tree_.text(); }
  std::string blocked(std::size_t size) {
    std::optional<Node> sum;
    for (std::size_t first = 0; first < n_; first += size) {
      std::vector<std::size_t> terms;
      for (std::size_t k = first; k < std::min(n_, first + size); ++k) terms.push_back(k);
      const Node part = chain(terms);
      sum = sum ? tree_.add({*sum, part}) : part;
    }
    return tree_.text();
  }
  std::string lanes(std::size_t count) {
    std::vector<std::optional<Node>> lane(count);
    for (std::size_t l = 0; l < count; ++l) {
      std::vector<std::size_t> terms;
      for (std::size_t k = l; k < n_; k += count) terms.push_back(k);
      if (!terms.empty()) lane[l] = chain(terms);
    }
    for (std::size_t width = count / 2; width > 0; width /= 2)
      for (std::size_t l = 0; l < width; ++l)
        if (lane[l] && lane[l + width]) lane[l] = tree_.add({*lane[l], *lane[l + width]});
    return tree_.text();
  }
  std::string pairwise(std::size_t size) { return halves(0, n_, size), tree_.text(); }
  std::string steps(std::size_t size) {
    std::optional<Node> sum;
    for (std::size_t first = 0; first < n_; first += size) {
      std::vector<Node> children;
      if (sum) children.push_back(*sum);
      for (std::size_t k = first; k < std::min(n_, first + size); ++k) children.push_back(tree_.leaf(k));
      sum = children.size() > 1 ? tree_.add(children) : children.front();
    }
    return tree_.text();
  }
  std::string reverse() {
    std::vector<std::size_t> terms = all();
    std::reverse(terms.begin(), terms.end());
    return chain(terms), tree_.text();
  }

 private:
  std::vector<std::size_t> all() const {
    std::vector<std::size_t> terms(n_);
    std::iota(terms.begin(), terms.end(), std::size_t{0});
    return terms;
  }
  Node chain(const std::vector<std::size_t>& terms) {
    Node sum = tree_.leaf(terms.front());
    for (std::size_t t = 1; t < terms.size(); ++t) {
      const Node term = tree_.leaf(terms[t]);
      sum = tree_.add({sum, term});
    }
    return sum;
  }
  Node halves(std::size_t first, std::size_t n, std::size_t size) {
    if (n <= size) {
      std::vector<std::size_t> terms(n);
      std::iota(terms.begin(), terms.end(), first);
      return chain(terms);
    }
    const Node left = halves(first, n / 2, size), right = halves(first + n / 2, n - n / 2, size);
    return tree_.add({left, right});
  }
  std::size_t n_;
  AdditionTree tree_;
};

std::string written(const Order& order, std::size_t n) {
  Written tree(n);
  switch (order.kind) {
    case OrderKind::sequential:
      return tree.sequential();
    case OrderKind::reverse:
      return tree.reverse();
    case OrderKind::blocked:
      return tree.blocked(order.size);
    case OrderKind::split:
      return tree.blocked((n + order.size - 1) / order.size);
    case OrderKind::lanes:
      return tree.lanes(order.size);
    case OrderKind::pairwise:
      return tree.pairwise(order.size);
    default:
      return tree.steps(order.size);
  }
}

constexpr const char* orders[] = {"sequential",     "reverse",        "blocked:1",       "blocked:4",     "blocked:7",
                                  "pairwise:1",     "pairwise:3",     "pairwise:8",      "lanes:1",       "lanes:2",
                                  "lanes:4",        "lanes:16",       "split:2",         "split:3",       "split:7",
                                  "multiterm:4,23", "multiterm:8,24", "multiterm:16,25", "multiterm:3,11"};

void comes_back(const Arithmetic& arithmetic, const FloatFormat& format, std::size_t n) {
  const Result<RevealedTree> revealed = reveal(n, format, products_of(arithmetic));
  CAPTURE(order_text(arithmetic.order), format.p, format.emax, n);
  INFO((revealed ? std::string() : revealed.error().message));
  REQUIRE(revealed.ok());
  CHECK(revealed->tree.text() == written(arithmetic.order, n));
}

TEST_CASE("reveal: every order of a tree comes back, n = 1 to 33, over formats", "[arith][reveal]") {
  for (const char* text : orders) {
    const Order order = order_of(text);
    for (std::size_t n = 1; n <= 33; ++n) {
      for (const FloatFormat& format : {binary16, ps(7), test::e4m3fn, binary64, binary32}) {
        if (order.kind == OrderKind::multiterm && format.p < 24) continue;
        comes_back({.mac = {.format = format}, .order = order}, format, n);
      }
    }
  }
}

}  // namespace
}  // namespace lamp
