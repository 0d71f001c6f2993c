#include "core/mpfr/exact_sums.hpp"

#include <algorithm>
#include <boost/multiprecision/gmp.hpp>
#include <cmath>
#include <deque>
#include <limits>
#include <vector>

#include "core/mpfr/operations.hpp"
#include "core/mpfr/rounding.hpp"

namespace lamp::mpfr {
namespace {

using Integer = boost::multiprecision::mpz_int;

/// Exact products of the operands.
std::deque<Number> products(std::span<const double> x, std::span<const double> y) {
  std::deque<Number> list;
  for (std::size_t k = 0; k < x.size(); ++k) {
    const Number a = Number::exactly(x[k]), b = Number::exactly(y[k]);
    mpfr_mul(list.emplace_back(106).get(), a.get(), b.get(), MPFR_RNDN);
  }
  return list;
}

/// floor(log2 |x|) of a finite nonzero x, at least emin of a format.
long exponent(double x, const FloatFormat* format) {
  int e = 0;
  std::frexp(x, &e);
  return std::max<long>(e - 1, format != nullptr ? format->emin : std::numeric_limits<int>::min());
}

/// sum += x 2^scale, truncated toward zero to an integer.
void add_truncated(Integer& sum, const Number& x, long scale) {
  Integer term;
  const long shift = mpfr_get_z_2exp(term.backend().data(), x.get()) + scale;
  const bool negative = term < 0;
  Integer magnitude = abs(term);
  if (shift >= 0)
    magnitude <<= shift;
  else
    magnitude >>= -shift;
  negative ? sum -= magnitude : sum += magnitude;
}

/// What rounding toward zero or to odd would keep at xmax is an overflow where the rounded
/// magnitude, its exponent unbounded, is above.
bool engine_overflows(const Number& x, const FloatFormat& format, Rounding mode) {
  Number bound(working_precision), distance(working_precision);
  mpfr_set_d(bound.get(), xmax(format), MPFR_RNDN);
  mpfr_set_si_2exp(distance.get(), 1, format.emax - format.p + 1, MPFR_RNDN);
  mpfr_add(distance.get(), bound.get(), distance.get(), MPFR_RNDN);  // the number after xmax
  if (mpfr_cmpabs(x.get(), distance.get()) >= 0) return true;
  const bool xmax_is_even = format.top_codes_lost % 2 != 0;
  return mode == Rounding::rto && xmax_is_even && mpfr_cmpabs(x.get(), bound.get()) > 0;
}

double round_as_engine(const Integer& sum, long scale, const FloatFormat& format, Rounding mode,
                       Draw draw) {
  if (sum == 0) return mpfr::round(0.0, format, mode, draw);
  Number x(static_cast<mpfr_prec_t>(msb(abs(sum)) + 1) + working_precision);
  mpfr_set_z_2exp(x.get(), sum.backend().data(), scale, MPFR_RNDN);
  const bool negative = sum < 0;
  if (!(negative && format.is_unsigned) &&
      engine_overflows(x, format, mode)) {  // RNE's overflow is the format's own
    mpfr_set_si_2exp(x.get(), negative ? -1 : 1, 3000, MPFR_RNDN);
    return to_format(x, format, Rounding::rne);
  }
  return to_format(x, format, mode, draw);
}

/// The sum of what is zero, infinite or NaN decides where one of it is infinite or NaN.
std::optional<double> special_sum(const std::deque<Number>& products, double c) {
  double sum = std::isfinite(c) ? 0.0 : c;
  for (const Number& p : products)
    if (mpfr_number_p(p.get()) == 0) sum += mpfr_get_d(p.get(), MPFR_RNDN);
  return sum == 0.0 ? std::nullopt : std::optional(sum);
}

}  // namespace

double exact_dot(const MacSpec& mac, std::span<const double> x, std::span<const double> y, double c,
                 Draw draw) {
  const ExponentRange range = ExponentRange::wide();
  std::deque<Number> terms = products(x, y);
  mpfr_set_d(terms.emplace_back(53).get(), c, MPFR_RNDN);
  std::vector<mpfr_ptr> pointers;
  for (Number& term : terms) pointers.push_back(term.get());
  Number r(working_precision);
  round_to_odd(r, mpfr_sum(r.get(), pointers.data(), pointers.size(), MPFR_RNDZ));
  if (!mac.via && mac.rounding == Rounding::rtn &&
      mpfr_zero_p(r.get()) != 0)  // the sign of an exact zero
    mpfr_sum(r.get(), pointers.data(), pointers.size(), MPFR_RNDD);
  if (!mac.via) return to_format(r, mac.format, mac.rounding, draw);
  return mpfr::round(to_format(r, *mac.via, Rounding::rne), mac.format, mac.rounding, draw);
}

double multiterm_step(const MacSpec& mac, int fraction_bits, std::span<const double> x,
                      std::span<const double> y, double c, Draw draw,
                      std::optional<int> least_exponent) {
  const ExponentRange range = ExponentRange::wide();
  const std::deque<Number> terms = products(x, y);
  if (const std::optional<double> sum = special_sum(terms, c))
    return mpfr::round(*sum, mac.format, mac.rounding, draw);
  long largest = std::numeric_limits<int>::min();
  if (c != 0.0) largest = exponent(c, &mac.format);
  for (std::size_t k = 0; k < terms.size(); ++k) {
    if (mpfr_zero_p(terms[k].get()) != 0) continue;
    largest = std::max(largest,
                       exponent(x[k], mac.float_operands()) + exponent(y[k], mac.float_operands()));
  }
  if (least_exponent && largest < *least_exponent) largest = *least_exponent;
  Integer sum;
  const long scale = largest - fraction_bits;
  if (c != 0.0) add_truncated(sum, Number::exactly(c), -scale);
  for (const Number& term : terms)
    if (mpfr_zero_p(term.get()) == 0) add_truncated(sum, term, -scale);
  return round_as_engine(sum, scale, mac.format, mac.rounding, draw);
}

double engine_dot(const MacSpec& mac, const EngineStep& step, std::span<const double> x,
                  std::span<const double> y, double c) {
  const MacSpec pass{.operands = mac.operands, .format = step.output, .rounding = step.rounding};
  using Values = std::vector<double>;
  const auto run = [&](const Values& left, const Values& right, double from) {
    return multiterm_step(pass, step.fraction_bits, left, right, from, {}, step.least_exponent);
  };
  double sum = mpfr::round(c, mac.format, Rounding::rne);
  while (!x.empty()) {
    const std::size_t count = std::min(step.products, x.size());
    const Values left(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(count));
    const Values right(y.begin(), y.begin() + static_cast<std::ptrdiff_t>(count));
    x = x.subspan(count), y = y.subspan(count);
    if (step.protocol == EngineProtocol::fused) {
      sum = run(left, right, sum);
    } else if (step.protocol == EngineProtocol::separate) {
      sum = mpfr::add(run(left, right, 0.0), sum, mac.format, Rounding::rne);
    } else {
      Values lefts[2], rights[2];  // of the pairs with even and with odd number
      for (std::size_t k = 0; k < count; ++k)
        lefts[k >> 1 & 1].push_back(left[k]), rights[k >> 1 & 1].push_back(right[k]);
      const double half = run(lefts[0], rights[0], 0.0);
      sum = mpfr::add(run(lefts[1], rights[1], half), sum, mac.format, Rounding::rne);
    }
  }
  return sum;
}

}  // namespace lamp::mpfr
