// Orders of accumulation against sums associated by hand: partial sums, where c enters, products,
// signs of zero, specials.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/core/arith/ordered_sums.hpp"
#include "tests/support/bits.hpp"

namespace lamp {
namespace {

using test::four_bits;
using test::Operands;
using test::Random;
using test::same_bits;
using test::sum;
using test::terms;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

// Worked by hand: p = 4 (spacing 1 in [8, 16), 2 in [16, 32), 4 in [32, 64)), ties to even. Terms
// are exact in the format.

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

}  // namespace lamp
