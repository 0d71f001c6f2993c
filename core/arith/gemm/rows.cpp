#include "core/arith/gemm/rows.hpp"

#include <algorithm>
#include <vector>

namespace lamp::gemm_detail {
namespace {

double largest_of(const PackedMatrix& b) {
  double largest = 0.0;
  std::vector<double> column(b.rows());
  for (std::size_t j = 0; j < b.cols(); ++j) {
    for (std::size_t k = 0; k < b.rows(); ++k) column[k] = b.at(k, j);
    largest = std::max(largest, largest_magnitude(column));
  }
  return largest;
}

/// The columns of b, rounded, with the memory that rounding takes.
class RoundedColumns {
 public:
  RoundedColumns(const NumberSystem& system, const PackedMatrix& b)
      : system_(system), b_(b), values_(b.rows(), b.cols()), column_(b.rows()) {
    if (reads_tensor(system)) tensor_ = largest_of(b);
  }
  /// Terms first .. last - 1 of every column, as a row that ends there. Pre: first is a multiple of
  /// the system's reach.
  void round(std::size_t first, std::size_t last) {
    const std::span<double> part = std::span(column_).first(last - first);
    for (std::size_t j = 0; j < b_.cols(); ++j) {
      for (std::size_t k = first; k < last; ++k) part[k - first] = b_.at(k, j);
      round_row(system_, part, part, tensor_);
      for (std::size_t k = first; k < last; ++k) values_(k, j) = part[k - first];
    }
  }
  [[nodiscard]] MatrixView<const double> terms(std::size_t n) const {
    return values_.view().row_block(0, n);
  }

 private:
  const NumberSystem& system_;
  const PackedMatrix& b_;
  Matrix<double> values_;
  std::vector<double> column_;
  std::optional<double> tensor_;
};

Matrix<double> rounded_rows(const NumberSystem& system, MatrixView<const double> a, Shape shape) {
  Matrix<double> rows(a.rows, a.cols);
  for (std::size_t i = 0; i < a.rows; ++i) {
    const std::span<double> row = rows.row(i).first(shape.terms(i, a.cols));
    for (std::size_t k = 0; k < row.size(); ++k) row[k] = a(i, k);
    round_row(system, row, row);
  }
  return rows;
}

}  // namespace

Evaluation gemm_of_rows(const Arithmetic& arithmetic, MatrixView<const double> a,
                        const PackedMatrix& b, MatrixView<double> out, Shape shape,
                        Backend backend) {
  const NumberSystem system = *arithmetic.steps().operands;
  Arithmetic of_rounded = of_rounded_rows(arithmetic);
  const Matrix<double> rows = rounded_rows(system, a, shape);
  RoundedColumns columns(system, b);
  thread_local PackedMatrix packed;  // not gemm's own: b may be that
  if (shape.kind != Shape::lower_operand) {
    columns.round(0, b.rows());
    packed.assign(columns.terms(b.rows()));
    return gemm(of_rounded, rows.view(), packed, out, shape, backend);
  }
  expects(!reads_tensor(system), "gemm: operands of causal values do not read the tensor");
  const std::size_t reach = reach_of(system);
  std::size_t complete = 0;  // terms that no later one changes
  Evaluation evaluation = Evaluation::naive;
  for (std::size_t i = 0; i < a.rows; ++i) {
    const std::size_t n = shape.terms(i, a.cols);
    columns.round(complete, n);
    complete = n / reach * reach;
    of_rounded.draws.first_row = arithmetic.draws.first_row + static_cast<std::uint32_t>(i);
    packed.assign(columns.terms(n));
    evaluation = gemm(of_rounded, rows.view().row_block(i, 1).columns(0, n), packed,
                      out.row_block(i, 1), Shape::full, backend);
  }
  return evaluation;
}

}  // namespace lamp::gemm_detail
