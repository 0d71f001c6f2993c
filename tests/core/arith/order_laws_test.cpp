// Laws between orders of accumulation: those that coincide, permutations, integers.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/core/arith/ordered_sums.hpp"
#include "tests/support/bits.hpp"

namespace lamp {
namespace {

using test::Operands;
using test::operands;
using test::Random;
using test::same_bits;
using test::specs;
using test::sum;
using test::Terms;

}  // namespace

// Laws.

namespace {

/// law(operands, mac) on data of every kind.
template <class Law>
void for_all_data(std::uint32_t seed, Law&& law) {
  Random random(seed);
  for (const MacSpec& mac : specs)
    for (const Terms kind : test::all_terms)
      for (const std::size_t n : {0U, 1U, 2U, 3U, 7U, 16U, 33U, 100U})
        law(operands(random, kind, n), mac);
}

}  // namespace

TEST_CASE("laws: orders of one block, lane, part or leaf are sequential, and reverse undoes itself",
          "[arith][order][law]") {
  for_all_data(21, [](const Operands& o, const MacSpec& mac) {
    const std::string n = std::to_string(std::max<std::size_t>(o.x.size(), 1));
    const double sequential = sum("sequential", o, mac);
    CHECK(same_bits(sum("pairwise:" + n, o, mac), sequential));
    CHECK(same_bits(sum("lanes:1", o, mac), sequential));
    // One rounded addition of +0 follows; the sum is a number of the format already, and -0 becomes
    // +0.
    const double added = o.x.empty() ? 0.0 : GeneralArithmetic(mac).add(0.0, sequential);
    CHECK(same_bits(sum("split:1", o, mac), added));
    CHECK(same_bits(sum("blocked:" + n, o, mac), added));
    CHECK(same_bits(sum("blocked:" + n, o, mac, 0.0, mac), added));
    CHECK(same_bits(sum("blocked:1000000", o, mac), added));
    Operands reversed = o;
    std::reverse(reversed.x.begin(), reversed.x.end()),
        std::reverse(reversed.y.begin(), reversed.y.end());
    CHECK(same_bits(sum("reverse", reversed, mac, 2.5), sum("sequential", o, mac, 2.5)));
  });
}

TEST_CASE(
    "laws: split of n parts is blocked:1, lanes of one element each is pairwise halving of the far "
    "pairs",
    "[arith][order][law]") {
  for_all_data(22, [](const Operands& o, const MacSpec& mac) {
    if (o.x.empty()) return;
    const std::string n = std::to_string(o.x.size());
    CHECK(same_bits(sum("split:" + n, o, mac), sum("blocked:1", o, mac)));
    CHECK(same_bits(sum("split:1000000", o, mac), sum("blocked:1", o, mac)));
  });
  Random random(23);
  for (const MacSpec& mac : specs) {
    const Operands o = operands(random, Terms::ordinary, 8);
    CHECK(same_bits(sum("lanes:8", o, mac), sum("tree:(((0 4) (2 6)) ((1 5) (3 7)))", o, mac)));
    CHECK(same_bits(sum("pairwise:1", o, mac), sum("tree:(((0 1) (2 3)) ((4 5) (6 7)))", o, mac)));
  }
}

TEST_CASE("laws: a left comb is sequential on rounded products", "[arith][order][law]") {
  for_all_data(24, [](const Operands& o, const MacSpec& mac) {
    if (o.x.empty()) return;
    const GeneralArithmetic fl(mac);
    double s = 0.0;
    std::string comb = "0";
    for (std::size_t k = 0; k < o.x.size(); ++k) {
      const double product = fl.mac(o.x[k], o.y[k], 0.0);
      s = k == 0 ? product : fl.add(s, product);
      if (k > 0) comb = "(" + comb + " " + std::to_string(k) + ")";
    }
    CHECK(same_bits(sum("tree:" + comb, o, mac), s));
  });
}

TEST_CASE("laws: exact does not depend on the order of terms, and is multiterm without truncation",
          "[arith][order][law]") {
  Random random(25);
  for_all_data(26, [&](const Operands& o, const MacSpec& mac) {
    const double exact = sum("exact", o, mac, 1.25);
    Operands shuffled = o;
    for (std::size_t k = o.x.size(); k > 1; --k) {
      const std::size_t other = random.below(static_cast<std::uint32_t>(k));
      std::swap(shuffled.x[k - 1], shuffled.x[other]),
          std::swap(shuffled.y[k - 1], shuffled.y[other]);
    }
    CHECK(same_bits(sum("exact", shuffled, mac, 1.25), exact));
    if (mac.via || mac.rounding != Rounding::rne || o.x.empty())
      return;  // multiterm has no via, another zero, another overflow
    CHECK(same_bits(sum("multiterm:100,5000", o, mac, 1.25), exact));
  });
}

TEST_CASE("laws: integers are summed exactly by every order", "[arith][order][law]") {
  Random random(27);
  for (const std::size_t n : {1U, 5U, 64U, 200U}) {
    Operands o;
    std::int64_t total = 0;
    for (std::size_t k = 0; k < n; ++k) {
      const int a = random.between(-300, 300), b = random.between(-50, 50);
      o.x.push_back(a), o.y.push_back(b), total += a * b;
    }
    for (const std::string& order : test::order_texts(random, n)) {
      if (order.starts_with("multiterm") && order != "multiterm:16,25" &&
          order != "multiterm:5,5000")
        continue;  // these truncate
      CHECK(sum(order, o) == static_cast<double>(total));
    }
  }
}

}  // namespace lamp
