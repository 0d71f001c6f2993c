// The best sets of a row: of all 2^n sets S, for each size the one whose row has the least error
// (method.md section 7). Errors are those of local.hpp, bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "analysis/truth/local.hpp"

namespace lamp::truth {

/// Longest row whose sets can all be tried: 2^24 of them, 1 MiB of tables.
inline constexpr std::size_t largest_subset_row = 24;

enum class SetError : std::uint8_t { rel, l1 };

/// Entry k: the least error of a set of k components, and the set (bit j: component j); of several
/// the one that is the smallest number. An infinite error is that of all sets of this size.
struct BestSets {
  std::vector<double> error;
  std::vector<std::uint32_t> set;

  /// Size of the smallest set whose error is at most `tolerance`; nothing where no set's is.
  [[nodiscard]] std::optional<std::size_t> smallest(double tolerance) const;
  /// Keeps the better of each size; both of one row.
  void merge(const BestSets& other);
};

/// A part of the sets: those of which the components from floor(n/2) on, read as a number, are
/// first .. last - 1. Parts that cover 0 .. 2^ceil(n/2) - 1, merged in any order, give what
/// one search of all does.
struct SubsetPart {
  std::uint32_t first = 0, last = std::numeric_limits<std::uint32_t>::max();
};

/// Pre: row.size() <= largest_subset_row; refusing a longer one is the caller's business. A set
/// costs one division and 14 other vector operations a lane for `rel`, n divisions for `l1`.
BestSets best_sets(const LocalRow& row, SetError error, SubsetPart part = {});

}  // namespace lamp::truth
