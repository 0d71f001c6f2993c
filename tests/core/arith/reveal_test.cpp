// reveal: the trees of our own orders come back as README.md defines them, whatever the format;
// sums without a tree are said to have none.
#include "core/arith/reveal/reveal.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>
#include <optional>

#include "core/arith/engine.hpp"
#include "core/arith/orders/order_text.hpp"
#include "core/arith/reveal/order_names.hpp"
#include "core/arith/scalar.hpp"
#include "core/base/overloaded.hpp"
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
      for (std::size_t k = first; k < std::min(n_, first + size); ++k)
        children.push_back(tree_.leaf(k));
      sum = children.size() > 1 ? tree_.add(children) : children.front();
    }
    return tree_.text();
  }
  std::string lane_tree() {  // of ((0 1) (2 3)): neighbours first
    std::vector<std::optional<Node>> lane(4);
    for (std::size_t l = 0; l < 4; ++l) {
      std::vector<std::size_t> terms;
      for (std::size_t k = l; k < n_; k += 4) terms.push_back(k);
      if (!terms.empty()) lane[l] = chain(terms);
    }
    for (const std::size_t l : {std::size_t{0}, std::size_t{2}})
      if (lane[l] && lane[l + 1]) lane[l] = tree_.add({*lane[l], *lane[l + 1]});
    if (lane[0] && lane[2]) tree_.add({*lane[0], *lane[2]});
    return tree_.text();
  }
  std::string panels(const std::vector<std::size_t>& lengths) {
    std::optional<Node> sum;
    std::size_t k = 0;
    for (const std::size_t length : lengths) {
      std::vector<std::size_t> terms(length);
      std::iota(terms.begin(), terms.end(), k);
      k += length;
      const Node part = chain(terms);
      sum = sum ? tree_.add({*sum, part}) : part;
    }
    return tree_.text();
  }
  std::string numpy_sum() { return numpy_part(0, n_), tree_.text(); }
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
  Node numpy_part(std::size_t first, std::size_t n) {
    std::vector<std::size_t> terms(n);
    std::iota(terms.begin(), terms.end(), first);
    if (n < 8) return chain(terms);
    if (n > 128) {
      const std::size_t half = n / 16 * 8;
      const Node left = numpy_part(first, half), right = numpy_part(first + half, n - half);
      return tree_.add({left, right});
    }
    std::vector<Node> sums;
    for (std::size_t l = 0; l < 8; ++l) {
      std::vector<std::size_t> lane;
      for (std::size_t k = l; k < n - n % 8; k += 8) lane.push_back(first + k);
      sums.push_back(chain(lane));
    }
    for (; sums.size() > 1; sums.resize(sums.size() / 2))
      for (std::size_t l = 0; 2 * l < sums.size(); ++l)
        sums[l] = tree_.add({sums[2 * l], sums[2 * l + 1]});
    for (std::size_t k = n - n % 8; k < n; ++k) {
      const Node term = tree_.leaf(first + k);
      sums[0] = tree_.add({sums[0], term});
    }
    return sums[0];
  }
  std::size_t n_;
  AdditionTree tree_;
};

std::string written(const Order& order, std::size_t n) {
  Written tree(n);
  return std::visit(
      Overloaded{[&](const Sequential&) { return tree.sequential(); },
                 [&](const Reverse&) { return tree.reverse(); },
                 [&](const Blocked& o) { return tree.blocked(o.size); },
                 [&](const Split& o) { return tree.blocked((n + o.parts - 1) / o.parts); },
                 [&](const Lanes& o) { return tree.lanes(o.count); },
                 [&](const Pairwise& o) { return tree.pairwise(o.size); },
                 [&](const LaneTree&) { return tree.lane_tree(); },
                 [&](const NumpySum&) { return tree.numpy_sum(); },
                 [&](const Multiterm& o) { return tree.steps(o.size); },
                 [](const auto&) -> std::string {
                   contract_violated("reveal_test: an order that `orders` lists");
                 }},
      order);
}

