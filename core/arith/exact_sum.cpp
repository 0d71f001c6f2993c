#include "core/arith/exact_sum.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace lamp {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t digit_base = std::int64_t{1} << 32;
constexpr std::uint64_t low_half = 0xFFFFFFFFU;

bool is_special(double x) { return !std::isfinite(x) || x == 0.0; }

Unpacked product(double a, double b) {
  const Unpacked x = unpack(a), y = unpack(b);
  return {.significand = uint128{static_cast<std::uint64_t>(x.significand)} *
                         static_cast<std::uint64_t>(y.significand),
          .exponent = x.exponent + y.exponent,
          .negative = x.negative != y.negative};
}

/// floor(log2 |x|), at least emin of the format where there is one.
int exponent_in(const FloatFormat* format, double x) {
  const int own = std::ilogb(x);
  return format ? std::max(own, format->emin) : own;
}

/// Toward zero to a multiple of 2^last.
void truncate(Unpacked& x, int last) {
  const int shift = last - x.exponent;
  if (shift <= 0) return;
  x.significand = shift < 128 ? x.significand >> shift << shift : 0;
}

/// The rounding of x to p bits, with the exponent unbounded above, exceeds xmax.
bool exceeds_xmax(Unpacked x, const FloatFormat& format, Rounding mode, Draw draw) {
  const int leading = x.exponent + bit_length(x.significand) - 1;
  if (leading != format.emax) return leading > format.emax;
  x.exponent -= leading;  // significand in [1, 2)
  const FloatFormat unbounded{.p = format.p, .emin = -1, .emax = 1};
  return std::abs(round_unpacked(x, unbounded, mode, draw)) > xmax(format) / pow2(format.emax);
}

double overflowed(bool negative, const FloatFormat& format) {
  if (format.overflow == Overflow::nan) return nan_value;
  const double magnitude = format.overflow == Overflow::largest ? xmax(format) : infinity;
  return negative ? -magnitude : magnitude;
}

}  // namespace

void ExactSum::add_special(double x) {
  nan_ = nan_ || std::isnan(x);
  positive_infinity_ = positive_infinity_ || x == infinity;
  negative_infinity_ = negative_infinity_ || x == -infinity;
  positive_zero_ = positive_zero_ || (x == 0.0 && !std::signbit(x));
  negative_zero_ = negative_zero_ || (x == 0.0 && std::signbit(x));
}

void ExactSum::add(double x) { is_special(x) ? add_special(x) : add(unpack(x)); }

void ExactSum::add_product(double a, double b) {
  is_special(a) || is_special(b)
      ? add_special(a * b)
      : add(product(a, b));  // neither over- nor underflows where one is special
}

void ExactSum::add(const Unpacked& x) {
  nonzero_ = true;
  const auto place = static_cast<std::size_t>(x.exponent - lowest + padding * 32);
  const std::size_t digit = place / 32;
  const int shift = static_cast<int>(place % 32);
  // 128 + 31 bits: the lower 96 bits of the significand, shifted, fill the first 128 at most; the
  // upper 32 the rest.
  const uint128 low = (x.significand & ((uint128{1} << 96) - 1)) << shift;
  const uint128 high = ((x.significand >> 96) << shift) + (low >> 96);
  const std::array<std::uint64_t, 5> parts{
      static_cast<std::uint64_t>(low) & low_half, static_cast<std::uint64_t>(low) >> 32,
      static_cast<std::uint64_t>(low >> 64) & low_half, static_cast<std::uint64_t>(high) & low_half,
      static_cast<std::uint64_t>(high >> 32) & low_half};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto part = static_cast<std::int64_t>(parts[i]);
    digits_[digit + i] += x.negative ? -part : part;
  }
  first_ = std::min(first_, digit);
  end_ = std::max(end_, digit + parts.size());
  expects(++terms_ <= max_terms, "ExactSum: at most max_terms terms");
}

double ExactSum::special() const {
  if (nan_ || (positive_infinity_ && negative_infinity_)) return nan_value;
  return positive_infinity_ ? infinity : -infinity;
}

Unpacked ExactSum::value() const {
  std::array<std::int64_t, digit_count + 2>
      digits{};  // two more for what is carried out of the last
  const std::size_t end = end_ + 2;
  Unpacked x;
  for (int attempt = 0; attempt < 2;
       ++attempt) {  // a negative sum leaves a negative carry: then its negative
    std::int64_t carry = 0;
    for (std::size_t i = first_; i < end; ++i) {
      const std::int64_t sum = carry + (i >= end_ ? 0 : x.negative ? -digits_[i] : digits_[i]);
      carry = sum >> 32;
      digits[i] = sum - carry * digit_base;
    }
    if (carry == 0) break;
    x.negative = true;
  }
  std::size_t top = end;
  while (top > first_ && digits[top - 1] == 0) --top;
  if (top <= first_) return {};
  const std::size_t bottom = top - padding;  // four digits: at least 97 bits
  for (std::size_t i = top; i-- > bottom;)
    x.significand = x.significand << 32 | static_cast<std::uint64_t>(digits[i]);
  x.exponent = lowest + (static_cast<int>(bottom) - padding) * 32;
  x.sticky = std::any_of(digits.begin() + static_cast<std::ptrdiff_t>(std::min(first_, bottom)),
                         digits.begin() + static_cast<std::ptrdiff_t>(bottom),
                         [](std::int64_t digit) { return digit != 0; });
  return x;
}

double ExactSum::rounded(const FloatFormat& format, Rounding mode, Draw draw) const {
  if (!finite()) return round(special(), format, mode, draw);
  if (!nonzero_ && positive_zero_ != negative_zero_)
    return round(negative_zero_ ? -0.0 : 0.0, format, mode, draw);
  const Unpacked x = value();
  if (x.significand == 0) return round(mode == Rounding::rtn ? -0.0 : 0.0, format, mode, draw);
  return round_unpacked(x, format, mode, draw);
}

double ExactSum::rounded_by_engine(const FloatFormat& format, Rounding mode, Draw draw) const {
  if (!finite()) return round(special(), format, mode, draw);
  const Unpacked x = value();
  if (x.significand == 0) return round(0.0, format, mode, draw);
  if (x.negative && format.is_unsigned) return nan_value;
  return exceeds_xmax(x, format, mode, draw) ? overflowed(x.negative, format)
                                             : round_unpacked(x, format, mode, draw);
}

ExactSum aligned_sum(const MacSpec& mac, int fraction_bits, std::span<const double> a,
                     std::span<const double> b, double c, std::optional<int> least_exponent) {
  expects(a.size() == b.size(), "aligned_sum: a.size() == b.size()");
  int largest = least_exponent.value_or(std::numeric_limits<int>::min());
  const FloatFormat* operands = mac.float_operands();
  ExactSum sum;
  if (is_special(c))
    sum.add(c);
  else
    largest = std::max(largest, exponent_in(&mac.format, c));
  for (std::size_t k = 0; k < a.size(); ++k) {
    if (is_special(a[k]) || is_special(b[k]))
      sum.add_product(a[k], b[k]);
    else
      largest = std::max(largest, exponent_in(operands, a[k]) + exponent_in(operands, b[k]));
  }
  const auto add_truncated = [&](Unpacked x) {
    truncate(x, largest - fraction_bits);
    if (x.significand != 0) sum.add(x);
  };
  if (!is_special(c)) add_truncated(unpack(c));
  for (std::size_t k = 0; k < a.size(); ++k)
    if (!is_special(a[k]) && !is_special(b[k])) add_truncated(product(a[k], b[k]));
  return sum;
}

}  // namespace lamp
