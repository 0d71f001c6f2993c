#include "core/mpfr/number_system.hpp"

#include <algorithm>
#include <cmath>

#include "core/mpfr/operations.hpp"

namespace lamp::mpfr {

double largest_finite(std::span<const double> x) {
  double largest = 0.0;
  for (const double value : x)
    if (std::isfinite(value) && std::abs(value) > largest) largest = std::abs(value);
  return largest;
}

double largest_finite(MatrixView<const double> x) {
  double largest = 0.0;
  for (std::size_t i = 0; i < x.rows; ++i)
    for (std::size_t j = 0; j < x.cols; ++j) {
      const double value = x(i, j);
      largest = std::max(largest, largest_finite(std::span(&value, 1)));
    }
  return largest;
}

bool reads_tensor(const NumberSystem& system) {
  return system.visit([]<class S>(const S& s) {
    if constexpr (RowSystem<S>)
      return s.reads_tensor();
    else
      return false;
  });
}

void round_row(const NumberSystem& system, std::span<const double> x, std::span<double> y,
               std::optional<double> tensor, Rounding mode) {
  expects(x.size() == y.size(), "mpfr::round_row: x.size() == y.size()");
  const double largest = tensor ? *tensor : largest_finite(x);
  system.visit([&]<class S>(const S& to) {
    if constexpr (RowSystem<S>)
      mpfr::round_row(to, x, y, largest);
    else
      for (std::size_t i = 0; i < x.size(); ++i) y[i] = mpfr::round(x[i], to, mode);
  });
}

}  // namespace lamp::mpfr
