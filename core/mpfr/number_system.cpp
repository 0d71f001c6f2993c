#include "core/mpfr/number_system.hpp"

#include <cmath>

#include "core/mpfr/operations.hpp"

namespace lamp::mpfr {
namespace {

double largest_finite(std::span<const double> x) {
  double largest = 0.0;
  for (const double value : x)
    if (std::isfinite(value) && std::abs(value) > largest) largest = std::abs(value);
  return largest;
}

}  // namespace

void round_row(const NumberSystem& system, std::span<const double> x, std::span<double> y,
               std::optional<double> tensor) {
  expects(x.size() == y.size(), "mpfr::round_row: x.size() == y.size()");
  const double largest = tensor ? *tensor : largest_finite(x);
  system.visit([&]<class S>(const S& to) {
    if constexpr (RowSystem<S>)
      mpfr::round_row(to, x, y, largest);
    else
      for (std::size_t i = 0; i < x.size(); ++i) y[i] = mpfr::round(x[i], to, Rounding::rne);
  });
}

}  // namespace lamp::mpfr
