#include "core/mpfr/real.hpp"

#include <algorithm>
#include <boost/multiprecision/gmp.hpp>
#include <cctype>
#include <optional>

#include "core/mpfr/rounding.hpp"

namespace lamp::mpfr {
namespace {

/// The exponent after the p, decimal with an optional sign; an exponent far beyond the legal ones
/// stays far beyond.
std::optional<long> read_exponent(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty()) return std::nullopt;
  constexpr long far = 8 * Real::largest_exponent;
  long exponent = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    exponent = std::min(far, exponent * 10 + (c - '0'));
  }
  return negative ? -exponent : exponent;
}

/// Hexadecimal digits with at most one point among them.
bool are_digits(std::string_view text) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return std::count(text.begin(), text.end(), '.') <= 1 &&
         std::any_of(text.begin(), text.end(), is_digit) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return c == '.' || is_digit(c); });
}

/// The text, or the beginning of a long one, in quotes.
std::string quoted(std::string_view text) {
  constexpr std::size_t most = 60;
  std::string out = "\"";
  for (const char c : text.substr(0, most))
    out += std::isprint(static_cast<unsigned char>(c)) != 0 ? c : '?';
  return out + (text.size() > most ? "...\"" : "\"");
}

template <class Operation, class... Operands>
Real rounded(Operation* operation, const FloatFormat& format, Rounding mode, Draw draw,
             const Operands&... x) {
  const ExponentRange range = ExponentRange::wide();
  Number r(std::max<mpfr_prec_t>(working_precision, format.p + odd_bits)), out(format.p);
  apply_to_odd(r, operation, mode, x...);
  to_format(out, r, format, mode, draw);
  return Real(out);
}

}  // namespace

Real::Real(double x) : value_(53) {
  const ExponentRange range = ExponentRange::wide();
  mpfr_set_d(value_.get(), x, MPFR_RNDN);
}

Real::Real(const Number& x) : value_(std::max<mpfr_prec_t>(mpfr_min_prec(x.get()), MPFR_PREC_MIN)) {
  const ExponentRange range = ExponentRange::wide();
  mpfr_set(value_.get(), x.get(), MPFR_RNDN);
}

Real::Real(const Real& other) : Real(other.value_) {}

Real& Real::operator=(const Real& other) {
  if (this == &other) return *this;
  const ExponentRange range = ExponentRange::wide();
  mpfr_set_prec(value_.get(), mpfr_get_prec(other.get()));
  mpfr_set(value_.get(), other.get(), MPFR_RNDN);
  return *this;
}

bool operator==(const Real& x, const Real& y) {
  if (x.is_nan() || y.is_nan()) return x.is_nan() && y.is_nan();
  return mpfr_equal_p(x.get(), y.get()) != 0 && x.is_negative() == y.is_negative();
}

double Real::to_double() const {
  const ExponentRange range = ExponentRange::wide();
  return to_format(value_, binary64, Rounding::rne);
}

Result<Real> Real::parse(std::string_view text) {
  const auto refuse = [text](std::string_view why) {
    return Error{ExitCode::bad_data,
                 quoted(text).append(why).append(
                     "; legal: C hex floats such as \"0x1.8p+1\", \"nan\", \"inf\", \"-inf\"")};
  };
  const ExponentRange range = ExponentRange::wide();
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::string_view rest = lower;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  Number special(1);
  if (rest == "nan") return Real(special);  // as initialised
  if (rest == "inf" || rest == "infinity")
    return mpfr_set_inf(special.get(), negative ? -1 : 1), Real(special);

  if (!rest.starts_with("0x")) return refuse(" is no number");
  rest.remove_prefix(2);
  const std::size_t p = std::min(rest.find('p'), rest.size());
  const std::string digits(rest.substr(0, p));
  const std::optional<long> exponent = p == rest.size() ? 0 : read_exponent(rest.substr(p + 1));
  if (!are_digits(digits) || !exponent) return refuse(" is no number");
  if (*exponent > largest_exponent || *exponent < -largest_exponent)
    return refuse(" has an exponent beyond +-" + std::to_string(largest_exponent));
  Number x(static_cast<mpfr_prec_t>(4 * digits.size()));  // every digit
  mpfr_set_str(x.get(), digits.c_str(), 16, MPFR_RNDN);
  mpfr_mul_2si(x.get(), x.get(), *exponent, MPFR_RNDN);
  if (negative) mpfr_neg(x.get(), x.get(), MPFR_RNDN);
  return Real(x);
}

