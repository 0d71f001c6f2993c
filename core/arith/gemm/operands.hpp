// What the loops over tiles share: operands as the kernels read them.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/arith/gemm/aligned_vector.hpp"
#include "core/arith/gemm/kernels.hpp"
#include "core/arith/gemm/plan.hpp"
#include "core/arith/spec.hpp"
#include "core/fp/rounding.hpp"

namespace lamp::gemm_detail {

/// y = x rounded by RTZ or RNA to the p - `dropped` bits that a format with the range of binary32
/// has, on the bits; extends `range` by the results. x and y may be the same memory. Pre: 1 <=
/// dropped <= 22.
inline void round_on_bits(Rounding mode, int dropped, const float* x, std::size_t n, float* y,
                          MagnitudeRange& range) {
  constexpr std::uint32_t infinity = 0x7F800000U, sign = 0x80000000U;
  const std::uint32_t half = mode == Rounding::rna ? std::uint32_t{1} << (dropped - 1) : 0U;
  const std::uint32_t kept = ~std::uint32_t{0} << dropped;
  std::uint32_t largest = range.largest, smallest_less_one = range.smallest_less_one;
  for (std::size_t i = 0; i < n; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(x[i]);
    const std::uint32_t magnitude = bits & ~sign;
    const std::uint32_t rounded = magnitude < infinity ? (magnitude + half) & kept : magnitude;
    largest = std::max(largest, rounded);
    smallest_less_one = std::min(smallest_less_one, rounded - 1);
    y[i] = std::bit_cast<float>(rounded | (bits & sign));
  }
  range = {.smallest_less_one = smallest_less_one, .largest = largest};
}

/// Operands as a kernel reads them, rounded to mac.operands where there are any. Every function has
/// its memory from outside.
class OperandReader {
 public:
  OperandReader(const KernelSet& set, const MacSpec& mac, AlignedVector<double>& values)
      : set_(set), format_(mac.float_operands()), mode_(mac.operand_rounding), values_(values) {
    if (format_ != nullptr) round_ = round32(*format_);
    if (round_) target_ = target32(*format_);
    if (mode_ != Rounding::rne && round_ != Round::integer) round_.reset();
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
    round_lanes(y, n, y, range);
    return true;
  }
  void read(const double* x, std::size_t stride, std::size_t n, double* y, MagnitudeRange&) {
    for (std::size_t l = 0; l < n; ++l) y[l] = x[l * stride];
    if (rounds())
      for (std::size_t l = 0; l < n; ++l) y[l] = lamp::round(y[l], *format_, mode_);
  }
  /// y = n binary32 numbers x, which may be in the same place; false as above. Pre: rounds().
  bool read_rounded(const float* x, std::size_t n, float* y, MagnitudeRange& range) {
    if (round_) return round_lanes(x, n, y, range), true;
    values_.assign(x, x + n);
    for (double& value : values_) value = lamp::round(value, *format_, mode_);
    return set_.narrow(values_.data(), n, y, range);
  }

 private:
  void round_lanes(const float* x, std::size_t n, float* y, MagnitudeRange& range) {
    if (mode_ == Rounding::rne)
      set_.round_values(target_, *round_, x, n, y, range);
    else
      round_on_bits(mode_, binary32.p - format_->p, x, n, y, range);
  }
  const double* gather(const double* x, std::size_t stride, std::size_t n) {
    values_.resize(std::max(values_.size(), n));
    for (std::size_t l = 0; l < n; ++l) values_[l] = x[l * stride];
    return values_.data();
  }
  const double* rounded(const double* x, std::size_t n) {
    values_.resize(
        std::max(values_.size(), n));  // x may be values_ itself: then it is long enough already
    for (std::size_t l = 0; l < n; ++l) values_[l] = lamp::round(x[l], *format_, mode_);
    return values_.data();
  }

  const KernelSet& set_;
  const FloatFormat* format_;  // null: as they are
  Rounding mode_;
  AlignedVector<double>& values_;
  std::optional<Round> round_;  // nothing: value by value, by THE rounding
  Target<float> target_;
};

}  // namespace lamp::gemm_detail
