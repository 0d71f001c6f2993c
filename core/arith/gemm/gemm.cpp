// Matrix products: packing, the loops over tiles, and the naive loop, which defines the bits.
#include "core/arith/gemm/gemm.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "core/arith/gemm/by_columns.hpp"
#include "core/arith/gemm/by_tiles.hpp"
#include "core/arith/gemm/engine.hpp"
#include "core/arith/gemm/exact.hpp"
#include "core/arith/gemm/kernels.hpp"
#include "core/arith/gemm/plan.hpp"
#include "core/arith/gemm/rows.hpp"
#include "core/arith/gemm/split_engine.hpp"
#include "core/arith/gemm/tile_operands.hpp"
#include "core/arith/orders/ordered_dot.hpp"
#include "core/arith/scalar.hpp"
#include "core/arith/stochastic.hpp"

namespace lamp {
namespace {

using namespace gemm_detail;  // NOLINT: this file is its other half

/// The definition among the fast code: every output by itself, by scalar code.
void naive(const Arithmetic& arithmetic, MatrixView<const double> a, const PackedMatrix& b,
           MatrixView<double> out, Shape shape) {
  Arithmetic rounded = arithmetic;
  MacSpec& step = rounded.steps();
  const auto operand = [as_given = step](double x) { return as_given.round_operand(x); };
  const bool needs_emin = row_of(rounded.order).kind == SumKind::steps;
  if (!needs_emin) step.operands.reset();  // once, here
  const std::size_t m = a.rows, k = a.cols, n = b.cols();
  Matrix<double> columns(n, k);
  for (std::size_t j = 0; j < n; ++j)
    for (std::size_t l = 0; l < k; ++l) columns(j, l) = operand(b.at(l, j));
  Matrix<double> rows(m, k);
  bool binary32_operands = all_binary32(columns.flat());
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t l = 0; l < shape.terms(i, k); ++l) rows(i, l) = operand(a(i, l));
    binary32_operands = binary32_operands && all_binary32(rows.row(i));
  }
  visit_outputs(rounded, binary32_operands, [&](const auto& output) {
    for (std::size_t i = 0; i < m; ++i) {
      const std::size_t terms = shape.terms(i, k);
      const std::span<const double> row = rows.row(i).first(terms);
      for (std::size_t j = 0; j < shape.columns(i, n); ++j)
        out(i, j) = ordered_dot(output(i, j), rounded, row, columns.row(j).first(terms));
    }
  });
}

/// Rows [first, last) of one panel's columns, or one row of tile.panels ones', of which only those
/// in `marked` where that is given, tile by tile. kernel_of(row): the kernel that is proven for the
/// tile_rows rows that a row stands among: `general`, or one that is good for fewer operands.
template <class T, class KernelOf>
void panel_times_rows(const KernelSet& set, Tile<T>& tile, const T* a, std::size_t stride,
                      std::size_t k, std::size_t first, std::size_t last, std::size_t q,
                      MatrixView<double> out, Shape shape, const MarkedRows* marked,
                      Kernel<T> general, KernelOf&& kernel_of) {
  alignas(64) std::array<T, tile_rows * panel_cols> c;
  tile.c = c.data();
  const std::size_t j0 = q * panel_cols,
                    count_of_rows = marked != nullptr ? marked->rows.size() : last - first;
  const auto row_at = [&](std::size_t p) {
    return marked != nullptr ? std::size_t{marked->rows[p]} : first + p;
  };
  for (std::size_t p = 0; p < count_of_rows; p += tile_rows) {
    tile.rows = std::min(tile_rows, count_of_rows - p);
    if (shape.columns(row_at(p + tile.rows - 1), out.cols) <= j0) continue;
    Kernel<T> kernel = kernel_of(row_at(p));
    for (std::size_t r = 0; r < tile.rows; ++r) {
      const std::size_t i = row_at(p + r);
      tile.a[r] = a + i * stride;
      tile.steps[r] = shape.terms(i, k);
      if (marked != nullptr && kernel_of(i) != kernel) kernel = general;
    }
    kernel(tile);
    for (std::size_t r = 0; r < tile.rows; ++r) {
      const std::size_t i = row_at(p + r), width = shape.columns(i, out.cols);
      const std::size_t count = width > j0 ? std::min(tile.panels * panel_cols, width - j0) : 0;
      double* to = out.data + i * out.row_stride + j0 * out.col_stride;
      store(set, c.data() + r * panel_cols, count, to, out.col_stride);
    }
  }
}

