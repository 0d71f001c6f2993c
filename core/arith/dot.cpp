#include <algorithm>
#include <bit>
#include <cstdint>

#include "core/arith/orders/ordered_dot.hpp"
#include "core/arith/scalar.hpp"
#include "core/arith/stochastic.hpp"

namespace lamp {
namespace {

bool is_binary32(double x) {
  return std::isnan(x) || static_cast<double>(static_cast<float>(x)) == x;
}

}  // namespace

bool all_binary32(std::span<const double> values) {
  constexpr std::size_t block = 64;
  for (; values.size() >= block; values = values.subspan(block)) {
    std::uint64_t changed =
        0;  // bits that the conversion changes: in numbers that do not fit, and in some NaN
    for (std::size_t i = 0; i < block; ++i)
      changed |= std::bit_cast<std::uint64_t>(values[i]) ^
                 std::bit_cast<std::uint64_t>(static_cast<double>(static_cast<float>(values[i])));
    if (changed != 0 && !std::all_of(values.begin(), values.begin() + block, is_binary32))
      return false;
  }
  return std::all_of(values.begin(), values.end(), is_binary32);
}

double dot(const Arithmetic& arithmetic, std::span<const double> x, std::span<const double> y,
           double c) {
  expects(x.size() == y.size(), "dot: x.size() == y.size()");
  const bool binary32_operands = is_binary32(c) && all_binary32(x) && all_binary32(y);
  return visit_outputs(arithmetic, binary32_operands, [&](const auto& output) {
    return ordered_dot(output(0, 0), arithmetic, x, y, c);
  });
}

}  // namespace lamp
