// How far each value is from what a row of attention makes of them, vectorised. Internal to
// core/selection.
#pragma once

#include <span>

#include "core/base/matrix.hpp"

namespace lamp {

/// o = sum_j z_j v_j, v_j column j of v, and distances[j] = norm2(v_j - o), the norm's argument
/// rounded once an element; returns norm2(o). Sums in binary64, fused, index ascending from +0: the
/// same bits on every instruction set. z: n, v: (width, n), rows contiguous, o: width, distances:
/// n.
double distances_to_output(std::span<const double> z, MatrixView<const double> v,
                           std::span<double> o, std::span<double> distances);

}  // namespace lamp