/// False, with `out` partly written at most, where an operand is not a binary32 number. Pre:
/// b.is_binary32() or mac.operands.
bool gemm32(const Plan<float>& plan, const KernelSet& set, const MacSpec& mac,
            MatrixView<const double> a, const PackedMatrix& b, MatrixView<double> out, Shape shape,
            const Marks* marks) {
  thread_local Workspace<float> work;
  OperandReader reader(set, mac, work.values);
  const std::size_t stride = padded<float>(a.cols);
  if (!read_rows(reader, a, shape, stride, work)) return false;
  Tile<float> tile;
  tile.constants = plan.constants;
  tile.panel_stride = b.rows() * panel_cols;
  const std::size_t rows = rows_at_a_time<float>(stride);
  for (std::size_t first = 0; first < a.rows; first += rows) {
    const std::size_t last = std::min(first + rows, a.rows);
    for (std::size_t q = 0; q < b.panels(); q += tile.panels) {
      if (shape.columns(last - 1, out.cols) <= q * panel_cols) break;
      tile.panels = last - first == 1 && marks == nullptr && q + panels_of_row <= b.panels()
                        ? panels_of_row
                        : 1;
      if (marks != nullptr) work.marked.find(*marks, first, last, q);
      if (marks != nullptr && work.marked.rows.empty()) continue;
      const Panel<float> panel = read_panel(set, reader, b, q, work, tile.panels);
      if (panel.b == nullptr) return false;
      tile.b = panel.b;
      panel_times_rows(set, tile, work.a.data(), stride, a.cols, first, last, q, out, shape,
                       marks != nullptr ? &work.marked : nullptr, plan.kernel, [&](std::size_t i) {
                         return plan.kernel_for(work.ranges[i / tile_rows], panel.range);
                       });
    }
  }
  return true;
}

/// Every operand, after rounding, is a binary32 number.
bool binary32_operands(const KernelSet& set, const MacSpec& mac, MatrixView<const double> a,
                       const PackedMatrix& b, Shape shape) {
  if (mac.operands) return contains(binary32, *mac.float_operands());
  thread_local Workspace<float> work;
  OperandReader reader(set, mac, work.values);
  work.a.resize(std::max(work.a.size(), a.cols));
  MagnitudeRange range;
  for (std::size_t i = 0; i < a.rows && b.is_binary32(); ++i)
    if (!reader.read(a.data + i * a.row_stride, a.col_stride, shape.terms(i, a.cols), work.a.data(),
                     range))
      return false;
  return b.is_binary32();
}

void gemm64(const Plan<double>& plan, const KernelSet& set, const MacSpec& mac,
            MatrixView<const double> a, const PackedMatrix& b, MatrixView<double> out, Shape shape,
            const Marks* marks) {
  thread_local Workspace<double> work;
  OperandReader reader(set, mac, work.values);
  const std::size_t stride = padded<double>(a.cols);
  read_rows(reader, a, shape, stride, work);
  Tile<double> tile;
  tile.constants = plan.constants;
  tile.panel_stride = b.rows() * panel_cols;
  const std::size_t rows = rows_at_a_time<double>(stride);
  for (std::size_t first = 0; first < a.rows; first += rows) {
    const std::size_t last = std::min(first + rows, a.rows);
    for (std::size_t q = 0; q < b.panels(); q += tile.panels) {
      if (shape.columns(last - 1, out.cols) <= q * panel_cols) break;
      tile.panels = last - first == 1 && marks == nullptr && q + panels_of_row <= b.panels()
                        ? panels_of_row
                        : 1;
      if (marks != nullptr) work.marked.find(*marks, first, last, q);
      if (marks != nullptr && work.marked.rows.empty()) continue;
      tile.b = read_panel(set, reader, b, q, work, tile.panels).b;
      panel_times_rows(set, tile, work.a.data(), stride, a.cols, first, last, q, out, shape,
                       marks != nullptr ? &work.marked : nullptr, plan.kernel,
                       [&](std::size_t) { return plan.kernel; });
    }
  }
}

}  // namespace

PackedMatrix::PackedMatrix(MatrixView<const double> b) { assign(b); }

PackedMatrix::PackedMatrix(MatrixView<const float> b) {
  AlignedVector<double> wide(b.rows * b.cols);
  for (std::size_t k = 0; k < b.rows; ++k)
    for (std::size_t j = 0; j < b.cols; ++j) wide[k * b.cols + j] = static_cast<double>(b(k, j));
  assign(MatrixView<const double>(wide.data(), b.rows, b.cols, b.cols));
}

