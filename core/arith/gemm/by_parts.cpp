#include "core/arith/gemm/by_parts.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <vector>

#include "core/arith/gemm/aligned_vector.hpp"
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
constexpr std::size_t most_sums = 64;  // that are held at once

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

void clear(MatrixView<double> out) {
  for (std::size_t i = 0; i < out.rows; ++i) std::fill_n(out.row(i).begin(), out.cols, 0.0);
}

std::size_t columns_of(View b) { return b.cols; }
std::size_t columns_of(const PackedRows& b) { return b.b->cols(); }

/// The orders made of chains, and the chain that gemm's kernels have not.
template <class O>
constexpr bool is_served = O::row.made_of == MadeOf::chains || std::is_same_v<O, Reverse>;

/// What orders are made of here: products of parts, additions of their sums, and the tiles that
/// these are in.
class Parts {
 public:
  Parts(const Arithmetic& arithmetic, Backend backend)
      : mac_(arithmetic.mac),
        step_{.mac = arithmetic.steps(), .order = chain_of(arithmetic.order)},
        parts_are_binary32_(!part_of(arithmetic.order) ||
                            contains(binary32, *part_of(arithmetic.order))),
        backend_(backend) {}

  void multiply(View a, View b, MatrixView<double> out, Shape shape = Shape::full) {
    packed_.assign(b);
    gemm(step_, a, packed_, out, shape, backend_);
  }
  void multiply(View a, const PackedRows& b, MatrixView<double> out) {
    const bool served = is<MatrixEngine>(step_.order)
                            ? engine_gemm(step_, a, *b.b, out, Shape::full, backend_, b.terms.first)
                            : gemm_of_terms(step_.mac, a, *b.b, b.terms, out, backend_);
    expects(served, "gemm_by_parts: a kernel for these operands");
  }

  /// sum = fl(sum + part)
  void add(MatrixView<double> sum, View part) const {
    const bool binary32_numbers = contains(binary32, mac_.format) &&
                                  contains(binary32, step_.mac.format) && parts_are_binary32_;
    visit_arithmetic(mac_, binary32_numbers, [&](const auto& fl) {
      for (std::size_t i = 0; i < sum.rows; ++i) {
        const std::span<double> s = sum.row(i);
        const std::span<const double> p = part.row(i);
        for (std::size_t j = 0; j < s.size(); ++j) s[j] = fl.add(s[j], p[j]);
      }
    });
  }

  /// sum = sum rounded RNE to a format
  static void round(MatrixView<double> sum, const FloatFormat& format) {
    for (std::size_t i = 0; i < sum.rows; ++i)
      for (double& value : sum.row(i)) value = lamp::round(value, format);
  }

  /// A tile by its number, its first rows and columns.
  MatrixView<double> tile(std::size_t number, std::size_t rows, std::size_t columns) {
    while (tiles_.size() <= number) tiles_.emplace_back();
    AlignedVector<double>& tile = tiles_[number];
    if (tile.size() < rows * columns) tile.resize(rows * columns);
    return {tile.data(), rows, columns, columns};
  }

 private:
  /// The order of the sums that the order is made of.
  static Order chain_of(const Order& order) {
    if (const EngineStep* step = engine_step(order)) return MatrixEngine{*step};
    return Sequential{};
  }

  const MacSpec& mac_;
  Arithmetic step_;
  bool parts_are_binary32_;  // after rounding, where parts are rounded
  Backend backend_;
  PackedMatrix packed_;
  std::deque<AlignedVector<double>> tiles_;
};

/// The number of a tile of partial sums; none: +0.
struct TileNumber {
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();
  std::uint32_t tile = none;
  [[nodiscard]] bool is_zero() const { return tile == none; }
};

/// The sums of one tile of outputs as definitions of orders see them (core/arith/orders/row.hpp):
/// partial sums are tiles, chains are products by the kernels, additions elementwise. Rows: a View,
/// whose parts are packed, or PackedRows, where nothing is (Pre: serves_packed).
template <class Rows>
class TileSum {
 public:
  using Value = TileNumber;
  const std::size_t n;
  const Value c{};

  /// a: (m, k), b: (k, columns).
  TileSum(Parts& parts, View a, Rows b) : n(b.rows), parts_(parts), a_(a), b_(b) {}

