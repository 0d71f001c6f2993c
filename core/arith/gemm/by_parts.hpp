// Matrix products in orders that are made of sequential sums: the kernels of gemm evaluate these,
// elementwise additions join them.
#pragma once

#include "core/arith/gemm/gemm.hpp"

namespace lamp::gemm_detail {

/// Whether the order is `reverse` or made of chains (OrderRow), and a kernel has the bits of their
/// steps.
bool parts_serve(const Arithmetic& arithmetic, Backend backend);

/// As gemm; the same bits as the naive loop. Pre: parts_serve, at least one term; backend is
/// neither automatic nor scalar, and available.
void gemm_by_parts(const Arithmetic& arithmetic, MatrixView<const double> a, const PackedMatrix& b,
                   MatrixView<double> out, Shape shape, Backend backend);

/// Rows of a packed B: first, first + step, ..
struct Terms {
  std::size_t first = 0;
  std::ptrdiff_t step = 1;
  [[nodiscard]] std::size_t at(std::size_t k) const {
    return first + static_cast<std::size_t>(static_cast<std::ptrdiff_t>(k) * step);
  }
};

/// out = a times the rows `terms` of b, sequential steps of `mac`, on binary32 lanes, from b as it
/// is packed. Returns false where no kernel serves or an operand is not a binary32 number; `out`
/// may then be partly written. Defined in gemm.cpp.
bool gemm_of_terms(const MacSpec& mac, MatrixView<const double> a, const PackedMatrix& b,
                   Terms terms, MatrixView<double> out, Backend backend);

}  // namespace lamp::gemm_detail
