// numpy-sum:B: numpy.sum of the rounded products. Buffers of B terms, each summed by numpy's
// pairwise sum, are added in order to +0.
#pragma once

#include <algorithm>

#include "core/arith/orders/row.hpp"

namespace lamp {

struct NumpySum {
  std::size_t buffer = 8192;  // B

  static constexpr OrderRow row{
      .name = "numpy-sum",
      .kind = SumKind::tree,
      .c = CEnters::last,
      .products = Products::alone,
      .meaning =
          "the terms of numpy's buffer: 8192 up to numpy 2.2; 1000000000, which is none, "
          "from 2.3 on"};
  static constexpr std::array<Parameter<NumpySum>, 1> parameters() {
    return {{{.letter = "B", .member = &NumpySum::buffer}}};
  }

  template <class Sum>
  typename Sum::Value sum(const Sum& s) const {
    typename Sum::Value acc{};
    for (std::size_t first = 0; first < s.n; first += buffer)
      acc = s.add(acc, pairwise(s, first, std::min(buffer, s.n - first)));
    return acc;
  }

  friend bool operator==(const NumpySum&, const NumpySum&) = default;

 private:
  /// The sum of the n terms from `first` on: eight lanes, of which neighbours are added first, then
  /// the tail. More than 128 terms are halved; the first half's length is a multiple of eight. Pre:
  /// n > 0.
  template <class Sum>
  static typename Sum::Value pairwise(const Sum& s, std::size_t first, std::size_t n) {
    constexpr std::size_t most = 128, width = 8;
    if (n > most) {
      const std::size_t m = n / 2 / width * width;
      const typename Sum::Value left = pairwise(s, first, m);
      return s.add(left, pairwise(s, first + m, n - m));
    }
    const std::size_t lanes = n < width ? 1 : width, tail = n / lanes * lanes;
    std::array<typename Sum::Value, width> lane{};
    for (std::size_t l = 0; l < lanes; ++l)
      lane[l] = add_products(s, first + l + lanes, first + tail, lanes, s.product(first + l));
    for (std::size_t apart = 1; apart < lanes; apart *= 2)
      for (std::size_t l = 0; l < lanes; l += 2 * apart) lane[l] = s.add(lane[l], lane[l + apart]);
    return add_products(s, first + tail, first + n, 1, lane[0]);
  }
};

}  // namespace lamp
