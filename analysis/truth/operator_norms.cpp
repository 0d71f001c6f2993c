#include "analysis/truth/operator_norms.hpp"

#include <algorithm>
#include <cmath>

#include "analysis/not_finite.hpp"
#include "core/arith/gemm/gemm.hpp"
#include "core/arith/spec.hpp"

namespace lamp::truth {
namespace {

constexpr double tolerance = 0x1p-32;

/// The 2^halvings-th root, of x > 0.
double root(double x, int halvings) {
  for (int i = 0; i < halvings; ++i) x = std::sqrt(x);
  return x;
}

/// In row-major order from +0, one rounding an operation.
double frobenius_norm(const Matrix<double>& a) {
  double sum = 0.0;
  for (const double x : a.flat()) sum += x * x;
  return std::sqrt(sum);
}

void divide(Matrix<double>& a, double by) {
  for (double& x : a.flat()) x /= by;
}

}  // namespace

double spectral_norm(MatrixView<const double> a) {
  double largest = 0.0;
  for (std::size_t i = 0; i < a.rows; ++i)
    for (std::size_t j = 0; j < a.cols; ++j) {
      if (!std::isfinite(a(i, j))) return not_a_number;
      largest = std::max(largest, std::abs(a(i, j)));
    }
  if (largest == 0.0) return 0.0;
  const MatrixView<const double> tall = a.rows < a.cols ? a.transposed() : a;
  Matrix<double> scaled(tall.rows, tall.cols);  // elements of at most 1: squares do not overflow
  for (std::size_t i = 0; i < tall.rows; ++i)
    for (std::size_t j = 0; j < tall.cols; ++j) scaled(i, j) = tall(i, j) / largest;

  const Arithmetic fused64 = fused(binary64);
  const std::size_t n = tall.cols;
  Matrix<double> power(n, n), square(n, n);
  gemm(fused64, scaled.view().transposed(), scaled.view(), power.view());
  double norm = frobenius_norm(power);  // of the largest eigenvalue, what is known so far
  divide(power, norm);
  for (int i = 0;; ++i) {
    gemm(fused64, power.view(), power.view(), square.view());
    const double f = std::min(frobenius_norm(square), 1.0);
    if (const double least = root(f, i); least >= 1.0 - tolerance)
      return largest * std::sqrt(norm * (0.5 * (1.0 + least)));
    norm *= root(f, i + 1);  // of B^2 / f in the place of B
    divide(square, f);
    std::swap(power, square);
  }
}

double softmax_jacobian_norm(std::span<const double> z) {
  double first = 0.0, second = 0.0;
  for (const double x : z) {
    if (!std::isfinite(x)) return not_a_number;
    second = std::max(second, std::min(x, first));
    first = std::max(first, x);
  }
  double low = second, high = first;
  for (int i = 0; i < 64; ++i) {
    const double lambda = 0.5 * (low + high);
    if (!(low < lambda && lambda < high)) break;
    double sum = 0.0;
    for (const double x : z) sum += x * x / (x - lambda);
    (sum < 1.0 ? low : high) = lambda;
  }
  return high;
}

}  // namespace lamp::truth
