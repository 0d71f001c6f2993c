#include "core/arith/orders/ordered_dot.hpp"
#include "core/arith/scalar.hpp"
#include "core/arith/stochastic.hpp"

namespace lamp {

double dot(const Arithmetic& arithmetic, std::span<const double> x, std::span<const double> y,
           double c) {
  expects(x.size() == y.size(), "dot: x.size() == y.size()");
  const bool binary32_operands = all_binary32({&c, 1}) && all_binary32(x) && all_binary32(y);
  return visit_outputs(arithmetic, binary32_operands, [&](const auto& output) {
    return ordered_dot(output(0, 0), arithmetic, x, y, c);
  });
}

}  // namespace lamp