constexpr const char* orders[] = {
    "sequential",     "reverse",        "blocked:1",      "blocked:4",
    "blocked:7",      "pairwise:1",     "pairwise:3",     "pairwise:8",
    "lanes:1",        "lanes:2",        "lanes:4",        "lanes:16",
    "split:2",        "split:3",        "split:7",        "lane-tree:((0 1) (2 3))",
    "numpy-sum:8192", "multiterm:4,23", "multiterm:8,24", "multiterm:16,25",
    "multiterm:3,11"};

void comes_back(const Arithmetic& arithmetic, const FloatFormat& format, std::size_t n) {
  const Result<RevealedTree> revealed = reveal(n, format, products_of(arithmetic));
  CAPTURE(order_text(arithmetic.order), format.p, format.emax, n);
  INFO((revealed ? std::string() : revealed.error().message));
  REQUIRE(revealed.ok());
  CHECK(revealed->tree.text() == written(arithmetic.order, n));
}

TEST_CASE("reveal: every order of a tree comes back, n = 1 to 33, over formats",
          "[arith][reveal]") {
  for (const char* text : orders) {
    const Order order = order_of(text);
    for (std::size_t n = 1; n <= 33; ++n) {
      for (const FloatFormat& format : {binary16, ps(7), e4m3fn, binary64, binary32}) {
        if (is<Multiterm>(order) && format.p < 24) continue;
        comes_back({.mac = {.format = format}, .order = order}, format, n);
      }
    }
  }
}

TEST_CASE("reveal: the parts of panels:Q,U are OpenBLAS's", "[arith][reveal]") {
  // Found on the library with Q = 320, U = 8: 700 = 320 + 192 + 188; with Q = 128, U = 8: 300 = 128
  // + 88 + 84.
  const auto reveals = [](const char* order, std::size_t n) {
    const Result<RevealedTree> revealed =
        reveal(n, binary32, products_of({.mac = {}, .order = order_of(order)}));
    return revealed ? revealed->tree.text() : revealed.error().message;
  };
  CHECK(reveals("panels:320,8", 700) == Written(700).panels({320, 192, 188}));
  CHECK(reveals("panels:128,8", 300) == Written(300).panels({128, 88, 84}));
  CHECK(reveals("panels:128,8", 400) == Written(400).panels({128, 128, 72, 72}));
}

TEST_CASE("reveal: numpy-sum has its name where it is no other order", "[arith][reveal]") {
  const Order numpy = order_of("numpy-sum:8192");
  for (const std::size_t n : {9U, 17U, 33U, 64U, 100U, 300U}) {
    const Result<RevealedTree> revealed =
        reveal(n, binary32, products_of({.mac = {}, .order = numpy}));
    REQUIRE(revealed.ok());
    CHECK(revealed->tree.text() == Written(n).numpy_sum());
    const std::vector<Order> names = orders_of(revealed->tree);
    REQUIRE_FALSE(names.empty());
    CHECK(names.front() == numpy);
  }
}

TEST_CASE("reveal: an order keeps its name, or that of one with the same bits", "[arith][reveal]") {
  for (const char* text : orders) {
    const Order order = order_of(text);
    for (const std::size_t n : {5U, 33U, 64U}) {
      const std::vector<Order> names = orders_of(*tree_of(order, n));
      const auto* steps = std::get_if<Multiterm>(&order);
      const auto same = [&](const Order& found) {
        if (steps != nullptr) return std::get<Multiterm>(found).size == std::min(steps->size, n);
        return tree_of(found, n)->fused_text() == tree_of(order, n)->fused_text();
      };
      CAPTURE(text, n);
      CHECK(std::any_of(names.begin(), names.end(), same));
      if (steps != nullptr) continue;
      // As a fused tree it has the same bits.
      test::Random random(7);
      const test::Operands o = test::operands(random, test::Terms::ordinary, n);
      const Order fused = order_of(tree_of(order, n)->fused_text());
      for (const MacSpec& mac : {MacSpec{}, MacSpec{.product = ps(7), .format = ps(7)}})
        CHECK(dot({.mac = mac, .order = fused}, o.x, o.y) ==
              dot({.mac = mac, .order = order}, o.x, o.y));
    }
  }
}

