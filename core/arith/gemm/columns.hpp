// Partial sums of one row's outputs, a panel of columns at a time, in any arithmetic that vectors
// have: what orders are evaluated on where no kernel of tiles serves (by_columns.hpp).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/arith/gemm/gemm.hpp"
#include "core/arith/stochastic.hpp"
#include "core/arith/vector/spec.hpp"

namespace lamp::gemm_detail {

/// A number for each column of a panel.
struct Columns {
  std::array<double, PackedMatrix::panel_cols> x{};
};

/// Bit j: of column j it is not certain that its bits are right.
using Unsure = std::uint32_t;

/// Operands of successive terms, `step` apart. A panel: PackedMatrix::panel_cols numbers each, one
/// for each column; else one number for all.
struct TermOperands {
  const double* first = nullptr;
  std::ptrdiff_t step = 0;
};

/// What stochastic modes draw for: the outputs of one row.
struct ColumnDraws {
  DrawStream stream;
  std::uint32_t row = 0, first_column = 0;
  int bits = 32;
};

/// The arithmetic of some steps. Without draws: a deterministic one.
struct ColumnSpec {
  VectorSpec spec;
  DrawFor what = DrawFor::sum;
  const ColumnDraws* draws = nullptr;
};

/// The functions of one instruction set. Each returns the columns that it is not sure of.
/// step: the number of the first rounding, which draws look at.
struct ColumnKernels {
  /// c = c + a_k b_k, one multiply-accumulate a term; of rows that are rounded to operands already.
  Unsure (*chain)(const ColumnSpec&, TermOperands a, TermOperands b, std::size_t terms,
                  std::uint32_t step, Columns& c);
  /// The same, where a is a panel too; column j has its own number of terms where `lengths` are
  /// given, at most `terms`.
  Unsure (*chain_of_panels)(const ColumnSpec&, TermOperands a, TermOperands b, std::size_t terms,
                            const Columns* lengths, Columns& c);
  Unsure (*add)(const ColumnSpec&, const Columns& y, std::uint32_t step, Columns& x);  // x = x + y
  Unsure (*subtract)(const ColumnSpec&, const Columns& y, std::uint32_t step, Columns& x);
  /// The larger and the smaller magnitude of x and y, to x and y; x first where they are equal.
  void (*by_magnitude)(Columns& x, Columns& y);
};

/// Pre: avx2 or avx512, available.
const ColumnKernels& column_kernels(Backend backend);

}  // namespace lamp::gemm_detail
