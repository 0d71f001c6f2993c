// Matrix products in any order that is a tree, outputs across the lanes: the order's operations as
// a list that every tile runs through.
#pragma once

#include "core/arith/gemm/gemm.hpp"

namespace lamp::gemm_detail {

/// As gemm, for orders that are trees and a fused or twice rounded multiply-accumulate of binary32
/// or binary64, RNE; the same bits as the naive loop. False, with nothing written, where it does
/// not serve. Pre: backend is neither automatic nor scalar, and available.
bool gemm_by_program(const Arithmetic& arithmetic, MatrixView<const double> a,
                     const PackedMatrix& b, MatrixView<double> out, Shape shape, Backend backend);

}  // namespace lamp::gemm_detail
