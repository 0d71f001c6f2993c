#include "core/arith/gemm/by_parts.hpp"

#include <algorithm>
#include <vector>

#include "core/arith/gemm/engine.hpp"
#include "core/arith/gemm/kernels.hpp"
#include "core/arith/gemm/plan.hpp"
#include "core/arith/scalar.hpp"
#include "core/arith/stochastic.hpp"

namespace lamp::gemm_detail {
namespace {

using View = MatrixView<const double>;

// A tile of outputs and its partial sums stay in the second cache level; a part of B is packed once
// for tile_height rows.
constexpr std::size_t tile_height = 128;
constexpr std::size_t tile_width = 512;
constexpr std::size_t most_lanes = 64;  // partial sums that are held at once

/// Rows of a matrix that stays packed as it is.
struct PackedRows {
  const PackedMatrix* b;
  std::size_t rows;
  Terms terms{};
  [[nodiscard]] PackedRows row_block(std::size_t k, std::size_t count) const {
    return {b, count, {terms.at(k), terms.step}};
  }
};

/// Rows first, first + step, .. of b.
View every(View b, std::size_t first, std::size_t step) {
  return {b.data + first * b.row_stride, (b.rows - first + step - 1) / step, b.cols,
          b.row_stride * step, b.col_stride};
}

PackedRows every(PackedRows b, std::size_t first, std::size_t step) {
  return {b.b,
          (b.rows - first + step - 1) / step,
          {b.terms.at(first), b.terms.step * static_cast<std::ptrdiff_t>(step)}};
}

PackedRows reversed(PackedRows b) { return {b.b, b.rows, {b.terms.at(b.rows - 1), -b.terms.step}}; }

Matrix<double> reversed_rows(View b) {
  Matrix<double> copy(b.rows, b.cols);
  for (std::size_t k = 0; k < b.rows; ++k)
    for (std::size_t j = 0; j < b.cols; ++j) copy(k, j) = b(b.rows - 1 - k, j);
  return copy;
}

/// Sums of one tile, every row with all terms. a: (m, k), b: (k, n), out: (m, n).
class TileSum {
 public:
  TileSum(const Arithmetic& arithmetic, Backend backend)
      : order_(arithmetic.order),
        mac_(arithmetic.mac),
        step_{.mac = steps(arithmetic), .order = part(arithmetic.order)},
        backend_(backend) {}

  /// The order of the sums that the order is made of.
  static Order part(const Order& order) {
    return order.kind == OrderKind::engine
               ? Order{.kind = OrderKind::engine, .engine = order.engine}
               : Order{};
  }

  /// The specification of the multiply-accumulates.
  static const MacSpec& steps(const Arithmetic& arithmetic) {
    return arithmetic.order.kind == OrderKind::blocked && arithmetic.block ? *arithmetic.block
                                                                           : arithmetic.mac;
  }

  /// Rows: a View, whose parts are packed, or PackedRows, where nothing is (Pre: serves_packed).
  template <class Rows>
  void evaluate(View a, Rows b, MatrixView<double> out) {
    if (order_.kind == OrderKind::reverse) return reverse(a, b, out);
    if (order_.kind == OrderKind::blocked) return blocks(order_.size, a, b, out);
    if (order_.kind == OrderKind::split || order_.splits_engine())
      return blocks((a.cols + order_.size - 1) / order_.size, a, b, out);
    if (order_.kind == OrderKind::pairwise) return pairwise(a, b, out);
    if (order_.kind == OrderKind::lanes) return lanes(a, b, out);
    contract_violated("gemm_by_parts: an order that it serves");
  }

  /// blocked:B where a's row i has the terms k <= first_row + i.
  void triangular_blocks(View a, View b, MatrixView<double> out, std::size_t first_row) {
    clear(out);
    for (std::size_t k = 0; k < std::min(b.rows, first_row + a.rows); k += order_.size) {
      const std::size_t skipped = k > first_row ? k - first_row : 0;
      const std::size_t rows = a.rows - skipped, terms = std::min(order_.size, b.rows - k);
      Matrix<double> part(rows, out.cols);
      sequential(a.row_block(skipped, rows).columns(k, terms), b.row_block(k, terms), part.view(),
                 Shape(Shape::lower_operand, k < first_row ? first_row - k : 0));
      add(out.row_block(skipped, rows), part.view());
    }
  }