std::string Real::hex() const {
  if (is_nan()) return "nan";
  const std::string sign = is_negative() ? "-" : "";
  if (mpfr_inf_p(get()) != 0) return sign + "inf";
  if (mpfr_zero_p(get()) != 0) return sign + "0x0p+0";
  boost::multiprecision::mpz_int integer;
  mpfr_get_z_2exp(integer.backend().data(), get());
  integer = abs(integer);
  // The leading bit alone before the point, the others after it in digits of four.
  integer >>= lsb(integer);
  integer <<= (4 - msb(integer) % 4) % 4;
  const std::string digits = integer.str(0, std::ios_base::hex);
  const long exponent = mpfr_get_exp(get()) - 1;
  return sign + "0x1" + (digits.size() > 1 ? "." : "") + digits.substr(1) + "p" +
         (exponent < 0 ? "" : "+") + std::to_string(exponent);
}

Result<void> check_format(const FloatFormat& f) {
  const auto outside = [](std::string_view field, long low, long high, long got) {
    return Error{ExitCode::bad_data, std::string(field) + " must be an integer in " +
                                         std::to_string(low) + ".." + std::to_string(high) +
                                         ", got " + std::to_string(got)};
  };
  const auto bad = [](const char* what) { return Error{ExitCode::bad_data, what}; };
  if (f.p < 1 || f.p > largest_precision) return outside("p", 1, largest_precision, f.p);
  if (f.emax < -largest_format_exponent || f.emax > largest_format_exponent)
    return outside("emax", -largest_format_exponent, largest_format_exponent, f.emax);
  if (f.emin < -largest_format_exponent || f.emin > f.emax)
    return outside("emin", -largest_format_exponent, f.emax, f.emin);
  const long most_lost = (1L << (std::min(f.p, 31) - 1)) - 1;
  if (f.top_codes_lost < 0 || f.top_codes_lost > most_lost)
    return outside("top_codes_lost", 0, most_lost, f.top_codes_lost);
  if (f.overflow == Overflow::infinity && !f.infinities)
    return bad("overflow must be \"max\" or \"nan\" in a format without infinities");
  if (f.overflow == Overflow::nan && !f.nan)
    return bad("overflow must be \"inf\" or \"max\" in a format without NaN");
  if (!f.zero && (f.subnormals || f.signed_zero))
    return bad("zero=false needs subnormals=false and signed_zero=false");
  return {};
}

Real round(const Real& x, const FloatFormat& format, Rounding mode, Draw draw) {
  const ExponentRange range = ExponentRange::wide();
  Number exact(mpfr_get_prec(x.get())), out(format.p);
  mpfr_set(exact.get(), x.get(), MPFR_RNDN);
  to_format(out, exact, format, mode, draw);
  return Real(out);
}

Real add(const Real& a, const Real& b, const FloatFormat& f, Rounding mode, Draw draw) {
  return rounded(mpfr_add, f, mode, draw, a, b);
}
Real sub(const Real& a, const Real& b, const FloatFormat& f, Rounding mode, Draw draw) {
  return rounded(mpfr_sub, f, mode, draw, a, b);
}
Real mul(const Real& a, const Real& b, const FloatFormat& f, Rounding mode, Draw draw) {
  return rounded(mpfr_mul, f, mode, draw, a, b);
}
Real div(const Real& a, const Real& b, const FloatFormat& f, Rounding mode, Draw draw) {
  return rounded(mpfr_div, f, mode, draw, a, b);
}
Real fma(const Real& a, const Real& b, const Real& c, const FloatFormat& f, Rounding mode,
         Draw draw) {
  return rounded(mpfr_fma, f, mode, draw, a, b, c);
}
Real sqrt(const Real& a, const FloatFormat& f, Rounding mode, Draw draw) {
  return rounded(mpfr_sqrt, f, mode, draw, a);
}

}  // namespace lamp::mpfr
