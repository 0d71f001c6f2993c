// Block formats a second time: the sentences of method.md on exact numbers of GMP and MPFR.
#include "core/fp/block_format.hpp"

#include <cmath>
#include <optional>

#include "core/mpfr/rounding.hpp"

namespace lamp::mpfr {
namespace {

/// Wide enough for the product of any two of element, scale and t (check_block_format).
constexpr mpfr_prec_t exact_bits = 64;

Number number(double x) { return Number::exactly(x); }

Number product(const Number& x, const Number& y) {
  Number z(exact_bits);
  const int inexact = mpfr_mul(z.get(), x.get(), y.get(), MPFR_RNDN);
  expects(inexact == 0, "mpfr block format: exact products");
  return z;
}

/// (2^p - 1 - lost) 2^(emax - p + 1)
Number largest_of(const FloatFormat& format) {
  Number x(exact_bits);
  mpfr_set_ui_2exp(x.get(), 1, format.p, MPFR_RNDN);
  mpfr_sub_ui(x.get(), x.get(), 1 + static_cast<unsigned long>(format.top_codes_lost), MPFR_RNDN);
  mpfr_mul_2si(x.get(), x.get(), long{format.emax} - format.p + 1, MPFR_RNDN);
  return x;
}

/// The exact x / y in the format, RNE; what is beyond its largest number becomes it.
Number quotient(const Number& x, const Number& y, const FloatFormat& format) {
  Number q(working_precision), z(exact_bits);
  apply_to_odd(q, mpfr_div, Rounding::rne, x, y);
  const Number largest = largest_of(format);
  if (mpfr_cmpabs(q.get(), largest.get()) > 0)  // false for NaN
    mpfr_setsign(q.get(), largest.get(), mpfr_signbit(q.get()), MPFR_RNDN);
  to_format(z, q, format, Rounding::rne, {});
  return z;
}

Number power_of_two(long exponent) {
  Number x(exact_bits);
  mpfr_set_ui_2exp(x.get(), 1, exponent, MPFR_RNDN);
  return x;
}

/// The largest magnitude among the finite numbers.
Number largest_in(std::span<const double> x) {
  Number largest(53);
  mpfr_set_zero(largest.get(), 1);
  for (const double value : x)
    if (std::isfinite(value) && mpfr_cmpabs(number(value).get(), largest.get()) > 0)
      mpfr_set_d(largest.get(), std::abs(value), MPFR_RNDN);
  return largest;
}

Number scale_of(const BlockFormat& format, const Number& largest, const Number& t) {
  const FloatFormat& to = format.scale;
  const bool zeros = mpfr_zero_p(largest.get()) != 0;
  if (to.p == 1) {
    const long exponent = zeros ? -127 : mpfr_get_exp(largest.get()) - 1 - format.element.emax;
    if (exponent < to.emin) return power_of_two(to.emin);
    return power_of_two(exponent > to.emax ? to.emax : exponent);
  }
  if (!zeros) {
    Number scale = quotient(largest, product(largest_of(format.element), t), to);
    if (mpfr_zero_p(scale.get()) == 0) return scale;
  }
  return power_of_two(to.subnormals ? long{to.emin} - to.p + 1 : to.emin);
}

Number tensor_scale_of(const BlockFormat& format, double tensor) {
  if (!format.tensor_scale.automatic) return number(format.tensor_scale.number);
  Number t = quotient(number(tensor), product(largest_of(format.element), largest_of(format.scale)),
                      binary32);
  return mpfr_zero_p(t.get()) != 0 ? number(1.0) : std::move(t);
}

}  // namespace

void round_row(const BlockFormat& format, std::span<const double> x, std::span<double> y,
               double tensor) {
  const ExponentRange range = ExponentRange::wide();
  const Number t = tensor_scale_of(format, tensor);
  for (std::size_t first = 0; first < x.size(); first += format.size) {
    const std::size_t end = first + std::min(format.size, x.size() - first);
    const Number scale = scale_of(format, largest_in(x.subspan(first, end - first)), t);
    const Number unit = product(scale, t);
    for (std::size_t k = first; k < end; ++k) {
      const Number element = quotient(number(x[k]), unit, format.element);
      y[k] = mpfr_get_d(product(element, unit).get(), MPFR_RNDN);
    }
  }
}

}  // namespace lamp::mpfr
