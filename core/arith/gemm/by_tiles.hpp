// Matrix products in any order of additions or compensated additions, on the kernels of sequential
// sums: the order's definition runs over tiles of outputs, whose partial sums are tiles too.
#pragma once

#include "core/arith/gemm/gemm.hpp"

namespace lamp::gemm_detail {

/// Whether the kernels have the steps, the blocks and the lone additions of the arithmetic, and the
/// order holds not too many partial sums at once. `binary32_operands`: as in evaluation_of.
bool tiles_serve(const Arithmetic& arithmetic, bool binary32_operands, Backend backend);

/// As gemm; the same bits as the naive loop. marks: null, or which entries are wanted. Pre:
/// tiles_serve(.., binary32_operands, ..), at least one row and term; backend is neither automatic
/// nor scalar, and available.
void gemm_by_tiles(const Arithmetic& arithmetic, bool binary32_operands, MatrixView<const double> a,
                   const PackedMatrix& b, MatrixView<double> out, Shape shape, const Marks* marks,
                   Backend backend);

}  // namespace lamp::gemm_detail
