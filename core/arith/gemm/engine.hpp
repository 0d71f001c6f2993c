// Matrix products on a matrix engine by vector kernels: packing, the guard that proves a kernel
// right for a tile, the loops over tiles.
#pragma once

#include "core/arith/gemm/gemm.hpp"

namespace lamp::gemm_detail {

/// As gemm, for the order MatrixEngine, with the a.cols rows of b from first_term on; the same bits
/// as the naive loop. Returns false, and writes nothing, where no kernel serves. Pre: backend is
/// neither automatic nor scalar, and available.
bool engine_gemm(const Arithmetic& arithmetic, MatrixView<const double> a, const PackedMatrix& b,
                 MatrixView<double> out, Shape shape, Backend backend, std::size_t first_term = 0);

/// Whether engine_gemm serves the step of the order, be the order whole or split.
bool has_engine_kernel(const Arithmetic& arithmetic, Backend backend);

}  // namespace lamp::gemm_detail
