// Operands of tiles in memory that calls of one thread use again: fresh pages cost more than the
// arithmetic.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/arith/gemm/aligned_vector.hpp"
#include "core/arith/gemm/marks.hpp"
#include "core/arith/gemm/operands.hpp"

namespace lamp::gemm_detail {

/// The rows of A that have a marked entry in one panel's columns.
struct MarkedRows {
  std::vector<std::uint32_t> rows;

  void find(Marks marks, std::size_t first, std::size_t last, std::size_t q) {
    rows.clear();
    for (std::size_t i = first; i < last; ++i)
      if (has_mark(marks, i, q * panel_cols, panel_cols))
        rows.push_back(static_cast<std::uint32_t>(i));
  }
};

template <class T>
struct Workspace {
  AlignedVector<T> a, panel;
  AlignedVector<double> values;
  std::vector<MagnitudeRange> ranges;  // of each tile of rows
  MarkedRows marked;
};

/// A's rows for the kernels, row i at data + i * stride; false where one does not fit.
template <class T>
bool read_rows(OperandReader& reader, MatrixView<const double> a, Shape shape, std::size_t stride,
               Workspace<T>& work) {
  work.a.resize(std::max(work.a.size(), a.rows * stride));
  work.ranges.assign((a.rows + tile_rows - 1) / tile_rows, {});
  for (std::size_t i = 0; i < a.rows; ++i) {
    const double* row = a.data + i * a.row_stride;
    T* to = work.a.data() + i * stride;
    const std::size_t length = shape.terms(i, a.cols);
    if constexpr (std::is_same_v<T, float>) {
      if (!reader.read(row, a.col_stride, length, to, work.ranges[i / tile_rows])) return false;
    } else {
      reader.read(row, a.col_stride, length, to, work.ranges[i / tile_rows]);
    }
  }
  return true;
}

template <class T>
struct Panel {
  const T* b = nullptr;  // null: not numbers of T
  MagnitudeRange range{};
};

/// Panels q, .. q + count - 1 of b, one after the other, rounded to operands.
inline Panel<float> read_panel(const KernelSet&, OperandReader& reader, const PackedMatrix& b,
                               std::size_t q, Workspace<float>& work, std::size_t count = 1) {
  const std::size_t size = count * b.rows() * panel_cols;
  if (b.is_binary32() && !reader.rounds()) {
    Panel<float> as_it_is{b.panel32(q), b.panel_range(q)};
    for (std::size_t p = 1; p < count; ++p) as_it_is.range.extend(b.panel_range(q + p));
    return as_it_is;
  }
  work.panel.resize(std::max(work.panel.size(), size));
  Panel<float> panel;
  const bool fits = b.is_binary32()
                        ? reader.read_rounded(b.panel32(q), size, work.panel.data(), panel.range)
                        : reader.read(b.panel64(q), 1, size, work.panel.data(), panel.range);
  if (fits) panel.b = work.panel.data();
  return panel;
}

inline Panel<double> read_panel(const KernelSet& set, OperandReader& reader, const PackedMatrix& b,
                                std::size_t q, Workspace<double>& work, std::size_t count = 1) {
  const std::size_t size = count * b.rows() * panel_cols;
  if (!b.is_binary32() && !reader.rounds()) return {b.panel64(q)};
  work.panel.resize(std::max(work.panel.size(), size));
  MagnitudeRange range;
  if (b.is_binary32()) {
    set.widen(b.panel32(q), size, work.panel.data());
    if (reader.rounds()) reader.read(work.panel.data(), 1, size, work.panel.data(), range);
  } else {
    reader.read(b.panel64(q), 1, size, work.panel.data(), range);
  }
  return {work.panel.data()};
}

/// Elements of a tile to a row of the result, `stride` apart.
inline void store(const KernelSet& set, const float* c, std::size_t count, double* to,
                  std::size_t stride) {
  if (stride == 1) return set.widen(c, count, to);
  for (std::size_t j = 0; j < count; ++j) to[j * stride] = static_cast<double>(c[j]);
}

inline void store(const KernelSet&, const double* c, std::size_t count, double* to,
                  std::size_t stride) {
  if (stride == 1) {
    std::copy_n(c, count, to);
    return;
  }
  for (std::size_t j = 0; j < count; ++j) to[j * stride] = c[j];
}

/// Rows of A that stay in the second cache level while all of B passes.
template <class T>
std::size_t rows_at_a_time(std::size_t stride) {
  constexpr std::size_t bytes = std::size_t{1} << 19;
  return std::max<std::size_t>(bytes / (stride * sizeof(T)) / tile_rows, 4) * tile_rows;
}

/// A whole number of cache lines and one more, so that rows do not compete for one place in the
/// cache.
template <class T>
std::size_t padded(std::size_t k) {
  constexpr std::size_t line = 64 / sizeof(T);
  return (k + line - 1) / line * line + line;
}

}  // namespace lamp::gemm_detail
