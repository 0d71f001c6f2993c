#include "core/selection/rules/blocks.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/base/contract.hpp"
#include "core/selection/integers.hpp"

namespace lamp {

void mark_blocks(std::size_t count, std::span<const double> scores,
                 std::span<std::uint8_t> selected, SelectionScratch& scratch) {
  const std::size_t n = selected.size();
  expects(scores.size() == blocks_of(n) && count <= n,
          "mark_blocks: one score a block, count <= selected.size()");
  const auto key = [&](std::uint32_t block) {
    return std::isnan(scores[block]) ? std::numeric_limits<std::uint64_t>::max()
                                     : order_key(scores[block]);
  };
  scratch.order.resize(scores.size());
  std::iota(scratch.order.begin(), scratch.order.end(), 0U);
  std::stable_sort(scratch.order.begin(), scratch.order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return key(a) > key(b); });
  std::fill(selected.begin(), selected.end(), std::uint8_t{0});
  std::size_t left = count;
  for (const std::uint32_t block : scratch.order) {
    const std::size_t first = block * block_keys, taken = std::min({left, block_keys, n - first});
    std::fill_n(selected.begin() + static_cast<std::ptrdiff_t>(first), taken, std::uint8_t{1});
    left -= taken;
  }
}

}  // namespace lamp
