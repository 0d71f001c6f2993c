// Inner products and sums of the rows of matrices, each in one arithmetic's order: the sums of
// softmax and of norms. Rows lie across the lanes of vectors, and k runs in order inside each.
#pragma once

#include <span>

#include "core/arith/gemm/gemm.hpp"
#include "core/arith/spec.hpp"
#include "core/base/matrix.hpp"

namespace lamp {

/// sums[i] = sum over k of x(i, k) y(i, k), from +0, with the bits of ordered_dot: of rows that are
/// rounded to the arithmetic's operands first. Rows of `shape` lower_operand end early (Shape). x,
/// y: (m, n), sums: (m). Pre: a deterministic arithmetic; check_length(order, n);
/// available(backend).
void row_dots(const Arithmetic& arithmetic, MatrixView<const double> x, MatrixView<const double> y,
              std::span<double> sums, Shape shape = Shape::full,
              Backend backend = Backend::automatic);

/// sums[i] = sum over k of x(i, k), with the bits of ordered_sum: row_dots of x and ones.
void row_sums(const Arithmetic& arithmetic, MatrixView<const double> x, std::span<double> sums,
              Shape shape = Shape::full, Backend backend = Backend::automatic);

}  // namespace lamp
