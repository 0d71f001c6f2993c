// What the loops over tiles share: operands as the kernels read them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>

#include "core/arith/gemm/aligned_vector.hpp"
#include "core/arith/gemm/kernels.hpp"
#include "core/arith/gemm/plan.hpp"
#include "core/fp/rounding.hpp"

namespace lamp::gemm_detail {

/// Operands as a kernel reads them, rounded to `operands` where there is one. Every function has
/// its memory from outside.
class OperandReader {
 public:
  OperandReader(const KernelSet& set, const FloatFormat* format, AlignedVector<double>& values)
      : set_(set), format_(format), values_(values) {
    if (format != nullptr) round_ = round32(*format);
    if (round_) target_ = target32(*format);
  }
  [[nodiscard]] bool rounds() const { return format_ != nullptr; }

  /// y = n elements of x, `stride` apart; false where one (after rounding) is not a binary32
  /// number.
  bool read(const double* x, std::size_t stride, std::size_t n, float* y, MagnitudeRange& range) {
    if (stride != 1) x = gather(x, stride, n);
    MagnitudeRange before;
    const bool exact = set_.narrow(x, n, y, rounds() ? before : range);
    if (!rounds()) return exact;
    if (!exact || !round_) {
      x = rounded(x, n);
      return set_.narrow(x, n, y, range);
    }
    set_.round_values(target_, *round_, y, n, y, range);
    return true;
  }
  void read(const double* x, std::size_t stride, std::size_t n, double* y, MagnitudeRange&) {
    for (std::size_t l = 0; l < n; ++l) y[l] = x[l * stride];
    if (rounds())
      for (std::size_t l = 0; l < n; ++l) y[l] = lamp::round(y[l], *format_);
  }
  /// y = n binary32 numbers x, which may be in the same place; false as above. Pre: rounds().
  bool read_rounded(const float* x, std::size_t n, float* y, MagnitudeRange& range) {
    if (round_) return set_.round_values(target_, *round_, x, n, y, range), true;
    values_.assign(x, x + n);
    for (double& value : values_) value = lamp::round(value, *format_);
    return set_.narrow(values_.data(), n, y, range);
  }

 private:
  const double* gather(const double* x, std::size_t stride, std::size_t n) {
    values_.resize(std::max(values_.size(), n));
    for (std::size_t l = 0; l < n; ++l) values_[l] = x[l * stride];
    return values_.data();
  }
  const double* rounded(const double* x, std::size_t n) {
    values_.resize(
        std::max(values_.size(), n));  // x may be values_ itself: then it is long enough already
    for (std::size_t l = 0; l < n; ++l) values_[l] = lamp::round(x[l], *format_);
    return values_.data();
  }

  const KernelSet& set_;
  const FloatFormat* format_;  // null: as they are
  AlignedVector<double>& values_;
  std::optional<Round> round_;
  Target<float> target_;
};

}  // namespace lamp::gemm_detail
