// Every order of accumulation has the bits of core/mpfr, which writes each out as a program of its
// own: every order, format, data and c.
#include "core/arith/orders/ordered_dot.hpp"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "core/mpfr/arithmetic.hpp"
#include "tests/core/arith/ordered_sums.hpp"
#include "tests/support/bits.hpp"

namespace lamp {
namespace {

using test::blocks;
using test::in_order;
using test::off_by_one_bit;
using test::Operands;
using test::operands;
using test::Random;
using test::same_bits;
using test::specs;
using test::sum;
using test::Terms;
using test::terms;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::vector<std::size_t> lengths() {
  std::vector<std::size_t> n(18);
  std::iota(n.begin(), n.end(), std::size_t{0});
  n.insert(n.end(), {31, 32, 33, 63, 64, 65});
  return n;
}

constexpr std::array starts{0.0, -0.0, 1.0, -3.0000001, nan, inf, 0x1p-150};

/// Every order on one set of operands; returns a description of the first disagreement.
std::string disagreement(Random& random, const MacSpec& mac, Terms kind, std::size_t n) {
  const Operands o = operands(random, kind, n);
  const double c = starts[random.below(starts.size())];
  for (const std::string& text : test::order_texts(random, n)) {
    const bool blocked = row_of(test::order_of(text)).has_blocks;
    for (std::size_t block = 0; block < (blocked ? blocks.size() : 1); ++block) {
      const Arithmetic arithmetic = in_order(text, mac, blocks[block]);
      const double got = dot(arithmetic, o.x, o.y, c), want = mpfr::dot(arithmetic, o.x, o.y, c);
      if (same_bits(got, want)) continue;
      std::string what(300, '\0');
      what.resize(static_cast<std::size_t>(
          std::snprintf(what.data(), what.size(), "%.80s, block %zu, n %zu, c %a: got %a, want %a",
                        text.c_str(), block, n, c, got, want)));
      return what;
    }
  }
  return {};
}

}  // namespace

TEST_CASE("every order has MPFR's bits: specifications, lengths, data, starts", "[arith][order]") {
  Random random(11);
  for (std::size_t s = 0; s < specs.size(); ++s)
    for (const Terms kind : test::all_terms)
      for (const std::size_t n : lengths()) {
        if (n > 20 && (n + s + static_cast<std::size_t>(kind)) % 3 != 0)
          continue;  // the long ones: each with a third of the rest
        INFO("spec " << s << ", terms " << static_cast<int>(kind));
        REQUIRE(disagreement(random, specs[s], kind, n) == "");
      }
}

TEST_CASE("every order has MPFR's bits: a few hundred terms", "[arith][order]") {
  Random random(12);
  for (const std::size_t n : {255U, 300U})
    for (const std::size_t s : {0U, 1U, 4U, 5U})
      REQUIRE(disagreement(random, specs[s], n == 300 ? Terms::ordinary : Terms::cancelling, n) ==
              "");
}

TEST_CASE("every order has MPFR's bits: many lengths and specifications",
          "[arith][order][exhaustive]") {
  Random random(13);
  for (int round = 0; round < 4; ++round)
    for (const MacSpec& mac : specs)
      for (const Terms kind : test::all_terms)
        for (std::size_t n = 0; n < 140; n += 1 + random.below(4))
          REQUIRE(disagreement(random, mac, kind, n) == "");
}

TEST_CASE("sums: a dot product with ones, whatever the engine; blocks too", "[arith][order]") {
  Random random(28);
  const Operands o = operands(random, Terms::ordinary, 77);
  const std::vector<double> ones(77, 1.0);
  for (const std::string& text : test::order_texts(random, 77))
    for (const MacSpec& mac : {MacSpec{}, MacSpec{.format = binary64}, specs[1]}) {
      const Arithmetic arithmetic = in_order(text, mac, MacSpec{.format = ps(5)});
      const double want = mpfr::dot(arithmetic, o.x, ones);
      CHECK(same_bits(ordered_sum(GeneralArithmetic(mac), arithmetic, o.x), want));
      CHECK(same_bits(ordered_sum(mpfr::MpfrArithmetic(mac), arithmetic, o.x), want));
      visit_arithmetic(mac, true, [&](const auto& fl) {
        CHECK(same_bits(ordered_sum(fl, arithmetic, o.x), want));
      });
      const double plain = mpfr::dot(in_order(text, mac), o.x, ones);
      visit_arithmetic(mac, true, [&](const auto& fl) {
        CHECK(same_bits(ordered_sum(fl, in_order(text, mac), o.x), plain));
      });
    }
}

TEST_CASE("blocks: a binary32 outer sum takes blocks of binary64 with one rounding",
          "[arith][order]") {
  // 1 + (2^-24 + 2^-50): rounded twice, through binary32, it would be 1 + 2^-24 -> 1.
  CHECK(sum("blocked:2", {{0, 1, 0x1p-24, 0x1p-50}, {1, 1, 1, 1}}, {}, 0.0,
            MacSpec{.format = binary64}) == 1 + 0x1p-23);
}

TEST_CASE("numpy-sum: long sums, halved at multiples of eight, tails and buffers, have MPFR's bits",
          "[arith][order]") {
  Random random(34);
  for (const std::size_t n : {128U, 129U, 136U, 143U, 257U, 512U, 600U, 1031U})
    for (const char* text : {"numpy-sum:8192", "numpy-sum:200"})
      for (const MacSpec& mac : {MacSpec{}, MacSpec{.product = binary32}, specs[1]}) {
        const Operands o = operands(random, Terms::ordinary, n);
        INFO(text << ", n " << n);
        REQUIRE(same_bits(sum(text, o, mac), mpfr::dot(in_order(text, mac), o.x, o.y)));
      }
}

// Negative controls: what a slip in an order would give is told apart by the data of these tests.

TEST_CASE("negative control: slips in an order are seen", "[arith][order][control]") {
  Random random(31);
  const MacSpec mac = lamp_paper(7).mac;
  const auto differ = [&](const char* right, const char* wrong, double c = 0.0,
                          std::size_t n = 33) {
    int seen = 0;
    for (int i = 0; i < 50; ++i) {
      const Operands o = operands(random, Terms::ordinary, n);
      seen += !same_bits(sum(right, o, mac, c), sum(wrong, o, mac, c));
    }
    return seen;
  };
  CHECK(differ("sequential", "reverse") > 0);
  CHECK(differ("blocked:4", "blocked:5") > 0);
  CHECK(differ("pairwise:1", "pairwise:2") > 0);
  CHECK(differ("lanes:4", "split:4") > 0);
  CHECK(differ("lanes:4", "lanes:8") > 0);
  CHECK(differ("numpy-sum:8192", "lane-tree:(0 1 (2 3) (4 5 (6 7)))") >
        0);  // the tail, products rounded alone
  CHECK(differ("numpy-sum:8192", "numpy-sum:128", 0.0, 300) > 0);
  CHECK(differ("kahan", "neumaier") > 0);
  CHECK(differ("multiterm:4,10", "multiterm:4,11") > 0);
  CHECK(differ("multiterm:4,10", "multiterm:5,10") > 0);
  CHECK(differ("tree:((0 1) 2)", "tree:(0 (1 2))", 0.0, 3) > 0);
  int c_first = 0, truncated_down = 0, swapped = 0;
  for (int i = 0; i < 50; ++i) {
    const Operands o = operands(random, Terms::ordinary, 33);
    c_first += !same_bits(sum("lanes:1", o, mac, 3.0),
                          sum("sequential", o, mac, 3.0));  // c last beside c first
    truncated_down += !same_bits(
        sum("multiterm:4,10", o, mac),
        sum("multiterm:4,10", o, {.via = binary32, .format = ps(7), .rounding = Rounding::rtz}));
    Operands other = o;
    std::swap(other.x[0], other.x[32]), std::swap(other.y[0], other.y[32]);
    swapped += !same_bits(sum("sequential", o, mac), sum("sequential", other, mac));
  }
  CHECK(c_first > 0);
  CHECK(truncated_down > 0);
  CHECK(swapped > 0);
  CHECK_FALSE(same_bits(sum("exact", terms({1, 2}), mac), off_by_one_bit(3.0)));
}

}  // namespace lamp
