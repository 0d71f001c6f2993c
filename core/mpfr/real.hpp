// Numbers of any precision and the operations on them, for formats that do not fit binary64: any p
// up to 10,000 and exponents far beyond binary64's. Values are exact: only the operations round,
// once, to the format they are given.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/fp/format.hpp"
#include "core/fp/rounding.hpp"
#include "core/mpfr/number.hpp"

namespace lamp::mpfr {

/// A binary floating-point number of as many bits as it needs, a signed zero, an infinity or NaN. A
/// regular type.
class Real {
 public:
  Real() : Real(0.0) {}
  explicit Real(double x);
  Real(const Real& other);
  Real& operator=(const Real& other);

  /// "0x1.8p+1" with any number of digits (the exponent may be left out), "inf", "infinity", "nan",
  /// each with an optional sign, in either case: the whole text. The exponent's magnitude is at
  /// most largest_exponent.
  static Result<Real> parse(std::string_view text);
  /// Exact, with a leading 1 and no trailing zeros: "0x1.8p+1", "-0x0p+0", "inf", "nan". Normal
  /// binary64 numbers read as C's %a has them.
  [[nodiscard]] std::string hex() const;

  /// To nearest, ties to even; overflow gives an infinity.
  [[nodiscard]] double to_double() const;
  [[nodiscard]] bool is_nan() const { return mpfr_nan_p(get()) != 0; }
  [[nodiscard]] bool is_negative() const { return mpfr_signbit(get()) != 0; }

  /// Equal values with equal signs of zero; all NaN are equal.
  friend bool operator==(const Real& x, const Real& y);

  static constexpr long largest_exponent = 1L << 36;

  [[nodiscard]] mpfr_srcptr get() const { return value_.get(); }
  /// The value of x, in as few bits as it needs.
  explicit Real(const Number& x);

 private:
  Number value_;
};

/// Formats of these operations: 1 <= p <= largest_precision, -largest_format_exponent <= emin <=
/// emax <= largest_format_exponent.
inline constexpr int largest_precision = 10'000;
inline constexpr int largest_format_exponent = 1'000'000'000;
/// The fields make such a format; the error names the field and its legal range.
Result<void> check_format(const FloatFormat& format);

/// The operations of core/fp/rounding.hpp on numbers of any precision, each rounded once to
/// `format`. Thread-safe; the exponent range of the calling thread is as it was afterwards. Pre:
/// check_format(format), 1 <= draw.bits <= 32.
Real round(const Real& x, const FloatFormat& format, Rounding mode = Rounding::rne, Draw draw = {});
Real add(const Real& a, const Real& b, const FloatFormat& format, Rounding mode = Rounding::rne,
         Draw draw = {});
Real sub(const Real& a, const Real& b, const FloatFormat& format, Rounding mode = Rounding::rne,
         Draw draw = {});
Real mul(const Real& a, const Real& b, const FloatFormat& format, Rounding mode = Rounding::rne,
         Draw draw = {});
Real div(const Real& a, const Real& b, const FloatFormat& format, Rounding mode = Rounding::rne,
         Draw draw = {});
Real fma(const Real& a, const Real& b, const Real& c, const FloatFormat& format,
         Rounding mode = Rounding::rne, Draw draw = {});
Real sqrt(const Real& a, const FloatFormat& format, Rounding mode = Rounding::rne, Draw draw = {});

}  // namespace lamp::mpfr
