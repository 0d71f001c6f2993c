// Matrix products in any order of additions or compensated additions, and in any arithmetic that
// vectors have: the order's definition runs over the columns of one row's outputs, a panel at a
// time.
#pragma once

#include "core/arith/gemm/gemm.hpp"

namespace lamp::gemm_detail {

/// Whether the order adds (and does not sum exactly, or in steps), with not too many partial sums
/// at once, and vectors have the arithmetic of its steps, blocks and parts.
bool columns_serve(const Arithmetic& arithmetic);

/// As gemm; the same bits as the naive loop. marks: null, or which entries are wanted. Pre:
/// columns_serve, at least one row and term; backend is neither automatic nor scalar, and
/// available.
void gemm_by_columns(const Arithmetic& arithmetic, MatrixView<const double> a,
                     const PackedMatrix& b, MatrixView<double> out, Shape shape, const Marks* marks,
                     Backend backend);

}  // namespace lamp::gemm_detail
