// exp, tanh and erf at every binary32 number, to nearest. The oracle is another evaluation, of 64
// significand bits (long double): tables that MPFR fills at multiples of 1/32, from there an
// addition theorem or Taylor's series, with a bound of its error. Where all numbers within the
// bound round to one binary32 number, that is the answer; elsewhere MPFR decides.
#include <mpfr.h>

#include <algorithm>
#include <array>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "core/fp/elementary.hpp"
#include "core/mpfr/functions.hpp"
#include "core/mpfr/number.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random.hpp"

namespace {

using lamp::Function;
using lamp::mpfr::Number;
using lamp::test::same_bits;
using Long = long double;

static_assert(std::numeric_limits<Long>::digits >= 64);

constexpr double steps = 32.0;  // entries of the tables for each unit of x

/// Relative error of the oracle. Tables: 2^-64. exp and erf: a sum of the table's value and of a
/// series smaller than 1/60 of it (erf near 0: the series alone, whose first term is the product of
/// x and of the table's 2/sqrt(pi)), one rounding each; tanh: a quotient, with a numerator that
/// cancels at most two thirds. Below 2^-60 in all; a factor of four more costs nothing.
constexpr Long bound = 0x1p-58L;

/// y = f(n/32), for n in [low, high], by MPFR.
std::vector<Long> table_of(int (*f)(mpfr_ptr, mpfr_srcptr, mpfr_rnd_t), int low, int high) {
  std::vector<Long> table;
  for (int n = low; n <= high; ++n) {
    const Number x = Number::exactly(n / steps);
    Number y(200);
    f(y.get(), x.get(), MPFR_RNDN);
    table.push_back(mpfr_get_ld(y.get(), MPFR_RNDN));
  }
  return table;
}

/// x = n/32 + rest, exactly; abs(rest) <= 1/64.
struct Split {
  int n;
  Long rest;
};

Split split(double x) {
  const double n = std::nearbyint(x * steps);
  return {static_cast<int>(n), static_cast<Long>(x) - static_cast<Long>(n / steps)};
}

/// exp(c + s) = exp(c) (1 + s + s^2/2 + .. + s^9/9!), -104 <= c + s <= 89; the next term is below
/// 2^-81.
Long oracle_exp(double x) {
  static const std::vector<Long> table = table_of(mpfr_exp, -104 * 32, 89 * 32);
  const auto [n, s] = split(x);
  Long series = 0;
  for (int k = 9; k >= 1; --k) series = s / static_cast<Long>(k) * (1 + series);
  const Long y = table[static_cast<std::size_t>(n + 104 * 32)];
  return y + y * series;
}

/// tanh(c + s) = (tanh c + tanh s)/(1 + tanh c tanh s), 0 <= c + s <= 10; the next term of tanh s
/// is 2^-76 s at most.
Long oracle_tanh(double x) {
  static const std::vector<Long> table = table_of(mpfr_tanh, 0, 10 * 32);
  static constexpr std::array<Long, 6> numerators{1, -1, 2, -17, 62, -1382},
      denominators{1, 3, 15, 315, 2835, 155925};
  const auto [n, s] = split(x);
  Long series = 0;
  for (std::size_t k = numerators.size(); k-- > 0;)
    series = series * (s * s) + numerators[k] / denominators[k];
  const Long t = s * series, y = table[static_cast<std::size_t>(n)];
  return (y + t) / (1 + y * t);
}

/// Taylor's series of erf at c: f'' = -2 x f' gives (k + 2)(k + 1) a(k+2) = -2 (c (k + 1) a(k+1) +
/// k a(k)); the first term left out is below 2^-76 of erf.
constexpr int erf_terms = 13;
using ErfRow = std::array<Long, erf_terms>;

ErfRow erf_row(int n) {
  const Number c = Number::exactly(n / steps);
  std::deque<Number> a;  // a Number stays where it is
  for (int k = 0; k < erf_terms; ++k) a.emplace_back(200);
  Number t(200);
  mpfr_erf(a[0].get(), c.get(), MPFR_RNDN);
  mpfr_sqr(a[1].get(), c.get(), MPFR_RNDN);  // 2/sqrt(pi) exp(-c^2)
  mpfr_neg(a[1].get(), a[1].get(), MPFR_RNDN);
  mpfr_exp(a[1].get(), a[1].get(), MPFR_RNDN);
  mpfr_const_pi(t.get(), MPFR_RNDN);
  mpfr_rec_sqrt(t.get(), t.get(), MPFR_RNDN);
  mpfr_mul_ui(t.get(), t.get(), 2, MPFR_RNDN);
  mpfr_mul(a[1].get(), a[1].get(), t.get(), MPFR_RNDN);
  for (unsigned k = 0; k + 2 < erf_terms; ++k) {
    mpfr_mul_ui(t.get(), a[k].get(), k, MPFR_RNDN);
    mpfr_mul(a[k + 2].get(), a[k + 1].get(), c.get(), MPFR_RNDN);
    mpfr_mul_ui(a[k + 2].get(), a[k + 2].get(), k + 1, MPFR_RNDN);
    mpfr_add(a[k + 2].get(), a[k + 2].get(), t.get(), MPFR_RNDN);
    mpfr_mul_si(a[k + 2].get(), a[k + 2].get(), -2, MPFR_RNDN);
    mpfr_div_ui(a[k + 2].get(), a[k + 2].get(), (k + 2) * (k + 1), MPFR_RNDN);
  }
  ErfRow row{};
  for (std::size_t k = 0; k < row.size(); ++k) row[k] = mpfr_get_ld(a[k].get(), MPFR_RNDN);
  return row;
}

Long oracle_erf(double x) {  // 0 <= x <= 4
  static const std::vector<ErfRow> table = [] {
    std::vector<ErfRow> rows;
    for (int n = 0; n <= 4 * 32; ++n) rows.push_back(erf_row(n));
    return rows;
  }();
  const auto [n, s] = split(x);
  const ErfRow& a = table[static_cast<std::size_t>(n)];
  Long series = a.back();
  for (std::size_t k = a.size() - 1; k-- > 1;) series = series * s + a[k];
  return a[0] + s * series;
}

/// One function: where its results to nearest are known without the oracle, and the oracle for the
/// rest.
struct Case {
  Function f;
  Long (*oracle)(double);  // of abs(x), for the odd ones
  bool odd;
  double low, high;                           // the oracle's domain, in abs(x) for the odd ones
  double (*below)(double), (*above)(double);  // the results outside of it
  double nothing;                             // abs(x) up to it is beside the result at 0
  double (*near_zero)(double);
};

double zero(double) { return 0.0; }
double one(double) { return 1.0; }
double itself(double x) { return x; }
double overflown(double) { return std::numeric_limits<double>::infinity(); }

// exp: 2^-149 at -103.3, half of it at -103.98; above 88.73 infinity; 1 + 2^-26 rounds to 1. tanh:
// 1 - 2^-25 at 9.02; x - x^3/3 is nearer to x than to its neighbour, 2^-25 x away at least, for x
// <= 2^-12. erf: 1 - 2^-25 at 3.84.
const std::array cases{
    Case{Function::exp, oracle_exp, false, -104.0, 89.0, zero, overflown, 0x1p-26, one},
    Case{Function::tanh, oracle_tanh, true, 0.0, 10.0, zero, one, 0x1p-12, itself},
    Case{Function::erf, oracle_erf, true, 0.0, 4.0, zero, one, 0.0, itself},
};

struct Answer {
  double y;
  bool in_doubt;  // MPFR gave it
};

/// f(x) rounded to nearest binary32. Pre: x is a binary32 number, not NaN.
Answer nearest(const Case& c, double x, Long error = bound) {
  const double a = c.odd ? std::abs(x) : x;
  const auto signed_like = [&](double y) { return c.odd ? std::copysign(y, x) : y; };
  if (std::abs(x) <= c.nothing) return {signed_like(c.near_zero(a)), false};
  if (a > c.high) return {signed_like(c.above(a)), false};
  if (a < c.low) return {signed_like(c.below(a)), false};
  const Long y = c.oracle(a);
  const auto low = static_cast<float>(y - y * error), high = static_cast<float>(y + y * error);
  if (low == high) return {signed_like(static_cast<double>(low)), false};
  return {lamp::mpfr::evaluate(c.f, x, lamp::binary32), true};
}

struct Outcome {
  std::uint64_t compared = 0, wrong = 0, in_doubt = 0;
  float first_wrong = 0.0F;
};

/// Codes first, first + stride, .. below end; `library` fills y with f of x.
template <class Library>
Outcome compare(const Case& c, const Library& library, std::uint64_t first, std::uint64_t end,
                std::uint64_t stride) {
  Outcome outcome;
  std::array<double, 1024> x{}, y{};
  for (std::uint64_t code = first; code < end;) {
    std::size_t n = 0;
    for (; n < x.size() && code < end; code += stride) {
      const auto number = std::bit_cast<float>(static_cast<std::uint32_t>(code));
      if (std::isnan(number) && code % 4096 != 0)
        continue;  // NaN take the slow path and are all alike: some of them
      x[n++] = static_cast<double>(number);
    }
    library(std::span<const double>(x).first(n), std::span(y).first(n));
    for (std::size_t i = 0; i < n; ++i) {
      const Answer answer = std::isnan(x[i]) ? Answer{x[i], false} : nearest(c, x[i]);
      if (!same_bits(answer.y, y[i]) && outcome.wrong++ == 0)
        outcome.first_wrong = static_cast<float>(x[i]);
      outcome.in_doubt += answer.in_doubt ? 1 : 0;
    }
    outcome.compared += n;
  }
  return outcome;
}

auto library_of(const Case& c) {
  return [f = c.f](std::span<const double> x, std::span<double> y) {
    lamp::evaluate(f, x, y, lamp::binary32);
  };
}

constexpr std::uint64_t all_codes = std::uint64_t{1} << 32;

/// Every binary32 number, in as many parts as the machine has processors.
void check_all(const Case& c) {
  const std::uint64_t parts = std::max(1U, std::thread::hardware_concurrency());
  std::vector<Outcome> outcomes(parts);
  std::vector<std::thread> threads;
  for (std::uint64_t part = 0; part < parts;
       ++part)  // interleaved, for the work is not spread evenly
    threads.emplace_back(
        [&, part] { outcomes[part] = compare(c, library_of(c), part, all_codes, parts); });
  for (std::thread& thread : threads) thread.join();
  for (const Outcome& outcome : outcomes) {
    INFO("first at " << outcome.first_wrong << ", MPFR asked " << outcome.in_doubt << " times in "
                     << outcome.compared);
    CHECK(outcome.wrong == 0);
    CHECK(outcome.compared >= (all_codes - (std::uint64_t{1} << 24)) / parts);
    CHECK(outcome.in_doubt < 1000);
  }
}

TEST_CASE("binary32: exp at every number", "[fp][elementary][exhaustive]") { check_all(cases[0]); }
TEST_CASE("binary32: tanh at every number", "[fp][elementary][exhaustive]") { check_all(cases[1]); }
TEST_CASE("binary32: erf at every number", "[fp][elementary][exhaustive]") { check_all(cases[2]); }

TEST_CASE("binary32: exp, tanh and erf at every 5003rd number", "[fp][elementary][oracle]") {
  for (const Case& c : cases) {
    const Outcome outcome = compare(c, library_of(c), 0, all_codes, 5003);
    INFO("function " << lamp::name_in(lamp::functions, c.f) << ", first at "
                     << outcome.first_wrong);
    CHECK(outcome.wrong == 0);
    CHECK(outcome.compared > 850000);
    CHECK(outcome.in_doubt < 10);
  }
}

/// abs(y/f(x) - 1).
double relative_error(const Case& c, double x, Long y) {
  Number exact(200), computed(64);
  const Number argument = Number::exactly(x);
  (c.f == Function::exp    ? mpfr_exp
   : c.f == Function::tanh ? mpfr_tanh
                           : mpfr_erf)(exact.get(), argument.get(), MPFR_RNDN);
  mpfr_set_ld(computed.get(), y, MPFR_RNDN);
  Number quotient(200);
  mpfr_div(quotient.get(), computed.get(), exact.get(), MPFR_RNDN);
  mpfr_sub_ui(quotient.get(), quotient.get(), 1, MPFR_RNDN);
  return std::abs(mpfr_get_d(quotient.get(), MPFR_RNDN));
}

TEST_CASE("binary32: the oracle is within a quarter of its bound", "[fp][elementary][oracle]") {
  lamp::test::Random random(31);
  for (const Case& c : cases) {
    double worst = 0.0;
    for (int i = 0; i < 20000; ++i) {
      double x = c.low + (c.high - c.low) * random.uniform();
      if (i % 4 == 1) x = std::clamp(std::abs(random.with_exponent(-20, 1, 24)), c.low, c.high);
      if (i % 4 == 2)
        x = std::clamp((random.between(-110, 110) + 0.5) / steps, c.low,
                       c.high);  // farthest from the table's points
      if (x != 0.0) worst = std::max(worst, relative_error(c, x, c.oracle(x)));
    }
    INFO("function " << lamp::name_in(lamp::functions, c.f) << ": " << std::log2(worst));
    CHECK(worst <= static_cast<double>(bound / 4));
    CHECK(relative_error(c, 1.25, c.oracle(1.25) * (1 + bound)) >
          static_cast<double>(bound / 4));  // the measure sees a bound
  }
}

TEST_CASE("binary32: what the filter knows without the oracle is so", "[fp][elementary][oracle]") {
  constexpr float top = std::numeric_limits<float>::infinity();
  for (const Case& c : cases)
    for (const double edge : {c.low, c.high, c.nothing, 0.0}) {
      float x = static_cast<float>(edge);
      for (int k = 0; k < 50; ++k) x = std::nextafter(x, -top);
      for (int k = 0; k < 101; ++k, x = std::nextafter(x, top)) {
        const auto number = static_cast<double>(x);
        CHECK(same_bits(nearest(c, number).y, lamp::mpfr::evaluate(c.f, number, lamp::binary32)));
        CHECK(same_bits(nearest(c, -number).y, lamp::mpfr::evaluate(c.f, -number, lamp::binary32)));
      }
    }
}

TEST_CASE("binary32: a relative slip of 2^-30 in the library is seen",
          "[fp][elementary][negative]") {
  for (const Case& c : cases) {
    const auto slipping = [&](std::span<const double> x, std::span<double> y) {
      lamp::evaluate(c.f, x, y, lamp::binary64);
      for (double& value : y)
        value = static_cast<double>(static_cast<float>(value * (1.0 + 0x1p-30)));
    };
    CHECK(compare(c, slipping, 0, all_codes, 50021).wrong > 10);
    CHECK(nearest(c, 0.75, 0x1p-20L).in_doubt);  // a wide bound asks MPFR
  }
}

}  // namespace
