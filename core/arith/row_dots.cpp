#include "core/arith/row_dots.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/arith/gemm/aligned_vector.hpp"
#include "core/arith/gemm/by_columns.hpp"
#include "core/arith/gemm/engine.hpp"
#include "core/arith/gemm/sum_of_columns.hpp"
#include "core/arith/orders/ordered_dot.hpp"

namespace lamp {
namespace {

using namespace gemm_detail;  // NOLINT: its vectors
using View = MatrixView<const double>;
using Row = std::span<const double>;

/// The rows of a product with itself are computed a tile at a time, for its diagonal.
constexpr std::size_t engine_rows = 8;

/// Fewer rows than that are evaluated one after the other.
constexpr std::size_t few = 3;

/// One evaluation of rows: what every path needs. No y: ones.
struct Rows {
  const Arithmetic& arithmetic;  // of rows that are rounded already
  View x;
  std::optional<View> y;
  Shape shape;
  [[nodiscard]] std::size_t terms(std::size_t i) const { return shape.terms(i, x.cols); }
};

double alone(const Rows& rows, std::size_t i) {
  const Row x = rows.x.row(i).first(rows.terms(i));
  const Row y = rows.y ? rows.y->row(i).first(x.size()) : Row{};
  const bool fits = rows.arithmetic.mac.format == binary32 && all_binary32(x) && all_binary32(y);
  return visit_arithmetic(rows.arithmetic.mac, fits, [&](const auto& fl) {
    return rows.y ? ordered_dot(fl, rows.arithmetic, x, y) : ordered_sum(fl, rows.arithmetic, x);
  });
}

/// Sequential sums of x by step(x, sum): a few rows take turns, so that their additions do not wait
/// for each other.
template <class T, class Step>
void interleaved(const Rows& rows, std::span<double> sums, const Step& step) {
  constexpr std::size_t together = 8;
  for (std::size_t first = 0; first < rows.x.rows; first += together) {
    const std::size_t count = std::min(together, rows.x.rows - first);
    std::array<const double*, together> x{};
    std::array<T, together> sum{};
    for (std::size_t r = 0; r < together; ++r)
      x[r] = rows.x.row(first + std::min(r, count - 1)).data();
    const std::size_t of_all = rows.terms(first);  // the shortest row comes first
    for (std::size_t k = 0; k < of_all; ++k) {
#pragma GCC unroll 1
      for (std::size_t r = 0; r < together; ++r)  // in a loop: numbers apart make slow vectors
        sum[r] = step(x[r][k], sum[r]);
    }
    for (std::size_t r = 0; r < count; ++r) {
      for (std::size_t k = of_all; k < rows.terms(first + r); ++k) sum[r] = step(x[r][k], sum[r]);
      sums[first + r] = static_cast<double>(sum[r]);
    }
  }
}

/// Sums by the processor's own additions; false where the arithmetic is another, or needs more.
bool by_processor(const Rows& rows, std::span<double> sums) {
  if (!is<Sequential>(rows.arithmetic.order) || rows.y) return false;
  bool narrow = rows.arithmetic.mac.format == binary32;
  for (std::size_t i = 0; i < rows.x.rows && narrow; ++i)
    narrow = all_binary32(rows.x.row(i).first(rows.terms(i)));
  return visit_arithmetic(rows.arithmetic.mac, narrow, [&]<class Fl>(const Fl&) {
    if constexpr (std::is_same_v<Fl, Binary64Arithmetic>) {
      interleaved<double>(rows, sums, [](double x, double s) { return Fl::accumulate(x, s); });
      return true;
    } else if constexpr (std::is_same_v<Fl, Binary32Arithmetic>) {
      interleaved<float>(rows, sums, [](double x, float s) { return Fl::accumulate(x, s); });
      return true;
    } else {
      return false;
    }
  });
}

/// panel(k, r) = x(first + r, k), 0 beyond the terms of the row and the last row.
void transpose(const Rows& rows, View x, std::size_t first, std::size_t count, std::size_t terms,
               double* panel) {
  constexpr std::size_t block =
      8;  // terms of all rows: lines of the cache that are written at once
  for (std::size_t k0 = 0; k0 < terms; k0 += block)
    for (std::size_t r = 0; r < panel_cols; ++r) {
      const std::size_t end = r < count ? std::min(k0 + block, rows.terms(first + r)) : k0;
      const double* row = x.data + (first + std::min(r, count - 1)) * x.row_stride;
      for (std::size_t k = k0; k < std::min(k0 + block, terms); ++k)
        panel[k * panel_cols + r] = k < end ? row[k] : 0.0;
    }
}

void by_panels(const Rows& rows, std::span<double> sums, Backend backend) {
  const ColumnKernels& kernels = column_kernels(backend);
  const ColumnSpecs specs{.outer = {.spec = *vector_spec(rows.arithmetic.mac)},
                          .inner = {.spec = *vector_spec(rows.arithmetic.steps())}};
  Columns ones;
  ones.x.fill(1.0);
  thread_local AlignedVector<double> left, right;
  const bool same = rows.y && rows.y->data == rows.x.data;
  for (std::size_t first = 0; first < rows.x.rows; first += panel_cols) {
    const std::size_t count = std::min(panel_cols, rows.x.rows - first);
    const std::size_t terms = rows.terms(first + count - 1);
    left.resize(std::max(left.size(), terms * panel_cols));
    transpose(rows, rows.x, first, count, terms, left.data());
    const TermOperands x{left.data(), panel_cols};
    TermOperands y = x;
    if (!rows.y) y = {ones.x.data(), 0};
    if (rows.y && !same) {
      right.resize(std::max(right.size(), terms * panel_cols));
      transpose(rows, *rows.y, first, count, terms, right.data());
      y = {right.data(), panel_cols};
    }
    Columns lengths;
    for (std::size_t r = 0; r < count; ++r)
      lengths.x[r] = static_cast<double>(rows.terms(first + r));
    const SumOfColumns sum(kernels, specs, terms, x, y, true,
                           rows.shape.kind == Shape::lower_operand ? &lengths : nullptr);
    const Columns results = std::visit(
        [&]<class O>(const O& order) {
          if constexpr (adds<O>)
            return order.sum(sum);
          else
            return Columns{};
        },
        rows.arithmetic.order);
    for (std::size_t r = 0; r < count; ++r)
      sums[first + r] = (sum.unsure() >> r & 1) != 0 ? alone(rows, first + r) : results.x[r];
  }
}

/// A matrix engine has products of matrices: with ones, or the diagonal of x y^T. Rows that end
/// early go on with zeros: a step drops zero terms, and truncates the sum of an earlier one where
/// that was truncated. A sum that is zero may change its sign, and is taken alone.
void by_engine(const Rows& rows, std::span<double> sums, Backend backend) {
  const std::vector<double> ones(rows.y ? 0 : rows.x.cols, 1.0);
  thread_local PackedMatrix packed;
  const bool equal = rows.shape.kind == Shape::full;
  Matrix<double> ended(equal ? 0 : engine_rows, rows.x.cols);
  for (std::size_t first = 0; first < rows.x.rows; first += engine_rows) {
    const std::size_t count = std::min(engine_rows, rows.x.rows - first);
    const std::size_t terms = rows.terms(first + count - 1);
    View x = rows.x.row_block(first, count).columns(0, terms);
    if (!equal) {
      std::ranges::fill(ended.flat(), 0.0);
      for (std::size_t r = 0; r < count; ++r)
        std::ranges::copy(x.row(r).first(rows.terms(first + r)), ended.row(r).begin());
      x = std::as_const(ended).view().row_block(0, count).columns(0, terms);
    }
    std::array<double, engine_rows * engine_rows> out{};
    if (rows.y) {
      packed.assign(rows.y->row_block(first, count).transposed());
      gemm(rows.arithmetic, x, packed, {out.data(), count, count, count}, Shape::full, backend);
    } else {
      packed.assign(x.transposed());
      gemm(rows.arithmetic, View(ones.data(), 1, terms, terms), packed,
           {out.data(), 1, count, count}, Shape::full, backend);
    }
    for (std::size_t r = 0; r < count; ++r) {
      const double sum = out[rows.y ? r * count + r : r];
      sums[first + r] = equal || sum != 0.0 ? sum : alone(rows, first + r);
    }
  }
}

void evaluate(const Rows& rows, std::span<double> sums, Backend backend) {
  expects(sums.size() == rows.x.rows, "row_dots: one sum a row");
  expects(!is_stochastic(rows.arithmetic), "row_dots: a deterministic arithmetic");
  backend = resolved(backend);
  if (by_processor(rows, sums)) return;
  const bool equal = rows.shape.kind == Shape::full;
  const bool vectors = backend != Backend::scalar && rows.x.cols > 0 && rows.x.rows >= few;
  if (vectors && (equal || is<Sequential>(rows.arithmetic.order)) && columns_serve(rows.arithmetic))
    return by_panels(rows, sums, backend);
  if (vectors && (equal || !rows.y) && is<MatrixEngine>(rows.arithmetic.order) &&
      has_engine_kernel(rows.arithmetic, backend))
    return by_engine(rows, sums, backend);
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = alone(rows, i);
}

/// x, whose rows are rounded to operands in `memory` where there are any.
View rounded(const MacSpec& steps, View x, Shape shape, Matrix<double>& memory) {
  if (!steps.operands) return x;
  memory.reshape(x.rows, x.cols);
  for (std::size_t i = 0; i < x.rows; ++i) {
    const std::size_t n = shape.terms(i, x.cols);
    steps.round_operands(x.row(i).first(n), memory.row(i).first(n));
  }
  return std::as_const(memory).view();
}

/// Orders of steps know their operands' format: they round themselves.
bool rounds_itself(const Arithmetic& arithmetic) {
  return row_of(arithmetic.order).kind == SumKind::steps;
}

}  // namespace

void row_dots(const Arithmetic& arithmetic, View x, View y, std::span<double> sums, Shape shape,
              Backend backend) {
  expects(x.rows == y.rows && x.cols == y.cols, "row_dots: shapes agree");
  if (rounds_itself(arithmetic)) return evaluate({arithmetic, x, y, shape}, sums, backend);
  const MacSpec& steps = arithmetic.steps();
  Matrix<double> left, right;
  const View a = rounded(steps, x, shape, left);
  const View b = x.data == y.data ? a : rounded(steps, y, shape, right);
  evaluate({of_rounded_rows(arithmetic), a, b, shape}, sums, backend);
}

void row_sums(const Arithmetic& arithmetic, View x, std::span<double> sums, Shape shape,
              Backend backend) {
  if (rounds_itself(arithmetic))
    return evaluate({arithmetic, x, std::nullopt, shape}, sums, backend);
  const MacSpec& steps = arithmetic.steps();
  if (!steps.rounds_rows() && steps.round_operand(1.0) == 1.0) {
    Matrix<double> memory;
    return evaluate(
        {of_rounded_rows(arithmetic), rounded(steps, x, shape, memory), std::nullopt, shape}, sums,
        backend);
  }
  const std::vector<double> ones(x.cols, 1.0);
  row_dots(arithmetic, x, View(ones.data(), x.rows, x.cols, 0), sums, shape, backend);
}

}  // namespace lamp