TEST_CASE("reveal: sums without a tree are not given one", "[arith][reveal]") {
  for (const char* text : {"neumaier", "exact"})
    for (const std::size_t n : {4U, 9U, 33U}) {
      const Result<RevealedTree> revealed =
          reveal(n, binary32, products_of({.mac = {}, .order = order_of(text)}));
      REQUIRE_FALSE(revealed.ok());
      CHECK(revealed.error().code == ExitCode::check_failed);
      CHECK(revealed.error().message.find("every unit survives") != std::string::npos);
    }
  // kahan swallows as sequential does: its corrections are lost with -M. Only its bits on random
  // data tell them apart (lamp reveal tries).
  const Result<RevealedTree> kahan =
      reveal(9, binary32, products_of({.mac = {}, .order = order_of("kahan")}));
  CHECK((!kahan.ok() || kahan->tree.text() == Written(9).sequential()));
}

TEST_CASE("reveal: who gets the same answers asks the same again, whether there is a tree or none",
          "[arith][reveal]") {
  // lamp reveal replays the search with each candidate in the command's place and keeps answers
  // alone.
  for (const char* text :
       {"sequential", "lanes:4", "pairwise:1", "exact", "neumaier", "multiterm:4,23"})
    for (const FloatFormat& format : {binary16, binary32, e4m3fn}) {
      const auto asked = [&] {
        std::vector<double> numbers;
        const DotProducts answers = products_of({.mac = {}, .order = order_of(text)});
        static_cast<void>(reveal(17, format, [&](std::span<const DotProduct> products) {
                            for (const DotProduct& p : products) {
                              numbers.insert(numbers.end(), p.a.begin(), p.a.end());
                              numbers.insert(numbers.end(), p.b.begin(), p.b.end());
                            }
                            return answers(products);
                          }).ok());
        return numbers;
      };
      CAPTURE(text, format.p);
      CHECK(asked() == asked());
    }
}

TEST_CASE("negative control: one wrong answer among the probes is seen",
          "[arith][reveal][control]") {
  const Arithmetic arithmetic{.mac = {}, .order = order_of("lanes:4")};
  const DotProducts right = products_of(arithmetic);
  std::size_t asked = 0;
  REQUIRE(reveal(16, binary32, right)->tree.text() == Written(16).lanes(4));
  const std::size_t probes = reveal(16, binary32, right)->probes;
  for (std::size_t wrong = 0; wrong < probes; ++wrong) {
    asked = 0;
    const Result<RevealedTree> revealed =
        reveal(16, binary32, [&](std::span<const DotProduct> products) {
          Result<std::vector<double>> answers = right(products);
          for (double& answer : *answers)
            if (asked++ == wrong) answer = answer >= 1 ? answer - 1 : answer + 1;
          return answers;
        });
    // Another scale is tried then, whose answers are right.
    if (revealed.ok()) CHECK(revealed->probes > probes);
  }
}

}  // namespace
TEST_CASE("reveal: matrix engines of every mode, whole and split, around their steps",
          "[arith][reveal]") {
  for (const Engine& engine : engines())
    for (const EngineMode& mode : engine.modes)
      for (const std::size_t parts : {0U, 2U, 3U})
        for (const std::size_t n : {7U, 16U, 31U, 32U, 33U}) {
          Arithmetic a = engine_arithmetic(engine.name, mode.operands, mode.format).value();
          if (parts > 0) a.order = SplitEngine{mode.step, parts};
          INFO(engine.name << ' ' << format_name(mode.operands) << " to "
                           << format_name(mode.format) << ", parts " << parts << ", n " << n);
          const Result<RevealedTree> found = reveal(n, mode.operands, products_of(a));
          if (!found) FAIL(found.error().message);
          CHECK(found->tree.text() == tree_of(a.order, n)->text());
        }
}

}  // namespace lamp
