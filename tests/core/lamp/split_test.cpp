// The vectorised split against a stable partition, on every instruction set of this machine.
#include "core/lamp/split.hpp"

#include <hwy/targets.h>
#include <catch2/catch.hpp>
#include <iterator>
#include <vector>

#include "tests/support/random.hpp"

using namespace lamp;

namespace {

/// Lets the dispatcher choose among `targets` only, until the end of the scope.
class OnlyTargets {
 public:
  explicit OnlyTargets(std::int64_t targets) {
    hwy::DisableTargets(~targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  ~OnlyTargets() {
    hwy::DisableTargets(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  OnlyTargets(const OnlyTargets&) = delete;
  OnlyTargets& operator=(const OnlyTargets&) = delete;
};

}  // namespace

TEST_CASE("split: a stable partition and the sum below, in place too", "[lamp][law]") {
  for (std::int64_t left = hwy::SupportedTargets(); left != 0; left &= left - 1) {
    const std::int64_t target = left & -left;
    const OnlyTargets only(target);
    INFO(hwy::TargetName(target));
    test::Random random(1);
    for (int trial = 0; trial < 400; ++trial) {
      const std::size_t n = random.below(70);
      const std::uint64_t range = trial % 2 == 0 ? 9 : ~std::uint64_t{0};  // ties, and the top bit
      std::vector<std::uint64_t> keys(n), below, above, low(n + split_slack), high(n + split_slack);
      for (auto& key : keys) key = range == 9 ? random.below(9) : random.word64();
      const std::uint64_t pivot = n == 0 ? 4 : keys[random.below(static_cast<std::uint32_t>(n))];
      std::uint64_t sum = 0;
      for (const std::uint64_t key : keys) {
        if (key < pivot) below.push_back(key), sum += key;
        if (key > pivot) above.push_back(key);
      }
      const KeySplit split = split_keys(keys, pivot, low.data(), high.data());
      REQUIRE((split.below == below.size() && split.above == above.size() && split.sum_below == sum));
      REQUIRE(std::equal(below.begin(), below.end(), low.begin()));
      REQUIRE(std::equal(above.begin(), above.end(), high.begin()));
      std::copy(keys.begin(), keys.end(), low.begin());
      split_keys({low.data(), n}, pivot, low.data(), high.data());
      REQUIRE(std::equal(below.begin(), below.end(), low.begin()));
      REQUIRE(std::equal(above.begin(), above.end(), high.begin()));
    }
  }
}
