// The text of orders: what is read, what is refused and in which words, and the way back. Oracle:
// the texts and trees written here.
#include "core/arith/orders/order_text.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "core/arith/orders/summation_tree.hpp"
#include "tests/core/arith/orders.hpp"

namespace lamp {
namespace {

std::string error_of(const std::string& text) {
  const Result<Order> order = parse_order(text);
  return order ? "no error" : order.error().message;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("orders: every text gives its fields and comes back", "[arith][order][text]") {
  CHECK(parse_order("sequential").value() == Order{});
  CHECK(parse_order("blocked:32").value() == Order(Blocked{32}));
  CHECK(parse_order("pairwise:8").value() == Order(Pairwise{8}));
  CHECK(parse_order("lanes:16").value() == Order(Lanes{16}));
  CHECK(parse_order("split:4").value() == Order(Split{4}));
  CHECK(parse_order("multiterm:8,24").value() == Order(Multiterm{.size = 8, .fraction_bits = 24}));
  for (const char* text :
       {"sequential", "reverse", "blocked:1", "blocked:1000000000", "pairwise:8", "lanes:1048576",
        "split:3", "numpy-sum:8192", "kahan", "neumaier", "exact", "multiterm:1,0",
        "multiterm:16,10000", "tree:0", "tree:(0 1)", "tree:((0 3) (2 1))", "tree:(2 0 1)"})
    CHECK((contains(text, "((0 3)") || order_text(parse_order(text).value()) == text));
  test::Random random(1);
  for (std::size_t n = 1; n < 60; ++n)
    for (const std::string& text : test::order_texts(random, n)) {
      const Order order = parse_order(text).value();
      CHECK(parse_order(order_text(order)).value() == order);
    }
}

TEST_CASE("orders: what is refused, and the legal range in the same line", "[arith][order][text]") {
  struct Case {
    const char* text;
    const char* says;
  };
  constexpr Case cases[] = {
      {"", "sequential, reverse, blocked:B"},
      {"Sequential", "legal: sequential"},
      {" sequential", "legal: sequential"},
      {"sequential:", "legal: sequential alone"},
      {"kahan:3", "legal: kahan alone"},
      {"blocked", "blocked:B with an integer from 1 to 1000000000"},
      {"blocked:", "blocked:B with an integer from 1"},
      {"blocked:0", "blocked:B with an integer from 1"},
      {"blocked:-4", "blocked:B with an integer from 1"},
      {"blocked:1000000001", "blocked:B with an integer from 1"},
      {"blocked:99999999999999999999999", "blocked:B with an integer from 1"},
      {"blocked:4 ", "blocked:B with an integer from 1"},
      {"blocked:4,5", "blocked:B with an integer from 1"},
      {"blocked", "(the terms of a block)"},
      {"lanes", "(the number of lanes)"},
      {"panels", "Q and U from 1 to 1000000000 (the terms of a part, and what"},
      {"multiterm", "(the terms of a step, and the fraction bits kept)"},
      {"numpy-sum", "numpy-sum:B with an integer from 1"},
      {"numpy-sum", "8192 up to numpy 2.2; 1000000000, which is none, from 2.3 on"},
      {"numpy-sum:0", "8192 up to numpy 2.2"},
      {"lane-tree", "legal: lane-tree:((0 1) (2 3)) (each lane 0, 1, .. once)"},
      {"fused-tree", "legal: fused-tree:((0 1) (2 3)) (each term 0, 1, .. once"},
      {"pairwise:x", "pairwise:B with"},
      {"split:0", "split:S with"},
      {"lanes:12", "L a power of two, 1 to 1048576"},
      {"lanes:0", "L a power of two"},
      {"lanes:2097152", "L a power of two"},
      {"multiterm:8", "N from 1 to 1000000000, F from 0 to 10000"},
      {"multiterm:8,", "N from 1"},
      {"multiterm:,8", "N from 1"},
      {"multiterm:8,-1", "N from 1"},
      {"multiterm:8,10001", "N from 1"},
      {"multiterm:0,24", "N from 1"},
      {"multiterm:8,24,1", "N from 1"},
      {"tree", "legal: tree:((0 1) (2 3))"},
      {"tree:", "no terms"},
      {"tree:()", "a node without children at character 2"},
      {"tree:(0 ())", "a node without children"},
      {"tree:(0 1", "never closed"},
      {"tree:(0 1))", "')' without '(' at character 6"},
      {"tree:)", "')' without '('"},
      {"tree:(0 1) (2 3)", "more than one tree at character 7"},
      {"tree:0 1", "more than one tree at character 3"},
      {"tree:(0 0)", "term 0 is there twice"},
      {"tree:(0 1 2 1)", "term 1 is there twice"},
      {"tree:(0 2)", "term 1 is missing and 2 is there"},
      {"tree:(1 2)", "term 0 is missing and 1 is there"},
      {"tree:(0, 1)", "neither a digit nor a parenthesis at character 3"},
      {"tree:(0 -1)", "neither a digit"},
      {"tree:(0 1048576)", "not below 1048576"},
      {"tree:(0 99999999999999999999)", "not below 1048576"}};
  for (const Case& c : cases) {
    INFO(c.text << " -> " << error_of(c.text));
    CHECK(contains(error_of(c.text), c.says));
    CHECK(contains(error_of(c.text), "legal: "));
    CHECK_FALSE(contains(error_of(c.text), "\n"));
  }
  CHECK(error_of(std::string(5000, 'x')).size() < 300);
}

TEST_CASE("trees: ways of writing one tree are one tree", "[arith][order][text]") {
  const auto tree = [](const char* text) { return SummationTree::parse(text).value(); };
  CHECK(tree("((0 1) 2)") == tree("(0 1 2)"));  // children are added left to right
  CHECK(tree(" ( ((0) 1)\t(2) )\n") == tree("(0 1 2)"));
  CHECK(tree("(0 ((1 2)))") == tree("(0 (1 2))"));
  CHECK(tree("(((0)))") == tree("0"));
  CHECK(tree("((0 1)(2 3))").text() == "(0 1 (2 3))");
  CHECK(tree("(0 (((1 2) 3) 4))").text() == "(0 (1 2 3 4))");
  CHECK_FALSE(tree("(0 (1 2))") == tree("(0 1 2)"));
  CHECK_FALSE(tree("(0 1)") == tree("(1 0)"));
  CHECK(tree("(3 (1 2) 0)").terms() == 4);
}

TEST_CASE("orders: equality is of values", "[arith][order][text]") {
  CHECK(test::order_of("tree:(0 1)") == test::order_of("tree:(0 1)"));
  CHECK_FALSE(test::order_of("tree:(0 1)") == test::order_of("tree:(1 0)"));
  CHECK_FALSE(test::order_of("tree:(0 1)") == Order{});
  CHECK_FALSE(test::order_of("blocked:2") == test::order_of("blocked:3"));
  CHECK_FALSE(test::order_of("blocked:2") == test::order_of("split:2"));
  CHECK_FALSE(test::order_of("multiterm:2,3") == test::order_of("multiterm:2,4"));
  CHECK_FALSE(Arithmetic{.mac = {}, .order = {}} ==
              Arithmetic{.mac = {}, .order = {}, .block = MacSpec{}});
}

TEST_CASE("orders: a tree is for its own number of terms", "[arith][order][text]") {
  CHECK(check_length(test::order_of("tree:(0 1)"), 2).ok());
  CHECK(check_length(test::order_of("lanes:8"), 3).ok());
  CHECK(check_length(test::order_of("lane-tree:(0 1)"), 3).ok());
  CHECK(check_length(test::order_of("fused-tree:(0 1)"), 2).ok());
  CHECK_FALSE(check_length(test::order_of("fused-tree:(0 1)"), 3).ok());
  const Result<void> wrong = check_length(test::order_of("tree:(0 1)"), 3);
  REQUIRE_FALSE(wrong.ok());
  CHECK(contains(wrong.error().message, "a tree of 2 terms, the sum has 3"));
}

TEST_CASE("trees: deep ones take memory, not stack; the limits are refused",
          "[arith][order][text]") {
  constexpr std::size_t n = 200'000;
  std::string left = "0", right, closes;
  std::string opens(n - 1, '(');
  for (std::size_t k = 1; k < n; ++k) left.append(" ").append(std::to_string(k)).append(")");
  for (std::size_t k = 0; k + 1 < n; ++k) right.append("(").append(std::to_string(k)).append(" ");
  right.append(std::to_string(n - 1)).append(n - 1, ')');
  const auto ones = [](std::size_t) { return 1.0; };
  const auto plus = [](double x, double y) { return x + y; };
  const Result<SummationTree> left_comb = SummationTree::parse(opens + left),
                              right_comb = SummationTree::parse(right);
  REQUIRE((left_comb.ok() && right_comb.ok()));
  CHECK(left_comb->evaluate(ones, plus) == static_cast<double>(n));
  CHECK(right_comb->evaluate(ones, plus) == static_cast<double>(n));
  CHECK(SummationTree::parse(right_comb->text()).value() == *right_comb);
  CHECK(
      SummationTree::parse(std::string(1000, '(') + "0" + std::string(1000, ')')).value().text() ==
      "0");
  const Result<SummationTree> too_deep =
      SummationTree::parse(std::string(SummationTree::max_nodes + 1, '('));
  REQUIRE_FALSE(too_deep.ok());
  CHECK(contains(too_deep.error().message, "more than 1048576 nodes"));
}

}  // namespace lamp
