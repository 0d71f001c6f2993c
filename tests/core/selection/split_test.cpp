// The vectorised split against a stable partition, on every instruction set of this machine.
#include "core/selection/split.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <iterator>
#include <vector>

#include "core/base/marks.hpp"
#include "tests/core/selection/only_targets.hpp"
#include "tests/support/random.hpp"

using namespace lamp;

TEST_CASE("split: a stable partition, the sum below, in place too, marks of those above",
          "[lamp][law]") {
  for (const std::int64_t target : test::targets()) {
    const test::OnlyTargets only(target);
    INFO(hwy::TargetName(target));
    test::Random random(1);
    for (int trial = 0; trial < 400; ++trial) {
      const std::size_t n = random.below(70);
      const std::uint64_t range = trial % 2 == 0 ? 9 : ~std::uint64_t{0};  // ties, and the top bit
      std::vector<std::uint64_t> keys(n), below, above, low(n + split_slack), high(n + split_slack);
      for (auto& key : keys) key = range == 9 ? random.below(9) : random.word64();
      const std::uint64_t pivot = n == 0 ? 4 : keys[random.below(static_cast<std::uint32_t>(n))];
      uint128 sum = 0;
      for (const std::uint64_t key : keys) {
        if (key < pivot) below.push_back(key), sum += key;
        if (key > pivot) above.push_back(key);
      }
      const KeySplit split = split_keys(keys, pivot, low.data(), high.data());
      REQUIRE(
          (split.below == below.size() && split.above == above.size() && split.sum_below == sum));
      REQUIRE(std::equal(below.begin(), below.end(), low.begin()));
      REQUIRE(std::equal(above.begin(), above.end(), high.begin()));
      std::vector<std::int64_t> diagonal(n), low_diagonal(n + split_slack),
          high_diagonal(n + split_slack), of_low, of_high;
      KeySplit expected;
      for (std::size_t i = 0; i < n; ++i) {
        diagonal[i] = static_cast<std::int64_t>(random.word64()) >> random.below(60);
        if (keys[i] < pivot)
          of_low.push_back(diagonal[i]),
              expected.diagonal_below = std::max(expected.diagonal_below, diagonal[i]);
        if (keys[i] > pivot) of_high.push_back(diagonal[i]);
        if (keys[i] == pivot)
          expected.diagonal_equal = std::max(expected.diagonal_equal, diagonal[i]);
      }
      const KeySplit pairs =
          split_pairs(keys, diagonal.data(), pivot, {low.data(), low_diagonal.data()},
                      {high.data(), high_diagonal.data()});
      REQUIRE(
          (pairs.below == below.size() && pairs.above == above.size() && pairs.sum_below == sum));
      REQUIRE((pairs.diagonal_below == expected.diagonal_below &&
               pairs.diagonal_equal == expected.diagonal_equal));
      REQUIRE(std::equal(below.begin(), below.end(), low.begin()));
      REQUIRE(std::equal(of_low.begin(), of_low.end(), low_diagonal.begin()));
      REQUIRE(std::equal(of_high.begin(), of_high.end(), high_diagonal.begin()));
      std::vector<std::uint64_t> only_high(n + split_slack);
      const KeySplit without_low = split_keys(keys, pivot, nullptr, only_high.data());
      REQUIRE((without_low.below == below.size() && without_low.above == above.size() &&
               without_low.sum_below == sum));
      REQUIRE(std::equal(above.begin(), above.end(), only_high.begin()));
      std::vector<std::int64_t> only_diagonal(n + split_slack);
      const KeySplit pairs_without_low =
          split_pairs(keys, diagonal.data(), pivot, {}, {only_high.data(), only_diagonal.data()});
      REQUIRE((pairs_without_low.below == below.size() &&
               pairs_without_low.diagonal_below == expected.diagonal_below &&
               pairs_without_low.diagonal_equal == expected.diagonal_equal));
      REQUIRE(std::equal(of_high.begin(), of_high.end(), only_diagonal.begin()));
      std::vector<std::uint8_t> marks(n, 7);
      REQUIRE(mark_above(keys, pivot, marks) == above.size());
      std::vector<std::uint64_t> marked;
      for_each_marked(marks, [&](std::size_t j) { marked.push_back(keys[j]); });
      REQUIRE(marked == above);
      REQUIRE(any_marked(marks) == !above.empty());
      REQUIRE(std::all_of(marks.begin(), marks.end(), [](std::uint8_t m) { return m <= 1; }));
      std::copy(keys.begin(), keys.end(), low.begin());
      split_keys({low.data(), n}, pivot, low.data(), high.data());
      REQUIRE(std::equal(below.begin(), below.end(), low.begin()));
      REQUIRE(std::equal(above.begin(), above.end(), high.begin()));
    }
  }
}
