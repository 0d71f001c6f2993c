// Matrix products in orders that are made of sequential sums: those by the kernels of gemm, the additions between them elementwise.
#pragma once

#include "core/arith/gemm.hpp"

namespace lamp::gemm_detail {

/// As gemm, for `reverse`, `blocked`, `pairwise`, `lanes` and `split` where a kernel has the bits of the steps; the same bits as the naive
/// loop. False, with nothing written, where it does not serve. Pre: backend is neither automatic nor scalar, and available.
bool gemm_by_parts(const Arithmetic& arithmetic, MatrixView<const double> a, const PackedMatrix& b, MatrixView<double> out, Shape shape,
                   Backend backend);

/// out = a times the rows first .. first + a.cols - 1 of b, sequential steps of `mac`, on binary32 lanes and without packing anything anew.
/// False, with `out` partly written at most, where there is no kernel or an operand is not a binary32 number. In gemm.cpp.
bool gemm_of_terms(const MacSpec& mac, MatrixView<const double> a, const PackedMatrix& b, std::size_t first, MatrixView<double> out,
                   Backend backend);

}  // namespace lamp::gemm_detail