  [[nodiscard]] Value chain(std::size_t first, std::size_t last, std::size_t step = 1) const {
    if (first >= last) return {};
    const Value sum = fresh();
    const std::size_t count = last - first;
    if (step == 1)
      parts_.multiply(a_.columns(first, count), b_.row_block(first, count), view(sum));
    else
      parts_.multiply(every(a_.columns(first, count).transposed(), 0, step).transposed(),
                      every(b_.row_block(first, count), 0, step), view(sum));
    return sum;
  }
  [[nodiscard]] Value chain(std::size_t first, std::size_t last, std::size_t step, Value) const {
    return chain(first, last, step);  // from c, which is +0 here
  }
  [[nodiscard]] Value chain_down(std::size_t, std::size_t, Value) const {
    const Value sum = fresh();
    const Matrix<double> left = reversed_rows(a_.transposed());
    if constexpr (std::is_same_v<Rows, PackedRows>) {
      parts_.multiply(left.view().transposed(), reversed(b_), view(sum));
    } else {
      const Matrix<double> right = reversed_rows(b_);
      parts_.multiply(left.view().transposed(), right.view(), view(sum));
    }
    return sum;
  }
  [[nodiscard]] Value block(std::size_t first, std::size_t last) const {
    return chain(first, last);  // parts_ multiplies in the arithmetic of blocks
  }
  [[nodiscard]] Value engine(const EngineStep&, std::size_t first, std::size_t last, Value) const {
    return chain(first, last);
  }
  [[nodiscard]] Value stored(Value x, const std::optional<FloatFormat>& part) const {
    if (part && !x.is_zero()) parts_.round(view(x), *part);
    return x;
  }
  [[nodiscard]] Value add(Value x, Value y) const {
    if (x.is_zero()) x = zeros();
    if (y.is_zero()) y = zeros();
    parts_.add(view(x), view(y));
    free_.push_back(y);
    return x;
  }
  [[nodiscard]] View result(Value x) const { return view(x.is_zero() ? zeros() : x); }

 private:
  [[nodiscard]] MatrixView<double> view(Value x) const {
    return parts_.tile(x.tile, a_.rows, columns_of(b_));
  }
  [[nodiscard]] Value fresh() const {
    if (free_.empty()) return {used_++};
    const Value sum = free_.back();
    free_.pop_back();
    return sum;
  }
  [[nodiscard]] Value zeros() const {
    const Value sum = fresh();
    clear(view(sum));
    return sum;
  }

  Parts& parts_;
  View a_;
  Rows b_;
  mutable std::uint32_t used_ = 0;
  mutable std::vector<Value> free_;
};

/// The sums of one tile, every row with all terms: what the order says over TileSum.
template <class Rows>
View sum_of_tile(const Order& order, Parts& parts, View a, Rows b) {
  const TileSum<Rows> sum(parts, a, b);
  return std::visit(
      [&]<class O>(const O& o) -> View {
        if constexpr (is_served<O>)
          return sum.result(o.sum(sum));
        else
          contract_violated("gemm_by_parts: an order that it serves");
      },
      order);
}

/// blocked:B where a's row i has the terms k <= first_row + i.
void triangular_blocks(std::size_t size, Parts& parts, View a, View b, MatrixView<double> out,
                       std::size_t first_row) {
  clear(out);
  for (std::size_t k = 0; k < std::min(b.rows, first_row + a.rows); k += size) {
    const std::size_t skipped = k > first_row ? k - first_row : 0;
    const std::size_t rows = a.rows - skipped, terms = std::min(size, b.rows - k);
    Matrix<double> part(rows, out.cols);
    parts.multiply(a.row_block(skipped, rows).columns(k, terms), b.row_block(k, terms), part.view(),
                   Shape(Shape::lower_operand, k < first_row ? first_row - k : 0));
    parts.add(out.row_block(skipped, rows), part.view());
  }
}

bool has_kernel(const MacSpec& mac, const KernelSet& set) {
  return plan32(mac, set) || plan64(mac, true, set);
}

/// Partial sums that an order holds at once, where they may be many.
template <class O>
std::size_t sums_at_once(const O&) {
  return 1;
}
std::size_t sums_at_once(const Lanes& lanes) { return lanes.count; }
std::size_t sums_at_once(const LaneTree& tree) { return tree.lanes.terms(); }