void PackedMatrix::assign(MatrixView<const double> b) {
  rows_ = b.rows, cols_ = b.cols, binary32_ = true;
  const KernelSet set = kernel_set(resolved(Backend::automatic));
  const std::size_t size = panels() * rows_ * panel_cols;
  panels32_.resize(size);
  ranges_.assign(panels(), {});
  thread_local AlignedVector<double> row;
  thread_local AlignedVector<float> column;
  row.resize(panel_cols);
  for (std::size_t q = 0; q < panels() && binary32_; ++q) {
    const std::size_t j0 = q * panel_cols;
    const std::size_t count = std::min(panel_cols, cols_ - j0);
    float* panel = panels32_.data() + q * rows_ * panel_cols;
    if (count < panel_cols) std::fill_n(panel, rows_ * panel_cols, 0.0F);
    if (b.row_stride == 1) {  // a transpose: columns are contiguous
      column.resize(std::max(column.size(), rows_ * panel_cols));
      for (std::size_t j = 0; j < count; ++j) {
        binary32_ = set.narrow(b.data + (j0 + j) * b.col_stride, rows_, column.data() + j * rows_,
                               ranges_[q]) &&
                    binary32_;
      }
      for (std::size_t k = 0; k < rows_; ++k)
        for (std::size_t j = 0; j < count; ++j) panel[k * panel_cols + j] = column[j * rows_ + k];
    } else {
      for (std::size_t k = 0; k < rows_; ++k) {
        const double* from = b.data + k * b.row_stride + j0 * b.col_stride;
        if (b.col_stride != 1) {
          for (std::size_t j = 0; j < count; ++j) row[j] = from[j * b.col_stride];
          from = row.data();
        }
        binary32_ = set.narrow(from, count, panel + k * panel_cols, ranges_[q]) && binary32_;
      }
    }
  }
  if (binary32_) return;
  panels32_.clear();
  panels64_.resize(size);
  for (std::size_t q = 0; q < panels(); ++q)
    for (std::size_t k = 0; k < rows_; ++k)
      for (std::size_t j = 0; j < panel_cols; ++j)
        panels64_[(q * rows_ + k) * panel_cols + j] =
            q * panel_cols + j < cols_ ? b(k, q * panel_cols + j) : 0.0;
}

namespace {

Evaluation gemm_of(const Arithmetic& arithmetic, MatrixView<const double> a, const PackedMatrix& b,
                   MatrixView<double> out, Shape shape, const Marks* marks, Backend backend) {
  expects(a.cols == b.rows() && out.rows == a.rows && out.cols == b.cols(),
          "gemm: (m, n) = (m, k) (k, n)");
  expects(available(backend), "gemm: the machine has the instruction set");
  if (arithmetic.steps().rounds_rows()) return gemm_of_rows(arithmetic, a, b, out, shape, backend);
  backend = resolved(backend);
  const MacSpec& mac = arithmetic.mac;
  const KernelSet set = kernel_set(backend);
  const auto decide = [&](bool binary32_numbers) {
    return evaluation_of(arithmetic, a.rows, a.cols, binary32_numbers, backend);
  };
  // As far as is known before A is read.
  bool narrow = b.is_binary32() || arithmetic.steps().operands;
  Evaluation evaluation = decide(narrow);
  if (evaluation == Evaluation::kernel32) {
    // The kernel's operands are read in any case, which shows what they are.
    if (gemm32(*plan32(mac, set), set, mac, a, b, out, shape, marks)) return evaluation;
    narrow = false;
    evaluation = decide(narrow);
  } else if (narrow &&
             ((evaluation == Evaluation::kernel64 && mac.format != binary64) ||
              evaluation == Evaluation::by_tiles || evaluation == Evaluation::exact_sums)) {
    narrow = binary32_operands(set, arithmetic.steps(), a, b, shape);
    if (!narrow) evaluation = decide(narrow);
  }
  switch (evaluation) {
    case Evaluation::kernel32:
      contract_violated("gemm: lanes of binary32 serve binary32 numbers");
    case Evaluation::kernel64:
      gemm64(*plan64(mac, narrow && mac.format != binary64, set), set, mac, a, b, out, shape,
             marks);
      break;
    case Evaluation::engine_kernel: {
      if (is<SplitEngine>(arithmetic.order)) {
        gemm_of_split_engine(arithmetic, a, b, out, shape, backend);
        break;
      }
      const bool served = engine_gemm(arithmetic, a, b, out, shape, backend);
      expects(served, "gemm: a kernel of the engine");
      break;
    }
    case Evaluation::by_tiles:
      gemm_by_tiles(arithmetic, narrow, a, b, out, shape, marks, backend);
      break;
    case Evaluation::exact_sums:
      gemm_of_exact_sums(arithmetic, a, b, out, shape, marks, backend);
      break;
    case Evaluation::by_columns:
      gemm_by_columns(arithmetic, a, b, out, shape, marks, backend);
      break;
    case Evaluation::naive:
      naive(arithmetic, a, b, out, shape);
      break;
  }
  return evaluation;
}

}  // namespace

Evaluation gemm(const Arithmetic& arithmetic, MatrixView<const double> a, const PackedMatrix& b,
                MatrixView<double> out, Shape shape, Backend backend) {
  return gemm_of(arithmetic, a, b, out, shape, nullptr, backend);
}

Evaluation gemm_of_marked(const Arithmetic& arithmetic, MatrixView<const double> a,
                          const PackedMatrix& b, Marks marks, MatrixView<double> out,
                          Backend backend) {
  expects(marks.rows == out.rows && marks.cols == out.cols && marks.col_stride == 1,
          "gemm_of_marked: a mark for every entry");
  return gemm_of(arithmetic, a, b, out, Shape::full, &marks, backend);
}

Evaluation gemm(const Arithmetic& arithmetic, MatrixView<const double> a,
                MatrixView<const double> b, MatrixView<double> out, Shape shape, Backend backend) {
  thread_local PackedMatrix packed;
  packed.assign(b);
  return gemm(arithmetic, a, packed, out, shape, backend);
}

}  // namespace lamp
