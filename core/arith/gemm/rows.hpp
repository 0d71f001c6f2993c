// Products of matrices whose operands are rounded row by row: of number systems that are no float
// formats.
#pragma once

#include "core/arith/gemm/gemm.hpp"

namespace lamp::gemm_detail {

/// gemm with the rows of a and the columns of b rounded to arithmetic.steps().operands first. Of a
/// lower triangular a, row i is rounded over its own terms, and so are the columns that it meets:
/// no later term enters. Pre: as gemm's; there are operands; with `lower_operand` they do not read
/// the tensor. Returns how the product of the rounded operands was evaluated.
Evaluation gemm_of_rows(const Arithmetic& arithmetic, MatrixView<const double> a,
                        const PackedMatrix& b, MatrixView<double> out, Shape shape,
                        Backend backend);

}  // namespace lamp::gemm_detail
