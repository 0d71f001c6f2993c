// Exact sums of products of binary64 numbers in integers, and their one rounding: what `exact` and
// `multiterm` are made of.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/arith/spec.hpp"
#include "core/fp/unpacked.hpp"

namespace lamp {

/// The exact sum of terms, as a fixed-point number that holds every product of two binary64 numbers
/// (Kulisch's long accumulator): digits of 32 bits in words of 64, whose upper halves collect the
/// carries. Infinities, NaN and zeros are remembered by kind. At most max_terms terms.
class ExactSum {
 public:
  static constexpr std::uint32_t max_terms = (std::uint32_t{1} << 31) - 1;

  void add(double x);
  /// + a b. Zero times infinity is NaN.
  void add_product(double a, double b);
  /// + x, exact (no sticky bit), within the range of products of binary64 numbers.
  void add(const Unpacked& x);

  /// The sum rounded once. An exact zero sum of other terms than zeros of one sign is +0, in RTN
  /// -0. Pre: fits_binary64(format).
  [[nodiscard]] double rounded(const FloatFormat& format, Rounding mode, Draw draw = {}) const;
  /// The same as a matrix engine rounds it: every exact zero is +0, and a rounded magnitude above
  /// xmax gives the format's overflow value in every mode.
  [[nodiscard]] double rounded_by_engine(const FloatFormat& format, Rounding mode,
                                         Draw draw = {}) const;

 private:
  static constexpr int lowest =
      -68 * 32;  // exponent of the digit that reaches below 2^-2148, the smallest product
  static constexpr int padding = 4;  // digits below that, which stay zero
  static constexpr std::size_t digit_count =
      138;  // up to 2^2112, above max_terms of the largest products

  void add_special(double x);
  [[nodiscard]] bool finite() const { return !nan_ && !positive_infinity_ && !negative_infinity_; }
  [[nodiscard]] double special() const;
  /// The value of the digits, with a sticky bit; significand 0 where all digits are zero.
  [[nodiscard]] Unpacked value() const;

  std::array<std::int64_t, digit_count> digits_{};
  std::size_t first_ = digit_count, end_ = 0;  // digits outside [first, end) are zero
  std::uint32_t terms_ = 0;
  bool nan_ = false, positive_infinity_ = false, negative_infinity_ = false;
  bool positive_zero_ = false, negative_zero_ = false, nonzero_ = false;
};

/// One step of `multiterm` before its rounding: c and the products a[k] b[k], which are rounded to
/// mac.operands already, aligned to the largest of their exponents, E, and truncated toward zero to
/// multiples of 2^(E - F). The exponent of a product is the sum of its operands' (each at least
/// emin of mac.operands where that is given), c's is at least emin of mac.format; zero terms are
/// dropped. E is at least `least_exponent`, an engine's clamp. Pre: a.size() == b.size().
ExactSum aligned_sum(const MacSpec& mac, int fraction_bits, std::span<const double> a,
                     std::span<const double> b, double c, std::optional<int> least_exponent = {});

}  // namespace lamp