 private:
  void sequential(View a, View b, MatrixView<double> out, Shape shape = Shape::full) {
    packed_.assign(b);
    gemm(step_, a, packed_, out, shape, backend_);
  }

  void sequential(View a, PackedRows b, MatrixView<double> out) {
    const bool served = step_.order.kind == OrderKind::engine
                            ? engine_gemm(step_, a, *b.b, out, Shape::full, backend_, b.terms.first)
                            : gemm_of_terms(step_.mac, a, *b.b, b.terms, out, backend_);
    expects(served, "gemm_by_parts: a kernel for these operands");
  }

  void reverse(View a, View b, MatrixView<double> out) {
    const Matrix<double> left = reversed_rows(a.transposed()), right = reversed_rows(b);
    sequential(left.view().transposed(), right.view(), out);
  }
  void reverse(View a, PackedRows b, MatrixView<double> out) {
    const Matrix<double> left = reversed_rows(a.transposed());
    sequential(left.view().transposed(), reversed(b), out);
  }

  static void clear(MatrixView<double> out) {
    for (std::size_t i = 0; i < out.rows; ++i) std::fill_n(out.row(i).begin(), out.cols, 0.0);
  }

  /// sum = fl(sum + part)
  void add(MatrixView<double> sum, View part) {
    const bool binary32_numbers =
        contains(binary32, mac_.format) && contains(binary32, step_.mac.format);
    visit_arithmetic(mac_, binary32_numbers, [&](const auto& fl) {
      for (std::size_t i = 0; i < sum.rows; ++i) {
        const std::span<double> s = sum.row(i);
        const std::span<const double> p = part.row(i);
        for (std::size_t j = 0; j < s.size(); ++j) s[j] = fl.add(s[j], p[j]);
      }
    });
  }

  template <class Rows>
  void blocks(std::size_t size, View a, Rows b, MatrixView<double> out) {
    clear(out);
    Matrix<double> part(out.rows, out.cols);
    for (std::size_t k = 0; k < b.rows; k += size) {
      const std::size_t terms = std::min(size, b.rows - k);
      sequential(a.columns(k, terms), b.row_block(k, terms), part.view());
      add(out, part.view());
    }
  }

  template <class Rows>
  void pairwise(View a, Rows b, MatrixView<double> out) {
    if (b.rows <= order_.size) return sequential(a, b, out);
    const std::size_t m = b.rows / 2;
    Matrix<double> right(out.rows, out.cols);
    pairwise(a.columns(0, m), b.row_block(0, m), out);
    pairwise(a.columns(m, b.rows - m), b.row_block(m, b.rows - m), right.view());
    add(out, right.view());
  }

  template <class Rows>
  void lanes(View a, Rows b, MatrixView<double> out) {
    std::vector<Matrix<double>> s(order_.size, Matrix<double>(out.rows, out.cols));
    for (std::size_t l = 0; l < std::min(order_.size, b.rows); ++l)
      sequential(every(a.transposed(), l, order_.size).transposed(), every(b, l, order_.size),
                 s[l].view());
    for (std::size_t width = order_.size / 2; width > 0; width /= 2)
      for (std::size_t l = 0; l < width; ++l) add(s[l].view(), s[l + width].view());
    for (std::size_t i = 0; i < out.rows; ++i)
      std::copy_n(s[0].row(i).begin(), out.cols, out.row(i).begin());
  }

