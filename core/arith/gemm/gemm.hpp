// Matrix products under an arithmetic: outputs are independent, k runs in the arithmetic's order
// inside each of them. Tiled and vectorised over outputs, never over k, so every backend gives the
// same bits.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/arith/gemm/aligned_vector.hpp"
#include "core/arith/gemm/backend.hpp"
#include "core/arith/gemm/evaluation.hpp"
#include "core/arith/spec.hpp"
#include "core/base/matrix.hpp"

namespace lamp {

/// Which entries are computed, where a and out are the rows first_row, first_row + 1, .. of the
/// whole.
/// `lower_output`: only (i, j <= first_row + i) is computed, the rest is not written (causal
/// scores). `lower_operand`: a is lower triangular, row i sums k = 0..first_row + i only (causal
/// values); the entries above are never read.
struct Shape {
  enum Kind : std::uint8_t { full, lower_output, lower_operand };
  Kind kind = full;
  std::size_t first_row = 0;

  constexpr Shape(Kind kind_, std::size_t first_row_ = 0)
      : kind(kind_), first_row(first_row_) {}  // NOLINT: a kind is a shape
  /// How many of k terms row i sums: 0 .. terms - 1.
  [[nodiscard]] constexpr std::size_t terms(std::size_t i, std::size_t k) const {
    return kind == lower_operand ? std::min(first_row + i + 1, k) : k;
  }
  /// How many of n columns row i has: 0 .. columns - 1.
  [[nodiscard]] constexpr std::size_t columns(std::size_t i, std::size_t n) const {
    return kind == lower_output ? std::min(first_row + i + 1, n) : n;
  }
  friend constexpr bool operator==(const Shape&, const Shape&) = default;
};

/// The smallest nonzero and the largest magnitude among binary32 numbers, as their bits (which are
/// in order).
struct MagnitudeRange {
  std::uint32_t smallest_less_one = ~std::uint32_t{0};  // less one, so that zero does not count
  std::uint32_t largest = 0;

  void extend(const MagnitudeRange& other) {
    smallest_less_one = std::min(smallest_less_one, other.smallest_less_one);
    largest = std::max(largest, other.largest);
  }
};

/// B (k, n) prepared once for the tiled kernel: panels of panel_cols columns, k rows of each one
/// after the other, in binary32 where every element is a binary32 number (else binary64), with
/// zeros beyond column n, and each panel's magnitudes for the kernel's guard.
class PackedMatrix {
 public:
  static constexpr std::size_t panel_cols = 32;

  PackedMatrix() = default;
  explicit PackedMatrix(MatrixView<const float> b);
  explicit PackedMatrix(MatrixView<const double> b);
  /// As the constructor; keeps its memory where it suffices.
  void assign(MatrixView<const double> b);

  [[nodiscard]] std::size_t rows() const { return rows_; }  // k
  [[nodiscard]] std::size_t cols() const { return cols_; }  // n
  [[nodiscard]] double at(std::size_t k, std::size_t j) const {
    const std::size_t index = (j / panel_cols * rows_ + k) * panel_cols + j % panel_cols;
    return binary32_ ? static_cast<double>(panels32_[index]) : panels64_[index];
  }

  [[nodiscard]] bool is_binary32() const { return binary32_; }
  [[nodiscard]] std::size_t panels() const { return (cols_ + panel_cols - 1) / panel_cols; }
  /// Panel q, (k, panel_cols) row-major. Pre: q < panels(); panel32 is_binary32(), panel64 not.
  [[nodiscard]] const float* panel32(std::size_t q) const {
    return panels32_.data() + q * rows_ * panel_cols;
  }
  [[nodiscard]] const double* panel64(std::size_t q) const {
    return panels64_.data() + q * rows_ * panel_cols;
  }
  /// Pre: is_binary32().
  [[nodiscard]] MagnitudeRange panel_range(std::size_t q) const { return ranges_[q]; }

 private:
  AlignedVector<float> panels32_;
  AlignedVector<double> panels64_;
  std::vector<MagnitudeRange> ranges_;
  std::size_t rows_ = 0, cols_ = 0;
  bool binary32_ = true;
};

/// out(i, j) = sum over k of a(i, k) b(k, j), each in `arithmetic` from +0.
/// a: (m, k), b: (k, n), out: (m, n), binary64 at the boundary; any strides. k = 0 gives +0. Safe
/// to call from several threads. Returns how it was evaluated. Pre: fits_binary64 of every format;
/// available(backend).
Evaluation gemm(const Arithmetic& arithmetic, MatrixView<const double> a, const PackedMatrix& b,
                MatrixView<double> out, Shape shape = Shape::full,
                Backend backend = Backend::automatic);
Evaluation gemm(const Arithmetic& arithmetic, MatrixView<const double> a,
                MatrixView<const double> b, MatrixView<double> out, Shape shape = Shape::full,
                Backend backend = Backend::automatic);

/// Which entries of a product are wanted: one byte for each, 0 or not. Columns are contiguous.
using Marks = MatrixView<const std::uint8_t>;

/// The product's marked entries, with the bits of gemm; the other entries of out are unspecified.
/// Where kernels of tiles serve, a row of a is multiplied with those panels of b alone in which it
/// has a mark. marks: (m, n).
Evaluation gemm_of_marked(const Arithmetic& arithmetic, MatrixView<const double> a,
                          const PackedMatrix& b, Marks marks, MatrixView<double> out,
                          Backend backend = Backend::automatic);

}  // namespace lamp
