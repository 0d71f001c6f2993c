// Selection in integers: what turns a row into keys, and the search for the longest tail of the
// keys that may be left out. Internal to core/selection.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/selection/split.hpp"
#include "core/selection/target.hpp"

namespace lamp {

/// ceil(tau 2^40), saturating far above every possible cost.
inline int128 ceil_tau(double tau) {
  constexpr double far = 0x1p100;
  return static_cast<int128>(std::ceil(std::min(std::max(tau * fixed_point, -far), far)));
}

/// The order of the numbers as one of unsigned integers; the zeros are one number. Pre: not NaN.
inline std::uint64_t order_key(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x + 0.0);
  return (bits >> 63) != 0 ? ~bits : bits | (std::uint64_t{1} << 63);
}

/// What a set of components that are left out amounts to.
struct Tail {
  int128 sum = 0;         // of their keys b
  std::int64_t diagonal;  // largest a among them and among what is left out always, at least 0:
                          // rows of S count 0
  std::size_t count = 0;
};

/// The keys in S: all above `key`, and the first `ties` in index order of those equal to it.
struct Cut {
  std::uint64_t key = 0;
  std::size_t ties = 0;
};

/// The longest tail of the order (keys descending, ties lower index first) that `admits` accepts.
/// Precondition: a tail of an accepted tail is accepted. Expected time O(n): quickselect, weighted
/// by what the tail sums to, whose first pivot is somewhat below the cut of the row before: most
/// often the tail below it is accepted, little is left, and what is below need not be written. With
/// with_diagonal, a is scratch.diagonal. Without, a falls as the key grows, up to ties:
/// `row_diagonal` is its maximum over the row, reached by a component with the smallest key, and
/// diagonal_at(j) gives it one by one. keys are scratch.keys; `empty` is the tail of what is left
/// out always.
template <bool with_diagonal, class Admits, class DiagonalAt>
Cut longest_tail(SelectionScratch& scratch, const Tail& empty, std::int64_t row_diagonal,
                 const Admits& admits, const DiagonalAt& diagonal_at) {
  const std::size_t n = scratch.keys.size();
  scratch.low.resize(n + split_slack), scratch.high.resize(n + split_slack);
  if constexpr (with_diagonal)
    scratch.low_diagonal.resize(n + split_slack), scratch.high_diagonal.resize(n + split_slack);

  Tail out = empty;
  Cut cut{};  // keys below cut.key are known to be left out
  std::span<const std::uint64_t> open = scratch.keys;
  const std::int64_t* open_diagonal = scratch.diagonal.data();
  std::uint64_t *low = scratch.low.data(), *high = scratch.high.data();
  std::int64_t *low_diagonal = scratch.low_diagonal.data(),
               *high_diagonal = scratch.high_diagonal.data();
  for (std::uint64_t guess = scratch.likely_cut / 2; !open.empty(); guess = 0) {
    const std::uint64_t first = open.front(), middle = open[open.size() / 2], last = open.back();
    const std::uint64_t pivot =
        guess != 0 ? guess
                   : std::max(std::min(first, middle), std::min(std::max(first, middle), last));
    const auto split = [&](Pairs below) {
      return with_diagonal ? split_pairs(open, open_diagonal, pivot, below, {high, high_diagonal})
                           : split_keys(open, pivot, below.keys, high);
    };
    KeySplit s = split(guess != 0 ? Pairs{} : Pairs{low, low_diagonal});
    const std::size_t equal = open.size() - s.below - s.above;
    if constexpr (!with_diagonal) {
      if (s.below != 0) s.diagonal_below = row_diagonal;
      s.diagonal_equal = row_diagonal;
    }

    const Tail with_below{out.sum + static_cast<int128>(s.sum_below),
                          std::max(out.diagonal, s.diagonal_below), out.count + s.below};
    if (s.below != 0 && !admits(with_below)) {
      if (guess != 0) split({low, low_diagonal});
      open = {low, s.below};
      open_diagonal = low_diagonal;
      continue;
    }
    out = with_below;
    const Tail with_equal{out.sum + static_cast<int128>(pivot) * static_cast<int128>(equal),
                          std::max(out.diagonal, s.diagonal_equal), out.count + equal};
    if (!admits(with_equal)) {  // the cut runs through the pivot's ties: leave them out from the
                                // highest index down
      cut = {pivot, equal};
      scratch.likely_cut = pivot;
      for (std::size_t j = n; equal > 1 && j-- > 0;) {
        if (scratch.keys[j] != pivot) continue;
        out = {out.sum + static_cast<int128>(pivot), std::max(out.diagonal, diagonal_at(j)),
               out.count + 1};
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
  scratch.likely_cut = cut.key;
  return cut;
}

/// The first `size` keys in the order. Pre: size <= scratch.keys.size().
inline Cut cut_of_size(SelectionScratch& scratch, std::size_t size) {
  const std::size_t left_out = scratch.keys.size() - size;
  return longest_tail<false>(
      scratch, Tail{.diagonal = 0}, 0, [=](const Tail& tail) { return tail.count <= left_out; },
      [](std::size_t) { return std::int64_t{0}; });
}

/// Writes the marks of a cut and returns their number.
inline std::size_t mark(std::span<const std::uint64_t> keys, Cut cut,
                        std::span<std::uint8_t> selected) {
  const std::size_t size = mark_above(keys, cut.key, selected) + cut.ties;
  for (std::size_t j = 0; cut.ties > 0; ++j)
    if (keys[j] == cut.key) selected[j] = 1, --cut.ties;
  return size;
}

}  // namespace lamp
