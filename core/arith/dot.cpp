#include <algorithm>

#include "core/arith/scalar.hpp"

namespace lamp {
namespace {

bool is_binary32(double x) { return std::isnan(x) || static_cast<double>(static_cast<float>(x)) == x; }

/// s = c; s = fl(s + x_k y_k), k ascending.
template <ScalarArithmetic A>
double sequential(const A& fl, std::span<const double> x, std::span<const double> y, double c) {
  double s = c;
  for (std::size_t k = 0; k < x.size(); ++k) s = fl.mac(x[k], y[k], s);
  return s;
}

}  // namespace

bool all_binary32(std::span<const double> values) { return std::all_of(values.begin(), values.end(), is_binary32); }

double dot(const Arithmetic& arithmetic, std::span<const double> x, std::span<const double> y, double c) {
  expects(x.size() == y.size(), "dot: x.size() == y.size()");
  const bool binary32_operands = is_binary32(c) && all_binary32(x) && all_binary32(y);
  return visit_arithmetic(arithmetic.mac, binary32_operands, [&](const auto& fl) {
    switch (arithmetic.order.kind) {
      case OrderKind::sequential:
        return sequential(fl, x, y, c);
    }
    contract_violated("dot: the order is one of the catalog");
  });
}

}  // namespace lamp
