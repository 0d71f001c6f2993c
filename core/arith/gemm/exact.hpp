// Matrix products whose sums are exact and rounded once (order exact), on vectors.
#pragma once

#include "core/arith/gemm/gemm.hpp"

namespace lamp::gemm_detail {

/// As gemm; the same bits as the naive loop. Pre: the order is Exact, every operand after rounding
/// is a binary32 number, at least one row and term; backend is neither automatic nor scalar, and
/// available.
void gemm_of_exact_sums(const Arithmetic& arithmetic, MatrixView<const double> a,
                        const PackedMatrix& b, MatrixView<double> out, Shape shape,
                        const Marks* marks, Backend backend);

}  // namespace lamp::gemm_detail
