// Selection in integers: what turns a row into keys, and the search for the longest tail of the keys that may be left out.
// Internal to core/lamp.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>

#include "core/lamp/selection.hpp"
#include "core/lamp/split.hpp"

namespace lamp {

__extension__ using int128 = __int128;
__extension__ using uint128 = unsigned __int128;

inline constexpr double fixed_point = 0x1p40;   // the unit of every integer here is 2^-40
inline constexpr double refused_from = 0x1p22;  // a value from here on refuses the row
inline constexpr std::int64_t one = std::int64_t{1} << 40;

/// floor(x 2^40) for abs(x) < 2^22: the scaling is exact (a subnormal of it has floor 0 or -1 all the same).
inline std::int64_t to_fixed(double x) {
  const double scaled = x * fixed_point;
  const auto truncated = static_cast<std::int64_t>(scaled);
  return truncated - (static_cast<double>(truncated) > scaled ? 1 : 0);
}

/// ceil(tau 2^40), saturating far above every possible cost.
inline int128 ceil_tau(double tau) {
  constexpr double far = 0x1p100;
  return static_cast<int128>(std::ceil(std::min(std::max(tau * fixed_point, -far), far)));
}

/// What a set of components that are left out amounts to.
struct Tail {
  int128 sum = 0;         // of their keys b
  std::int64_t diagonal;  // largest a among them and among what is left out always, at least 0: rows of S count 0
  std::size_t count = 0;
};

/// The keys in S: all above `key`, and the first `ties` in index order of those equal to it.
struct Cut {
  std::uint64_t key = 0;
  std::size_t ties = 0;
};

/// Splits keys round a pivot, keeping index order: below into `low` (which may be `keys`), above into `high`.
struct Split {
  std::size_t below = 0, above = 0;
  int128 sum_below = 0;
  std::int64_t diagonal_below = std::numeric_limits<std::int64_t>::min(), diagonal_equal = std::numeric_limits<std::int64_t>::min();
};

template <bool with_diagonal, class Sum>
Split split(std::span<const std::uint64_t> keys, const std::int64_t* diagonal, std::uint64_t pivot, std::uint64_t* low,
            std::int64_t* low_diagonal, std::uint64_t* high, std::int64_t* high_diagonal) {
  Split s;
  if constexpr (!with_diagonal && std::is_same_v<Sum, std::uint64_t>) {
    const KeySplit plain = split_keys(keys, pivot, low, high);
    s.below = plain.below, s.above = plain.above, s.sum_below = static_cast<int128>(plain.sum_below);
    return s;
  }
  Sum sum = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {  // no branch depends on the data
    const std::uint64_t key = keys[i];
    const bool below = key < pivot;
    const bool above = key > pivot;
    if constexpr (with_diagonal) {
      const std::int64_t a = diagonal[i];
      s.diagonal_below = std::max(s.diagonal_below, below ? a : s.diagonal_below);
      s.diagonal_equal = std::max(s.diagonal_equal, below || above ? s.diagonal_equal : a);
      low_diagonal[s.below] = a;
      high_diagonal[s.above] = a;
    }
    sum += below ? key : 0;
    low[s.below] = key;
    high[s.above] = key;
    s.below += below ? 1 : 0;
    s.above += above ? 1 : 0;
  }
  s.sum_below = static_cast<int128>(sum);
  return s;
}

/// The longest tail of the order (keys descending, ties lower index first) that `admits` accepts. Precondition: a tail of an
/// accepted tail is accepted. Expected time O(n): quickselect, weighted by what the tail sums to.
/// With with_diagonal, a is scratch.diagonal. Without, a decreases with the keys up to ties: `row_diagonal` is its maximum over the
/// row, reached within the smallest key, and diagonal_at(j) gives it one by one.
/// keys are scratch.keys; `empty` is the tail of what is left out always.
/// Sum holds the sum of all keys.
template <bool with_diagonal, class Sum, class Admits, class DiagonalAt>
Cut longest_tail(SelectionScratch& scratch, const Tail& empty, std::int64_t row_diagonal, const Admits& admits,
                 const DiagonalAt& diagonal_at) {
  const std::size_t n = scratch.keys.size();
  scratch.low.resize(n + split_slack), scratch.high.resize(n + split_slack);
  if constexpr (with_diagonal) scratch.low_diagonal.resize(n + split_slack), scratch.high_diagonal.resize(n + split_slack);

  Tail out = empty;
  Cut cut{};  // keys below cut.key are known to be left out
  std::span<const std::uint64_t> open = scratch.keys;
  const std::int64_t* open_diagonal = scratch.diagonal.data();
  std::uint64_t *low = scratch.low.data(), *high = scratch.high.data();
  std::int64_t *low_diagonal = scratch.low_diagonal.data(), *high_diagonal = scratch.high_diagonal.data();
  while (!open.empty()) {
    const std::uint64_t first = open.front(), middle = open[open.size() / 2], last = open.back();
    const std::uint64_t pivot = std::max(std::min(first, middle), std::min(std::max(first, middle), last));
    Split s = split<with_diagonal, Sum>(open, open_diagonal, pivot, low, low_diagonal, high, high_diagonal);
    const std::size_t equal = open.size() - s.below - s.above;
    if constexpr (!with_diagonal) {
      if (s.below != 0) s.diagonal_below = row_diagonal;
      s.diagonal_equal = row_diagonal;
    }

    const Tail with_below{out.sum + s.sum_below, std::max(out.diagonal, s.diagonal_below), out.count + s.below};
    if (s.below != 0 && !admits(with_below)) {
      open = {low, s.below};
      open_diagonal = low_diagonal;
      continue;
    }
    out = with_below;
    const Tail with_equal{out.sum + static_cast<int128>(pivot) * static_cast<int128>(equal), std::max(out.diagonal, s.diagonal_equal),
                          out.count + equal};
    if (!admits(with_equal)) {  // the cut runs through the pivot's ties: leave them out from the highest index down
      cut = {pivot, equal};
      for (std::size_t j = n; equal > 1 && j-- > 0;) {
        if (scratch.keys[j] != pivot) continue;
        out = {out.sum + static_cast<int128>(pivot), std::max(out.diagonal, diagonal_at(j)), out.count + 1};
        if (!admits(out)) break;
        --cut.ties;
      }
      return cut;
    }
    out = with_equal;
    cut = {pivot, 0};
    open = {high, s.above};
    open_diagonal = high_diagonal;
    std::swap(low, high), std::swap(low_diagonal, high_diagonal);
  }
  return cut;
}

/// The first `size` keys in the order. Pre: size <= scratch.keys.size().
inline Cut cut_of_size(SelectionScratch& scratch, std::size_t size) {
  const std::size_t left_out = scratch.keys.size() - size;
  return longest_tail<false, std::uint64_t>(  // sums wrap, and are not asked for
      scratch, Tail{.diagonal = 0}, 0, [=](const Tail& tail) { return tail.count <= left_out; },
      [](std::size_t) { return std::int64_t{0}; });
}

/// Writes the marks of a cut and returns their number.
inline std::size_t mark(std::span<const std::uint64_t> keys, Cut cut, std::span<std::uint8_t> selected) {
  std::size_t size = 0;
  for (std::size_t j = 0; j < keys.size(); ++j) {
    const bool tie = keys[j] == cut.key && cut.ties != 0;
    selected[j] = keys[j] > cut.key || tie ? 1 : 0;
    cut.ties -= tie ? 1 : 0;
    size += selected[j];
  }
  return size;
}

}  // namespace lamp
