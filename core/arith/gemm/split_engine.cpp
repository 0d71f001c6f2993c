#include "core/arith/gemm/split_engine.hpp"

#include <algorithm>

#include "core/arith/elementwise.hpp"
#include "core/arith/gemm/engine.hpp"

namespace lamp::gemm_detail {
namespace {

/// Rows whose partial sums are held at once: about a megabyte, and enough for the engine's tiles.
std::size_t rows_of_parts(std::size_t cols) {
  constexpr std::size_t numbers = std::size_t{1} << 17;
  return std::clamp<std::size_t>(numbers / std::max<std::size_t>(cols, 1), 8, 128);
}

/// sums = the sum of the parts of a b, all rows with all terms.
void add_parts(const Arithmetic& arithmetic, const SplitEngine& order, MatrixView<const double> a,
               const PackedMatrix& b, MatrixView<double> sums, Shape shape, Backend backend,
               MatrixView<double> part) {
  const Arithmetic whole{.mac = arithmetic.mac, .order = MatrixEngine{order.step}};
  const Arithmetic additions = fused(arithmetic.mac.format);
  const Arithmetic stored = fused(order.part.value_or(arithmetic.mac.format));
  const Elementwise join(additions, false, 0, backend), store(stored, false, 0, backend);
  const std::size_t size = (a.cols + order.parts - 1) / order.parts;
  for (std::size_t i = 0; i < sums.rows; ++i) std::ranges::fill(sums.row(i), 0.0);
  for (std::size_t first = 0; first < a.cols; first += size) {
    const std::size_t terms = std::min(size, a.cols - first);
    const bool served = engine_gemm(whole, a.columns(first, terms), b, part, shape, backend, first);
    expects(served, "gemm: a kernel of the engine");
    for (std::size_t i = 0; i < sums.rows; ++i) {
      const std::size_t width = shape.columns(i, sums.cols);
      const std::span<double> row = part.row(i).first(width), sum = sums.row(i).first(width);
      if (order.part) store.round(row, row);
      join.add(sum, row, sum);
    }
  }
}

}  // namespace

void gemm_of_split_engine(const Arithmetic& arithmetic, MatrixView<const double> a,
                          const PackedMatrix& b, MatrixView<double> out, Shape shape,
                          Backend backend) {
  const auto& order = std::get<SplitEngine>(arithmetic.order);
  const bool triangular = shape.kind == Shape::lower_operand;
  const std::size_t most = triangular ? 1 : rows_of_parts(out.cols);  // other lengths, other parts
  thread_local Matrix<double> sums, part;
  sums.reshape(std::min(most, a.rows), out.cols);
  part.reshape(sums.rows(), out.cols);
  for (std::size_t first = 0; first < a.rows; first += most) {
    const std::size_t rows = std::min(most, a.rows - first);
    const Shape of_rows =
        triangular ? Shape(Shape::full) : Shape(shape.kind, shape.first_row + first);
    const MatrixView<double> block = sums.view().row_block(0, rows);
    add_parts(arithmetic, order, a.row_block(first, rows).columns(0, shape.terms(first, a.cols)), b,
              block, of_rows, backend, part.view().row_block(0, rows));
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < shape.columns(first + i, out.cols); ++j)
        out(first + i, j) = block(i, j);
  }
}

}  // namespace lamp::gemm_detail
