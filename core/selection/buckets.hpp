// Logarithmic buckets of a row's integers, vectorised: integers only, so every instruction set
// gives the same bits. Internal to core/selection.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace lamp {

/// `count` buckets of the integers 0..limit, 2^fraction of them to each power of two: limit lies in
/// the last one, and bucket 0 takes every integer below the others. The position of x is its
/// exponent with `fraction` more bits: the bits of x as binary64 without the last `dropped`, after
/// a shift to at most 52 bits. Its bucket is its position plus `offset`, at least 0.
struct Buckets {
  int count = 0, dropped = 0, shift = 0, offset = 0;

  Buckets(int number, int fraction, std::uint64_t limit)
      : count(number),
        dropped(52 - fraction),
        shift(std::max(0, static_cast<int>(std::bit_width(limit)) - 52)) {
    offset = count - 1 -
             static_cast<int>(std::bit_cast<std::uint64_t>(static_cast<double>(limit >> shift)) >>
                              dropped);
  }
  /// The smallest integer that is in no lower bucket; for a bucket above the last one, the largest
  /// uint64.
  [[nodiscard]] std::uint64_t first(int bucket) const {
    if (bucket >= count) return std::numeric_limits<std::uint64_t>::max();
    if (bucket == 0 || bucket <= offset) return 0;
    const double edge =
        std::bit_cast<double>(static_cast<std::uint64_t>(bucket - offset) << dropped);
    const auto below = static_cast<std::uint64_t>(edge);
    return (below + (static_cast<double>(below) < edge ? 1 : 0)) << shift;
  }
};

/// The components that some threshold may leave out are those with b + max(a, 0) <= budget.
/// codes[j] = 2^16 i + k with k the bucket of b, and i the bucket of max(a, 0) counted upwards in
/// a: by_diagonal is of top - max(a, 0). For the other components i is by_diagonal.count. Pre:
/// budget >= 0, b + max(a, 0) < 2^63, and where b + max(a, 0) <= budget: a <= top.
void bucket_codes(const std::uint64_t* keys, const std::int64_t* diagonal, std::size_t n,
                  std::int64_t budget, std::int64_t top, const Buckets& by_diagonal,
                  const Buckets& by_key, std::uint64_t* codes);

}  // namespace lamp