/// A packed B is worth more than a tile that stays in the cache: few rows, of binary32 numbers
/// after rounding.
bool serves_packed(const Arithmetic& arithmetic, View a, const PackedMatrix& b, Shape shape,
                   Backend backend) {
  const MacSpec& steps = arithmetic.steps();
  if (a.rows > tile_rows || shape.kind != Shape::full || !b.is_binary32()) return false;
  if (engine_step(arithmetic.order) != nullptr) return has_engine_kernel(arithmetic, backend);
  if (!plan32(steps, kernel_set(backend))) return false;
  if (const FloatFormat* format = steps.float_operands()) return contains(binary32, *format);
  for (std::size_t i = 0; i < a.rows; ++i)
    for (std::size_t k = 0; k < a.cols; ++k)
      if (const double x = a(i, k); !all_binary32({&x, 1})) return false;
  return true;
}

void copy_row(std::span<const double> from, MatrixView<double> out, std::size_t i, std::size_t j0) {
  for (std::size_t j = 0; j < from.size(); ++j) out(i, j0 + j) = from[j];
}

}  // namespace

bool parts_serve(const Arithmetic& arithmetic, Backend backend) {
  return std::visit(
      [&]<class O>(const O& order) {
        if constexpr (!is_served<O>)
          return false;
        else if constexpr (O::row.kind == SumKind::steps)
          return true;  // gemm has every engine
        else
          return sums_at_once(order) <= most_sums && !is_stochastic(arithmetic) &&
                 has_kernel(arithmetic.steps(), kernel_set(backend));
      },
      arithmetic.order);
}

void gemm_by_parts(const Arithmetic& arithmetic, MatrixView<const double> a, const PackedMatrix& b,
                   MatrixView<double> out, Shape shape, Backend backend) {
  const std::size_t m = a.rows, k = a.cols, n = b.cols();
  const Blocked* blocked = std::get_if<Blocked>(&arithmetic.order);
  const bool triangular = shape.kind == Shape::lower_operand;
  std::size_t height =
      triangular && blocked == nullptr ? 1 : tile_height;  // rows of other lengths have other sums
  if (triangular && blocked != nullptr)
    height = blocked->size >= m ? m : (height + blocked->size - 1) / blocked->size * blocked->size;
  Parts parts(arithmetic, backend);
  if (serves_packed(arithmetic, a, b, shape, backend)) {
    const View sums = sum_of_tile(arithmetic.order, parts, a, PackedRows{&b, k});
    for (std::size_t i = 0; i < m; ++i) copy_row(sums.row(i), out, i, 0);
    return;
  }
  Matrix<double> columns(k, std::min(n, tile_width));
  Matrix<double> triangle(triangular && blocked != nullptr ? std::min(m, height) : 0,
                          columns.cols());
  for (std::size_t j0 = 0; j0 < n; j0 += tile_width) {
    const std::size_t width = std::min(tile_width, n - j0);
    for (std::size_t l = 0; l < k; ++l)
      for (std::size_t j = 0; j < width; ++j) columns(l, j) = b.at(l, j0 + j);
    for (std::size_t i0 = 0; i0 < m; i0 += height) {
      const std::size_t rows = std::min(height, m - i0);
      const std::size_t end = shape.columns(i0 + rows - 1, n);  // of the tile's last row
      if (end <= j0) continue;
      const std::size_t cols = std::min(width, end - j0);
      const View left = a.row_block(i0, rows), right = columns.view().columns(0, cols);
      View sums;
      if (triangular && blocked != nullptr) {
        const MatrixView<double> tile = triangle.view().row_block(0, rows).columns(0, cols);
        triangular_blocks(blocked->size, parts, left, right, tile, shape.first_row + i0);
        sums = tile;
      } else {
        const std::size_t terms = shape.terms(i0, k);  // of every row, or of the only one
        sums =
            sum_of_tile(arithmetic.order, parts, left.columns(0, terms), right.row_block(0, terms));
      }
      for (std::size_t i = 0; i < rows; ++i)
        copy_row(sums.row(i).first(std::min(cols, std::max(shape.columns(i0 + i, n), j0) - j0)),
                 out, i0 + i, j0);
    }
  }
}

}  // namespace lamp::gemm_detail
