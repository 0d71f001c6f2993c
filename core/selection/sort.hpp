// Sorting by Highway's vectors: some ten times as fast as std::sort. Internal to core/selection.
#pragma once

#include <hwy/contrib/sort/vqsort.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "core/selection/selection.hpp"

namespace lamp {

inline const hwy::Sorter& sorter() {
  thread_local const hwy::Sorter own;  // its memory
  return own;
}

/// Ascending; the zeros are one number. Pre: no NaN.
inline void sort_ascending(std::span<double> x) {
  sorter()(x.data(), x.size(), hwy::SortAscending());
}

/// Ascending by value, of equal ones the higher index first. Value and index go into one word where
/// they fit, as they do where values are close to each other.
inline void sort_ranked(std::span<SelectionScratch::Ranked> x, std::vector<std::uint64_t>& words) {
  using Ranked = SelectionScratch::Ranked;
  constexpr std::size_t few = 24;
  constexpr std::uint64_t index_mask = 0xffffffff;
  std::uint64_t lowest = 0, range = 0;
  if (x.size() > few) {
    const auto [low, high] = std::ranges::minmax(x, {}, &Ranked::value);
    lowest = static_cast<std::uint64_t>(low.value);
    range = static_cast<std::uint64_t>(high.value) - lowest;
  }
  if (x.size() <= few || range > index_mask) {
    std::sort(x.begin(), x.end(), [](const Ranked& i, const Ranked& j) {
      return i.value != j.value ? i.value < j.value : i.index > j.index;
    });
    return;
  }
  words.resize(x.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    words[i] = (static_cast<std::uint64_t>(x[i].value) - lowest) << 32 | (index_mask - x[i].index);
  sorter()(words.data(), words.size(), hwy::SortAscending());
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = {static_cast<std::int64_t>(lowest + (words[i] >> 32)),
            static_cast<std::uint32_t>(index_mask - (words[i] & index_mask))};
}

}  // namespace lamp
