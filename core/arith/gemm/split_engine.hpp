// Products on a matrix engine whose sums are split: each part by the engine's kernels, the parts
// joined elementwise.
#pragma once

#include "core/arith/gemm/gemm.hpp"

namespace lamp::gemm_detail {

/// As gemm; the same bits as the naive loop. Pre: the order is SplitEngine, has_engine_kernel, at
/// least one row and term; backend is neither automatic nor scalar, and available.
void gemm_of_split_engine(const Arithmetic& arithmetic, MatrixView<const double> a,
                          const PackedMatrix& b, MatrixView<double> out, Shape shape,
                          Backend backend);

}  // namespace lamp::gemm_detail
