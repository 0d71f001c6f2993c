#include "core/arith/stochastic.hpp"

#include "core/arith/orders/ordered_dot.hpp"
#include "core/base/philox.hpp"

namespace lamp {

std::uint32_t place_of(const DrawStream& stream, DrawFor what) {
  expects(stream.layer < 1U << 16 && stream.head < 1U << 9 && stream.site < 1U << 5,
          "draws: layer < 2^16, head < 2^9, site < 2^5");
  return (stream.layer << 9 | stream.head) << 7 | stream.site << 2 |
         static_cast<std::uint32_t>(what);
}

Draw draw_at(const DrawStream& stream, std::uint32_t row, std::uint32_t column, std::uint32_t step,
             DrawFor what, int bits) {
  return {.word = philox4x32({step, column, row, place_of(stream, what)},
                             {stream.seed, stream.sequence})[0],
          .bits = bits};
}

std::uint32_t steps_of_sum(const Arithmetic& arithmetic, std::size_t n) {
  const StochasticArithmetic fl(arithmetic.mac, {}, 0, 0);
  const std::vector<double> zeros(n);
  static_cast<void>(ordered_dot(fl, arithmetic, zeros, zeros));
  return fl.steps();
}

}  // namespace lamp
