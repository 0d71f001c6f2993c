// Matrix products under an arithmetic: outputs are independent, k runs in the arithmetic's order inside each of them. Tiled
// and vectorised over outputs, never over k, so every backend gives the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/arith/spec.hpp"
#include "core/base/matrix.hpp"

namespace lamp {

/// Which entries exist. `lower_output`: only (i, j <= i) is computed, the rest is not written (causal scores).
/// `lower_operand`: a is lower triangular, row i sums k = 0..i only (causal values); the entries above are never read.
enum class Shape : std::uint8_t { full, lower_output, lower_operand };

/// `scalar` is the naive triple loop over scalar operations; the others force one instruction set (an error in `calc` where
/// the machine has not got it). `automatic` picks the fastest that is proven to give the same bits for the operands at hand.
enum class Backend : std::uint8_t { automatic, scalar, avx2, avx512 };

/// B (k, n) prepared once for the tiled kernel: panels of columns, in binary32 where every element is a binary32 number
/// (else binary64), and the magnitudes that the kernel's guard needs.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  explicit PackedMatrix(MatrixView<const float> b);
  explicit PackedMatrix(MatrixView<const double> b);
  [[nodiscard]] std::size_t rows() const { return rows_; }  // k
  [[nodiscard]] std::size_t cols() const { return cols_; }  // n
  [[nodiscard]] double at(std::size_t k, std::size_t j) const;

 private:
  friend struct PackedAccess;  // gemm.cpp
  template <class T>
  void pack(MatrixView<const T> b);
  std::vector<float> panels32_;
  std::vector<double> panels64_;
  std::size_t rows_ = 0, cols_ = 0;
  double min_abs_ = 0.0, max_abs_ = 0.0;  // over nonzero finite elements; 0 when there is none
  bool finite_ = true;
};

/// out(i, j) = sum over k of a(i, k) b(k, j), each in `arithmetic` from +0.
/// a: (m, k), b: (k, n), out: (m, n), binary64 at the boundary. n = 0 terms give +0.
void gemm(const Arithmetic& arithmetic, MatrixView<const double> a, const PackedMatrix& b, MatrixView<double> out,
          Shape shape = Shape::full, Backend backend = Backend::automatic);
void gemm(const Arithmetic& arithmetic, MatrixView<const double> a, MatrixView<const double> b, MatrixView<double> out,
          Shape shape = Shape::full, Backend backend = Backend::automatic);

/// Instruction set that `automatic` uses on this machine: "avx512", "avx2" or "scalar".
std::string_view best_target();
bool available(Backend backend);

}  // namespace lamp
