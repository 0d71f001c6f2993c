// Rounding of rows to a number system a second time: each system brings its own (the declaration
// stands beside the first one, in core/fp), float formats round value by value.
#pragma once

#include <optional>
#include <span>

#include "core/base/matrix.hpp"
#include "core/fp/number_system.hpp"

namespace lamp::mpfr {

/// As lamp::round_row: same meaning, same bits, another implementation.
void round_row(const NumberSystem& system, std::span<const double> x, std::span<double> y,
               std::optional<double> tensor = {}, Rounding mode = Rounding::rne);

/// The largest finite magnitude; 0 where there is none.
double largest_finite(std::span<const double> x);
double largest_finite(MatrixView<const double> x);
/// The system asks for it.
bool reads_tensor(const NumberSystem& system);

}  // namespace lamp::mpfr