  const Order& order_;
  const MacSpec& mac_;
  Arithmetic step_;
  Backend backend_;
  PackedMatrix packed_;
};

bool has_kernel(const MacSpec& mac, const KernelSet& set) {
  return plan32(mac, set) || plan64(mac, true, set);
}

bool serves(const Arithmetic& arithmetic, Backend backend) {
  switch (arithmetic.order.kind) {
    case OrderKind::reverse:
    case OrderKind::blocked:
    case OrderKind::split:
    case OrderKind::pairwise:
      break;
    case OrderKind::lanes:
      if (arithmetic.order.size > most_lanes) return false;
      break;
    case OrderKind::engine:
      return arithmetic.order.splits_engine();
    case OrderKind::sequential:
    case OrderKind::panels:
    case OrderKind::lane_tree:
    case OrderKind::numpy_sum:
    case OrderKind::kahan:
    case OrderKind::neumaier:
    case OrderKind::exact:
    case OrderKind::tree:
    case OrderKind::fused_tree:
    case OrderKind::multiterm:
      return false;
  }
  return !is_stochastic(arithmetic) && has_kernel(TileSum::steps(arithmetic), kernel_set(backend));
}

/// A packed B is worth more than a tile that stays in the cache: few rows, of binary32 numbers
/// after rounding.
bool serves_packed(const Arithmetic& arithmetic, View a, const PackedMatrix& b, Shape shape,
                   Backend backend) {
  const MacSpec& steps = TileSum::steps(arithmetic);
  if (a.rows > tile_rows || shape.kind != Shape::full || !b.is_binary32()) return false;
  if (arithmetic.order.kind == OrderKind::engine) return has_engine_kernel(arithmetic, backend);
  if (!plan32(steps, kernel_set(backend))) return false;
  if (steps.operands) return contains(binary32, *steps.operands);
  for (std::size_t i = 0; i < a.rows; ++i)
    for (std::size_t k = 0; k < a.cols; ++k)
      if (const double x = a(i, k); !all_binary32({&x, 1})) return false;
  return true;
}

void copy_row(std::span<const double> from, MatrixView<double> out, std::size_t i, std::size_t j0) {
  for (std::size_t j = 0; j < from.size(); ++j) out(i, j0 + j) = from[j];
}

}  // namespace

bool gemm_by_parts(const Arithmetic& arithmetic, MatrixView<const double> a, const PackedMatrix& b,
                   MatrixView<double> out, Shape shape, Backend backend) {
  const std::size_t m = a.rows, k = a.cols, n = b.cols();
  if (k == 0 || !serves(arithmetic, backend)) return false;
  const bool triangular = shape.kind == Shape::lower_operand,
             blocked = arithmetic.order.kind == OrderKind::blocked;
  std::size_t height =
      triangular && !blocked ? 1 : tile_height;  // rows of other lengths have other sums
  if (triangular && blocked)
    height = arithmetic.order.size >= m ? m
                                        : (height + arithmetic.order.size - 1) /
                                              arithmetic.order.size * arithmetic.order.size;
  TileSum sum(arithmetic, backend);
  if (serves_packed(arithmetic, a, b, shape, backend)) {
    Matrix<double> sums(m, n);
    sum.evaluate(a, PackedRows{&b, k}, sums.view());
    for (std::size_t i = 0; i < m; ++i) copy_row(sums.row(i), out, i, 0);
    return true;
  }
  Matrix<double> columns(k, std::min(n, tile_width)), tile(std::min(m, height), columns.cols());
  for (std::size_t j0 = 0; j0 < n; j0 += tile_width) {
    const std::size_t width = std::min(tile_width, n - j0);
    for (std::size_t l = 0; l < k; ++l)
      for (std::size_t j = 0; j < width; ++j) columns(l, j) = b.at(l, j0 + j);
    for (std::size_t i0 = 0; i0 < m; i0 += height) {
      const std::size_t rows = std::min(height, m - i0);
      const std::size_t end = shape.columns(i0 + rows - 1, n);  // of the tile's last row
      if (end <= j0) continue;
      const std::size_t cols = std::min(width, end - j0);
      const MatrixView<double> sums = tile.view().row_block(0, rows).columns(0, cols);
      const View right = columns.view().columns(0, cols);
      if (triangular && blocked) {
        sum.triangular_blocks(a.row_block(i0, rows), right, sums, shape.first_row + i0);
      } else {
        const std::size_t terms = shape.terms(i0, k);  // of every row, or of the only one
        sum.evaluate(a.row_block(i0, rows).columns(0, terms), right.row_block(0, terms), sums);
      }
      for (std::size_t i = 0; i < rows; ++i)
        copy_row(sums.row(i).first(std::min(cols, std::max(shape.columns(i0 + i, n), j0) - j0)),
                 out, i0 + i, j0);
    }
  }
  return true;
}

}  // namespace lamp::gemm_detail
