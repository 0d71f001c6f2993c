// Orders of accumulation. Oracles: core/mpfr, which writes every order out as a program of its own
// (bits, every order, format, data and c); sums associated by hand; laws between orders. Exact sums
// also against integers.
#include "core/arith/orders/order.hpp"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "core/arith/gemm/gemm.hpp"
#include "core/mpfr/arithmetic.hpp"
#include "tests/core/arith/orders.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/formats.hpp"

namespace lamp {
namespace {

using test::off_by_one_bit;
using test::Operands;
using test::operands;
using test::order_of;
using test::Random;
using test::same_bits;
using test::Terms;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

Arithmetic in_order(const std::string& order, const MacSpec& mac = {},
                    std::optional<MacSpec> block = {}) {
  return {.mac = mac, .order = order_of(order), .block = std::move(block)};
}

double sum(const std::string& order, const Operands& o, const MacSpec& mac = {}, double c = 0.0,
           std::optional<MacSpec> block = {}) {
  return dot(in_order(order, mac, std::move(block)), o.x, o.y, c);
}

/// The terms t_k = t_k * 1.
Operands terms(std::vector<double> t) {
  std::vector<double> ones(t.size(), 1.0);
  return {std::move(t), std::move(ones)};
}

std::vector<std::size_t> lengths() {
  std::vector<std::size_t> n(18);
  std::iota(n.begin(), n.end(), std::size_t{0});
  n.insert(n.end(), {31, 32, 33, 63, 64, 65});
  return n;
}

const std::array specs{
    MacSpec{},
    MacSpec{.via = binary32, .format = ps(7)},
    MacSpec{.format = ps(3)},
    MacSpec{.format = binary64},
    MacSpec{.product = binary16, .format = binary16},
    MacSpec{.operands = bfloat16, .product = binary32},
    MacSpec{
        .operands = e4m3fn, .via = binary32, .format = binary16, .rounding = Rounding::rtz},
    MacSpec{.operands = e5m2, .format = e4m3fn, .rounding = Rounding::rtn},
    MacSpec{.format = {.p = 14, .emin = -126, .emax = 127}, .rounding = Rounding::rtz},
    MacSpec{.via = tf32, .format = ps(5), .rounding = Rounding::rna},
    MacSpec{.format = e3m2fn, .rounding = Rounding::rto},
    MacSpec{.format = binary16, .rounding = Rounding::rtp}};
const std::array<std::optional<MacSpec>, 3> blocks{
    std::nullopt, MacSpec{},
    MacSpec{.operands = ps(7), .format = binary64, .rounding = Rounding::rtz}};
constexpr std::array starts{0.0, -0.0, 1.0, -3.0000001, nan, inf, 0x1p-150};

/// Every order on one set of operands; returns a description of the first disagreement.
std::string disagreement(Random& random, const MacSpec& mac, Terms kind, std::size_t n) {
  const Operands o = operands(random, kind, n);
  const double c = starts[random.below(starts.size())];
  for (const std::string& text : test::order_texts(random, n)) {
    const bool blocked = text.starts_with("blocked");
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

// Worked by hand: p = 4 (spacing 1 in [8, 16), 2 in [16, 32), 4 in [32, 64)), ties to even. Terms
// are exact in the format.

namespace {
constexpr MacSpec four_bits{.format = {.p = 4, .emin = -20, .emax = 20}};
}

TEST_CASE("worked by hand: each order takes its own partial sums", "[arith][order][hand]") {
  // 8, 9 -> 17 -> 16; + 9 -> 25 -> 24; + 9 -> 33 -> 32; + 1 -> 33 -> 32
  const Operands o = terms({8, 9, 9, 9, 1});
  const double fused_value = sum("sequential", o, four_bits);
  CHECK(fused_value == 32);
  // 1, 10, 19 -> 20 (tie 18|20: 19 is halfway, even is 20), 29 -> 28 (halfway 28|30: even
  // significand 28 = 14*2), 36
  CHECK(sum("reverse", o, four_bits) == 36);
  // blocks (8 9) = 16, (9 9) = 18, (1) = 1: 0 + 16, 34 -> 32, 33 -> 32
  CHECK(sum("blocked:2", o, four_bits) == 32);
  // m = 2: (8 + 9) and the last three, of which m = 1: 9 and (9 + 1): 16 + (9 + 10 -> 19 -> 20) =
  // 36
  CHECK(sum("pairwise:1", o, four_bits) == 36);
  // lanes (8 9 1) -> 16 -> 17 -> 16, (9 9) -> 18: 34 -> 32
  CHECK(sum("lanes:2", o, four_bits) == 32);
  // lanes of 4: (8 1) = 9, 9, 9, 9: (9 + 9) = 18, (9 + 9) = 18: 36
  CHECK(sum("lanes:4", o, four_bits) == 36);
  // parts of 3: (8 9 9) = 16, 25 -> 24; (9 1) = 10: 34 -> 32
  CHECK(sum("split:2", o, four_bits) == 32);
  CHECK(sum("exact", o, four_bits) == 36);
  CHECK(sum("tree:((0 4) ((1 2) 3))", o, four_bits) == 36);  // 9 + (18 + 9 -> 27 -> 28) = 37 -> 36
  CHECK(sum("tree:(((0 1) 2) (3 4))", o, four_bits) == 32);  // ((16 + 9 -> 24) + 10) = 34 -> 32
}

TEST_CASE(
    "worked by hand: an odd half goes to the right of pairwise, the last part of split is short",
    "[arith][order][hand]") {
  const Operands three = terms({1, 16, -16});
  CHECK(sum("pairwise:1", three, four_bits) == 1);  // 1 + (16 - 16); (1 + 16 -> 16) - 16 would be 0
  const Operands five =
      terms({16, 1, 1, 1, 1});  // parts of 2: (16 + 1 -> 16), 2, 1: 16, 18, 19 -> 20
  CHECK(sum("split:3", five, four_bits) == 20);
  CHECK(sum("blocked:2", five, four_bits) == 20);
  CHECK(sum("split:4", five, four_bits) == 20);  // parts of 2 again; the fourth is empty
}

TEST_CASE("worked by hand: compensated sums", "[arith][order][hand]") {
  // Kahan at p = 4: 16 + 1 = 16 with e = (16 - 16) - 1 = -1; then y = 1 + 1 = 2: 18.
  CHECK(sum("kahan", terms({16, 1, 1}), four_bits) == 18);
  CHECK(sum("sequential", terms({16, 1, 1}), four_bits) == 16);
  // 1 + 64 - 64: Kahan loses the 1 (y is added to the larger), Neumaier keeps it.
  CHECK(sum("kahan", terms({1, 64, -64}), four_bits) == 0);
  CHECK(sum("neumaier", terms({1, 64, -64}), four_bits) == 1);
  // Infinities are no special case: Kahan's e becomes (inf - 0) - inf = NaN.
  CHECK(std::isnan(sum("kahan", terms({inf, 1}), four_bits)));
  CHECK(std::isnan(sum("neumaier", terms({inf}), four_bits)));
  CHECK(sum("kahan", terms({inf}), four_bits) == inf);
}

TEST_CASE(
    "worked by hand: products are rounded alone in tree, kahan, neumaier; fused with the sum "
    "elsewhere",
    "[arith][order][hand]") {
  // 9 * 9 = 81 -> 80 at p = 4; -80 + 81 = 1 where the product is fused.
  const Operands o{{-10, 9}, {8, 9}};
  CHECK(sum("sequential", o, four_bits) == 1);
  CHECK(sum("tree:(0 1)", o, four_bits) == 0);
  CHECK(sum("kahan", o, four_bits) == 0);
  CHECK(sum("neumaier", o, four_bits) == 0);
  CHECK(sum("exact", o, four_bits) == 1);
  MacSpec rounded = four_bits;
  rounded.product = four_bits.format;
  CHECK(sum("sequential", o, rounded) == 0);
  CHECK(sum("exact", o, rounded) == 1);  // `product` has no effect on it
}

TEST_CASE("worked by hand: where c enters", "[arith][order][hand]") {
  const Operands o = terms({1, 1, -16});            // c = 16
  CHECK(sum("sequential", o, four_bits, 16) == 0);  // 16, 16, 16, 0
  CHECK(sum("reverse", o, four_bits, 16) == 2);     // 0, 1, 2
  CHECK(sum("exact", o, four_bits, 16) == 2);
  for (const char* order :
       {"blocked:3", "pairwise:8", "lanes:1", "split:1", "kahan", "tree:(0 1 2)"})
    CHECK(sum(order, o, four_bits, 16) == 2);  // (2 - 16) = -14, + 16
  // c that is no number of the format: rounded with the sum where it is added, as it is where a sum
  // starts from it.
  CHECK(sum("sequential", {}, four_bits, 17) == 17);
  CHECK(sum("multiterm:4,8", {}, four_bits, 17) == 17);
  CHECK(sum("lanes:4", {}, four_bits, 17) == 16);
  CHECK(sum("exact", {}, four_bits, 17) == 16);
}

TEST_CASE("worked by hand: signs of zero", "[arith][order][hand]") {
  const Operands negative = terms({-0.0, -0.0});
  for (const char* order : {"sequential", "reverse", "exact"}) {
    CHECK(same_bits(sum(order, negative), 0.0));
    CHECK(same_bits(sum(order, negative, {}, -0.0), -0.0));
  }
  for (const char* order :
       {"blocked:1", "pairwise:1", "lanes:2", "split:2", "kahan", "neumaier", "tree:(0 1)"}) {
    CHECK(same_bits(sum(order, negative), 0.0));  // every sum starts from +0
    CHECK(same_bits(sum(order, negative, {}, -0.0), 0.0));
  }
  CHECK(same_bits(sum("multiterm:4,8", negative, {}, -0.0), 0.0));  // an exact zero is +0
  const MacSpec down{.rounding = Rounding::rtn};
  CHECK(same_bits(sum("exact", terms({1, -1}), down), -0.0));
  CHECK(same_bits(sum("multiterm:4,8", terms({1, -1}), down), 0.0));
  CHECK(same_bits(sum("blocked:1", terms({0.0}), down, -0.0),
                  -0.0));  // +0 + c is a sum of zeros of both signs
  Random random(1);
  for (const std::string& order : test::order_texts(random, 0))
    CHECK(same_bits(sum(order, {}, down), 0.0));
}

TEST_CASE("worked by hand: blocks in an arithmetic of their own", "[arith][order][hand]") {
  // Blocks in binary32: 18 and 18; outside p = 4: 36. In p = 4: 16 + 1 + 1 = 16 twice: 32.
  const Operands o = terms({16, 1, 1, 16, 1, 1});
  CHECK(sum("blocked:3", o, four_bits, 0.0, MacSpec{}) == 36);
  CHECK(sum("blocked:3", o, four_bits) == 32);
  CHECK(sum("blocked:3", o, {}, 0.0, four_bits) == 32);
  // The operands of the blocks' specification are rounded, those of the outer one do not matter: 17
  // -> 16.
  MacSpec rounding = four_bits;
  rounding.operands = four_bits.format;
  CHECK(sum("blocked:2", terms({17}), {}, 0.0, MacSpec{.operands = four_bits.format}) == 16);
  CHECK(sum("blocked:2", terms({17}), MacSpec{.operands = four_bits.format}, 0.0, MacSpec{}) == 17);
}

TEST_CASE("worked by hand: multiterm aligns, truncates toward zero, rounds once",
          "[arith][order][hand]") {
  const MacSpec engine{.operands = binary16, .rounding = Rounding::rtz};
  // Largest exponent 3, F = 4: multiples of 1/2. 8 + 1.75 -> 8 + 1.5; -1.75 -> -1.5.
  CHECK(sum("multiterm:2,4", terms({8, 1.75}), engine) == 9.5);
  CHECK(sum("multiterm:2,4", terms({8, -1.75}), engine) == 6.5);
  CHECK(sum("multiterm:2,5", terms({8, 1.75}), engine) == 9.75);
  // Unnormalised: 1.5 * 1.5 = 2.25 has exponent 0, so F = 4 keeps sixteenths and 0.1875 of the
  // other term.
  CHECK(sum("multiterm:2,4", {{1.5, 0.1875}, {1.5, 1}}, engine) == 2.4375);
  CHECK(sum("multiterm:2,4", {{2.25, 0.1875}, {1, 1}}, engine) == 2.375);
  // The exponent of a subnormal operand of binary16 is -14, not its own -24: with F = 12 multiples
  // of 2^-26.
  CHECK(sum("multiterm:2,12", {{0x1p-24, 0x1.8p-14}, {1, 0x1p-13}}, engine) == 0x1p-24);
  // Its own as it is: multiples of 2^-36.
  CHECK(sum("multiterm:2,12", {{0x1p-24, 0x1.8p-14}, {1, 0x1p-13}}, {.rounding = Rounding::rtz}) ==
        0x1.3p-24);
  // Steps of two, the accumulator among the terms of the next step: (16 + 1) then (17 + 1 + 1).
  CHECK(sum("multiterm:2,3", terms({16, 1, 1, 1}), engine) == 16);
  CHECK(sum("multiterm:4,3", terms({16, 1, 1, 1}), engine) == 16);
  CHECK(sum("multiterm:2,4", terms({16, 1, 1, 1}), engine) == 19);
  // c takes part in the alignment, zero products do not.
  CHECK(sum("multiterm:2,4", terms({1, 1}), engine, 0x1p8) == 0x1p8);
  CHECK(sum("multiterm:2,4", {{0, 1.75}, {0x1p15, 1}}, engine) == 1.75);
}

TEST_CASE("multiterm: special values and overflow", "[arith][order][hand]") {
  const MacSpec rtz{.rounding = Rounding::rtz};
  CHECK(std::isnan(sum("multiterm:4,24", terms({inf, -inf, 1}), rtz)));
  CHECK(std::isnan(sum("multiterm:4,24", {{inf, 1}, {0, 1}}, rtz)));
  CHECK(std::isnan(sum("multiterm:4,24", terms({nan, inf}), rtz)));
  CHECK(sum("multiterm:4,24", terms({1, -inf}), rtz) == -inf);
  CHECK(sum("multiterm:4,24", terms({1}), rtz, inf) == inf);
  const double largest = xmax(binary32);
  CHECK(sum("multiterm:4,40", terms({largest, 0x1p103}), rtz) ==
        largest);  // truncated to xmax: no overflow
  CHECK(sum("multiterm:4,40", terms({largest, 0x1p104}), rtz) ==
        inf);  // an engine gives infinity even under RTZ
  CHECK(sum("multiterm:4,40", terms({-largest, -0x1p104}), rtz) == -inf);
  CHECK(sum("exact", terms({largest, 0x1p104}), rtz) ==
        largest);  // sums elsewhere do as the mode says
  const MacSpec saturating{.format = e3m2fn, .rounding = Rounding::rto};
  CHECK(sum("multiterm:4,40", terms({28, 28}), saturating) == 28);
}

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

TEST_CASE(
    "exact: sums of 2^2000 and 2^-2000, carries through every digit, cancellation to the last bit",
    "[arith][order][exact]") {
  const MacSpec wide{.format = binary64};
  CHECK(sum("exact", {{0x1p1000, 0x1p-1000, 0x1p1000}, {0x1p1000, 0x1p-20, -0x1p1000}}, wide) ==
        0x1p-1020);
  CHECK(sum("exact", {{0x1p-1074, 0x1p1000, 0x1p1000}, {0x1p-1074, 0x1p1000, -0x1p1000}},
            {.format = binary64, .rounding = Rounding::rtp}) == 0x1p-1074);
  CHECK(sum("exact", {{0x1p1023, 0x1p-1074, 0x1p1023}, {1, -0x1p-1074, -1}},
            {.format = binary64, .rounding = Rounding::rto}) == -0x1p-1074);
  CHECK(sum("exact", {{0x1p1023, 0x1p1023, -0x1p1023}, {0x1p1023, 0x1p1023, 0x1p1023}}, wide,
            1.0) == inf);
  // 1 - 2^-106, then one rounding: a tie of binary64 plus or minus a bit far below.
  CHECK(sum("exact", {{1, 0x1p-53, 0x1p-600}, {1, 1, 0x1p-600}}, wide) == 1 + 0x1p-52);
  CHECK(sum("exact", {{1, 0x1p-53, -0x1p-600}, {1, 1, 0x1p-600}}, wide) == 1.0);
  CHECK(sum("exact", {{1, 0x1p-53}, {1, 1}}, wide) == 1.0);
  ExactSum many;
  for (int i = 0; i < 1 << 20; ++i)
    many.add_product(0x1.fffffffffffffp0, -0x1.fffffffffffffp0);  // -(4 - 2^-50 + 2^-104)
  CHECK(many.rounded(binary64, Rounding::rtp) == -0x1.ffffffffffffep21);
  CHECK(many.rounded(binary64, Rounding::rtn) == -0x1.fffffffffffffp21);
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
        CHECK(same_bits(ordered_sum(fl, arithmetic.order, o.x), plain));
      });
    }
}

TEST_CASE("blocks: a binary32 outer sum takes blocks of binary64 with one rounding",
          "[arith][order]") {
  // 1 + (2^-24 + 2^-50): rounded twice, through binary32, it would be 1 + 2^-24 -> 1.
  CHECK(sum("blocked:2", {{0, 1, 0x1p-24, 0x1p-50}, {1, 1, 1, 1}}, {}, 0.0,
            MacSpec{.format = binary64}) == 1 + 0x1p-23);
}

/// Of whole products, and of their later rows.
const Shape shapes[] = {Shape::full,
                        Shape::lower_output,
                        Shape::lower_operand,
                        {Shape::lower_output, 3},
                        {Shape::lower_operand, 3}};

TEST_CASE("gemm: every order, operands rounded, blocks, every shape, has MPFR's bits",
          "[arith][order][gemm]") {
  Random random(29);
  Matrix<double> a(5, 21), b(21, 9);
  for (double& value : a.flat())
    value = random.with_exponent(-9, -5, 24);  // subnormal in e4m3fn: multiterm aligns by emin
  for (double& value : b.flat()) value = random.with_exponent(-4, 3, 24);
  b(3, 4) = 0x1.000001p0;  // no binary32 number: other engines
  for (const MacSpec& mac : {specs[0], specs[1], specs[5], specs[6]})
    for (const std::string& text : test::order_texts(random, 21))
      for (const auto& block : blocks)
        for (const Shape shape : shapes) {
          if (shape.kind == Shape::lower_operand &&
              (text.starts_with("tree") || text.starts_with("fused-tree")))
            continue;  // its rows have other lengths
          const Arithmetic arithmetic = in_order(text, mac, block);
          Matrix<double> got(5, 9, 7.0), want(5, 9, 7.0);
          gemm(arithmetic, a.view(), b.view(), got.view(), shape);
          mpfr::gemm(arithmetic, a.view(), b.view(), want.view(), shape);
          INFO(text << ", shape " << static_cast<int>(shape.kind) << " from row "
                    << shape.first_row);
          REQUIRE(same_bits(got.flat(), want.flat()));
        }
}

TEST_CASE("gemm: orders made of sequential sums have the naive loop's bits, tile by tile",
          "[arith][order][gemm]") {
  Random random(30);
  struct Size {
    std::size_t m, k, n;
  };
  constexpr Size sizes[] = {{130, 19, 515},
                            {150, 150, 7},
                            {7, 130, 40},
                            {140, 12, 3}};  // more than one tile down, across; short and long sums
  for (const Size& size : sizes) {
    Matrix<double> a(size.m, size.k), b(size.k, size.n);
    for (double& value : a.flat())
      value = random.below(9) == 0 ? -0.0 : random.with_exponent(-4, 3, 24);
    for (double& value : b.flat()) value = random.with_exponent(-4, 3, 24);
    for (const std::string text : {"reverse", "blocked:1", "blocked:8", "blocked:50", "blocked:400",
                                   "pairwise:4", "lanes:8", "split:3"})
      for (const Shape shape : shapes) {
        const bool binary32_outside = text == "blocked:50",
                   binary64_inside = binary32_outside || text == "blocked:8";
        const Arithmetic arithmetic =
            in_order(text, binary32_outside ? MacSpec{} : lamp_paper(7).mac,
                     binary64_inside ? std::optional(MacSpec{.format = binary64}) : std::nullopt);
        Matrix<double> left = a;
        if (shape.kind == Shape::lower_operand)
          for (std::size_t i = 0; i < size.m; ++i)
            for (std::size_t l = shape.first_row + i + 1; l < size.k; ++l)
              left(i, l) = nan;  // never read
        Matrix<double> got(size.m, size.n, 7.0), want(size.m, size.n, 7.0);
        gemm(arithmetic, left.view(), b.view(), got.view(), shape);
        gemm(arithmetic, left.view(), b.view(), want.view(), shape, Backend::scalar);
        INFO(text << ", shape " << static_cast<int>(shape.kind) << " from row " << shape.first_row
                  << ", " << size.m << " x " << size.k << " x " << size.n);
        REQUIRE(same_bits(got.flat(), want.flat()));
      }
  }
}

TEST_CASE(
    "gemm: few rows, whose terms are taken where they lie in packed weights, have MPFR's bits on "
    "every instruction set",
    "[arith][order][gemm]") {
  Random random(31);
  constexpr FloatFormat huge{.p = 9, .emin = -300, .emax = 300};  // no binary32 numbers
  const std::array macs{MacSpec{}, lamp_paper(7).mac, MacSpec{.operands = bfloat16},
                        MacSpec{.operands = e4m3fn, .format = ps(9)},
                        MacSpec{.operands = huge, .via = binary32, .format = ps(5)}};
  std::vector<Backend> backends{Backend::automatic};
  for (const Backend backend : {Backend::avx2, Backend::avx512})
    if (available(backend)) backends.push_back(backend);
  int slips_caught = 0;
  for (const std::size_t rows : {std::size_t{1}, std::size_t{3}})
    for (const std::size_t terms : {std::size_t{1}, std::size_t{5}, std::size_t{67}})
      for (const MacSpec& mac : macs) {
        Matrix<double> a(rows, terms), b(terms, 37);
        for (double& value : a.flat())
          value = random.with_exponent(-4, 3, mac.operands && terms > 5 ? 53 : 24);
        for (double& value : b.flat())
          value = random.below(50) == 0 ? -0.0 : random.with_exponent(-4, 3, 24);
        if (terms == 5)
          b(1, 33) = inf, b(2, 33) = -inf, b(4, 7) = 0x1p-149, b(0, 36) = 0x1.fffffep127;
        const PackedMatrix packed(b.view());
        REQUIRE(packed.is_binary32());
        for (const char* text : {"reverse", "lanes:1", "lanes:4", "lanes:16", "lanes:64",
                                 "blocked:1", "blocked:8", "pairwise:3", "split:4"})
          for (const auto& block :
               {std::optional<MacSpec>(),
                std::optional(MacSpec{.operands = e4m3fn, .product = binary32})}) {
            if (block && !std::string(text).starts_with("blocked")) continue;
            const Arithmetic arithmetic = in_order(text, mac, block);
            Matrix<double> want(rows, 37);
            mpfr::gemm(arithmetic, a.view(), b.view(), want.view(), Shape::full);
            for (const Backend backend : backends) {
              INFO(text << ", " << rows << " x " << terms << ", p " << mac.format.p << ", backend "
                        << name_in(backend_names, backend));
              Matrix<double> got(rows, 37, 7.0), slip(rows, 37, 7.0);
              gemm(arithmetic, a.view(), packed, got.view(), Shape::full, backend);
              REQUIRE(same_bits(got.flat(), want.flat()));
              gemm(in_order("sequential", mac), a.view(), packed, slip.view(), Shape::full,
                   backend);
              if (!same_bits(slip.flat(), want.flat())) ++slips_caught;
            }
          }
      }
  CHECK(slips_caught > 200);
}

TEST_CASE(
    "gemm: orders that are trees have the naive loop's bits in binary32 and binary64, on every "
    "instruction set",
    "[arith][order][gemm]") {
  Random random(33);
  struct Size {
    std::size_t m, k, n;
  };
  for (const Size& size :
       {Size{1, 33, 70}, Size{9, 64, 31}, Size{40, 40, 33}, Size{6, 1, 5}, Size{5, 130, 32}}) {
    Matrix<double> a(size.m, size.k), b(size.k, size.n);
    for (double& value : a.flat())
      value = random.below(9) == 0 ? -0.0 : random.with_exponent(-70, 3, random.between(1, 24));
    for (double& value : b.flat()) value = random.with_exponent(-70, 3, random.between(1, 24));
    const std::string tree = test::random_tree(random, size.k);
    for (const std::string& text :
         {tree, "fused-" + tree, std::string("lane-tree:((0 1) (2 3))"), std::string("panels:12,4"),
          std::string("numpy-sum:8192"), std::string("numpy-sum:50"), std::string("pairwise:1"),
          std::string("pairwise:8"), std::string("lanes:8"), std::string("blocked:8")})
      for (const MacSpec& mac :
           {MacSpec{}, MacSpec{.product = binary32}, MacSpec{.format = binary64},
            MacSpec{.product = binary64, .format = binary64}, lamp_paper(7).mac})
        for (const Shape shape : shapes)
          for (const Backend backend : {Backend::avx2, Backend::avx512}) {
            if (!available(backend) ||
                (shape.kind == Shape::lower_operand && has_fixed_length(parse_order(text).value())))
              continue;
            const Arithmetic arithmetic = in_order(text, mac);
            Matrix<double> left = a;
            if (shape.kind == Shape::lower_operand)
              for (std::size_t i = 0; i < size.m; ++i)
                for (std::size_t l = shape.first_row + i + 1; l < size.k; ++l)
                  left(i, l) = nan;  // never read
            Matrix<double> got(size.m, size.n, 7.0), want(size.m, size.n, 7.0);
            gemm(arithmetic, left.view(), b.view(), got.view(), shape, backend);
            gemm(arithmetic, left.view(), b.view(), want.view(), shape, Backend::scalar);
            INFO(text << ", shape " << static_cast<int>(shape.kind) << " from row "
                      << shape.first_row << ", " << size.m << " x " << size.k << " x " << size.n);
            REQUIRE(same_bits(got.flat(), want.flat()));
          }
  }
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

TEST_CASE("worked by hand: numpy-sum", "[arith][order][hand]") {
  // 8 lanes: (8 + 9 -> 16) + (9 + 9 = 18) -> 32 (34 is a tie), (1 + 9) + (9 + 1) = 20: 52; the
  // ninth last: 61 -> 60.
  CHECK(sum("numpy-sum:8192", terms({8, 9, 9, 9, 1, 9, 9, 1}), four_bits) == 52);
  CHECK(sum("numpy-sum:8192", terms({8, 9, 9, 9, 1, 9, 9, 1, 9}), four_bits) == 60);
  // Fewer than 8: in order, 8, 16, 24, 32, 32. Buffers of 2: 16, + 18 -> 32, + 9 -> 40. c is last.
  CHECK(sum("numpy-sum:8192", terms({8, 9, 9, 9, 1}), four_bits) == 32);
  CHECK(sum("numpy-sum:2", terms({8, 9, 9, 9, 9}), four_bits) == 40);
  CHECK(sum("numpy-sum:8192", terms({16, 1, 1}), four_bits, -16) == 0);
  // Products are rounded alone: -80 + 80.
  CHECK(sum("numpy-sum:8192", {{-80, 9}, {1, 9}}, four_bits) == 0);
  for (const double zero : {0.0, -0.0})
    CHECK(same_bits(sum("numpy-sum:8192", terms(std::vector<double>(200, zero))), 0.0));
}

TEST_CASE("worked by hand: fused-tree, lane-tree and panels", "[arith][order][hand]") {
  // 8 + 9 + 9 + 9 + 1 at p = 4 (2 apart from 16 on, 4 apart from 32 on).
  const Operands o{{8, 9, 9, 9, 1}, {1, 1, 1, 1, 1}};
  CHECK(sum("lane-tree:(0 1)", o, four_bits) ==
        32);  // (8 + 9 -> 16, + 1 -> 16) + (9 + 9 = 18) = 34 -> 32
  CHECK(sum("lane-tree:((0 1) (2 3))", o, four_bits) == 36);  // 8 + 1 = 9, + 9 = 18; 9 + 9 = 18
  CHECK(sum("panels:2,1", o, four_bits) ==
        32);  // parts of 2, 1, 2: 17 -> 16, + 9 = 25 -> 24, + 10 = 34 -> 32
  CHECK(sum("fused-tree:((0 4) ((1 2) 3))", o, four_bits) == 36);
  // 9 x 9 = 81 -> 80 alone: fused it keeps its 1. (0 1): -80 + 81; (0 (1)): -80 + 80.
  const Operands p{{-80, 9}, {1, 9}};
  CHECK(sum("fused-tree:(0 1)", p, four_bits) == 1);
  CHECK(sum("fused-tree:(0 (1))", p, four_bits) == 0);
  CHECK(sum("tree:(0 1)", p, four_bits) == 0);
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
