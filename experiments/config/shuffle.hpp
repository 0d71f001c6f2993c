// A random order, the same on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/base/philox.hpp"

namespace lamp::experiments {

/// What is shuffled: a counter word that no rounding or selection draw uses.
enum class ShuffleStream : std::uint32_t { tokens = 0xFFFFFFFF, sequences = 0xFFFFFFFE };

/// Fisher and Yates, with Philox draws of the key (seed, which).
template <class T>
void shuffle(std::vector<T>& items, ShuffleStream stream, std::uint32_t seed, std::uint32_t which) {
  for (std::size_t i = items.size(); i > 1; --i) {
    const std::uint64_t range = i, limit = (std::uint64_t{1} << 32) / range *
                                           range;  // rejection keeps it uniform
    std::uint32_t attempt = 0;
    std::uint64_t draw = limit;
    while (draw >= limit)
      draw = philox4x32(
          {static_cast<std::uint32_t>(i), attempt++, 0, static_cast<std::uint32_t>(stream)},
          {seed, which})[0];
    std::swap(items[i - 1], items[draw % range]);
  }
}

}  // namespace lamp::experiments
