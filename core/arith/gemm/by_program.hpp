// Matrix products in any order that is a tree, outputs across the lanes: the order's operations as
// a list that every tile runs through.
#pragma once

#include "core/arith/gemm/gemm.hpp"

namespace lamp::gemm_detail {

/// Whether the order is a tree, and the multiply-accumulate a fused or twice rounded one of
/// binary32 (of binary32 operands) or binary64, RNE.
bool program_serves(const Arithmetic& arithmetic, bool binary32_operands);

/// As gemm; the same bits as the naive loop. Pre: program_serves, at least one row and term;
/// backend is neither automatic nor scalar, and available.
void gemm_by_program(const Arithmetic& arithmetic, MatrixView<const double> a,
                     const PackedMatrix& b, MatrixView<double> out, Shape shape, Backend backend);

}  // namespace lamp::gemm_detail
