// The binary64 functions against MPFR at 200 bits: errors in ulps, special values, and one result
// for every vector target.
#include "core/fp/binary64.hpp"

#include <hwy/targets.h>
#include <mpfr.h>

#include <array>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "core/mpfr/number.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random.hpp"

namespace {

namespace functions = lamp::binary64_functions;
using lamp::mpfr::Number;
using lamp::test::Random;
using lamp::test::same_bits;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr mpfr_prec_t precision = 200;

// The oracles: y = f(x), relative error below 2^-100. The terms of GELU's argument have one sign;
// expm1(x) - x loses at most 62 bits for abs(x) >= 2^-61, and is x^2/2 (1 + x/3) (1 + d), d <
// 2^-120, below.

void exact_exp(mpfr_ptr y, mpfr_srcptr x) { mpfr_exp(y, x, MPFR_RNDN); }
void exact_expm1(mpfr_ptr y, mpfr_srcptr x) { mpfr_expm1(y, x, MPFR_RNDN); }
void exact_log(mpfr_ptr y, mpfr_srcptr x) { mpfr_log(y, x, MPFR_RNDN); }
void exact_exp2(mpfr_ptr y, mpfr_srcptr x) { mpfr_exp2(y, x, MPFR_RNDN); }
void exact_tanh(mpfr_ptr y, mpfr_srcptr x) { mpfr_tanh(y, x, MPFR_RNDN); }
void exact_erf(mpfr_ptr y, mpfr_srcptr x) { mpfr_erf(y, x, MPFR_RNDN); }
void exact_rsqrt(mpfr_ptr y, mpfr_srcptr x) { mpfr_rec_sqrt(y, x, MPFR_RNDN); }
void exact_reciprocal(mpfr_ptr y, mpfr_srcptr x) { mpfr_ui_div(y, 1, x, MPFR_RNDN); }

void exact_expm1_minus_x(mpfr_ptr y, mpfr_srcptr x) {
  if (mpfr_get_exp(x) < -60) {
    Number factor(precision);
    mpfr_div_ui(factor.get(), x, 3, MPFR_RNDN);
    mpfr_add_ui(factor.get(), factor.get(), 1, MPFR_RNDN);
    mpfr_sqr(y, x, MPFR_RNDN);
    mpfr_mul(y, y, factor.get(), MPFR_RNDN);
    mpfr_div_2ui(y, y, 1, MPFR_RNDN);
    return;
  }
  mpfr_expm1(y, x, MPFR_RNDN);
  mpfr_sub(y, y, x, MPFR_RNDN);
}

void exact_gelu_tanh(mpfr_ptr y, mpfr_srcptr x) {
  Number w(precision), scale(precision);
  mpfr_const_pi(scale.get(), MPFR_RNDN);
  mpfr_ui_div(scale.get(), 8, scale.get(), MPFR_RNDN);
  mpfr_sqrt(scale.get(), scale.get(), MPFR_RNDN);  // 2 sqrt(2/pi)
  mpfr_pow_ui(w.get(), x, 3, MPFR_RNDN);
  mpfr_mul_ui(w.get(), w.get(), 44715, MPFR_RNDN);
  mpfr_div_ui(w.get(), w.get(), 1000000, MPFR_RNDN);
  mpfr_add(w.get(), w.get(), x, MPFR_RNDN);
  mpfr_mul(w.get(), w.get(), scale.get(), MPFR_RNDN);
  mpfr_neg(w.get(), w.get(), MPFR_RNDN);
  mpfr_exp(w.get(), w.get(), MPFR_RNDN);
  mpfr_add_ui(w.get(), w.get(), 1, MPFR_RNDN);
  mpfr_div(y, x, w.get(), MPFR_RNDN);
}

void exact_gelu_erf(mpfr_ptr y, mpfr_srcptr x) {
  Number t(precision);
  mpfr_set_ui(t.get(), 2, MPFR_RNDN);
  mpfr_rec_sqrt(t.get(), t.get(), MPFR_RNDN);
  mpfr_mul(t.get(), t.get(), x, MPFR_RNDN);
  mpfr_neg(t.get(), t.get(), MPFR_RNDN);
  mpfr_erfc(t.get(), t.get(), MPFR_RNDN);
  mpfr_mul(y, t.get(), x, MPFR_RNDN);
  mpfr_div_2ui(y, y, 1, MPFR_RNDN);
}

void exact_silu(mpfr_ptr y, mpfr_srcptr x) {
  Number t(precision);
  mpfr_neg(t.get(), x, MPFR_RNDN);
  mpfr_exp(t.get(), t.get(), MPFR_RNDN);
  mpfr_add_ui(t.get(), t.get(), 1, MPFR_RNDN);
  mpfr_div(y, x, t.get(), MPFR_RNDN);
}

void exact_relu(mpfr_ptr y, mpfr_srcptr x) {
  mpfr_set_zero(y, 1);
  mpfr_max(y, y, x, MPFR_RNDN);
}

struct Interval {
  double low, high;
};

struct Case {
  const char* name;
  double (*f)(double);
  void (*on_spans)(std::span<const double>, std::span<double>);  // or null
  void (*exact)(mpfr_ptr, mpfr_srcptr);
  double ulps;  // the bound for normal results
  std::vector<Interval>
      intervals;  // looked at closely: where the method changes, where results end
};

double e1x(double x) { return functions::expm1_minus_x(x); }

std::vector<Case> cases() {
  using Scalar = double (*)(double);
  using Spans = void (*)(std::span<const double>, std::span<double>);
  const auto scalar = [](Scalar f) { return f; };
  const auto spans = [](Spans f) { return f; };
  return {
      {"exp",
       scalar(functions::exp),
       spans(functions::exp),
       exact_exp,
       0.6,
       {{-1.1, 1.1}, {-708.0, 709.7}, {-746.0, -707.0}, {709.0, 710.0}}},
      {"exp2",
       scalar(functions::exp2),
       spans(functions::exp2),
       exact_exp2,
       0.6,
       {{-1.5, 1.5}, {-1.0, 0.5}, {-1022.0, 1024.0}, {-1075.0, -1021.0}, {1023.0, 1025.0}}},
      {"expm1",
       scalar(functions::expm1),
       nullptr,
       exact_expm1,
       0.9,
       {{-1.1, 1.1}, {0.34, 0.36}, {-0.36, -0.34}, {-42.0, 42.0}, {40.0, 709.7}}},
      {"expm1_minus_x",
       e1x,
       spans(functions::expm1_minus_x),
       exact_expm1_minus_x,
       2.0,
       {{-1.1, 1.1}, {0.34, 0.36}, {-0.36, -0.34}, {34.0, 38.0}, {-62.0, 62.0}, {40.0, 709.7}}},
      {"log",
       scalar(functions::log),
       spans(functions::log),
       exact_log,
       1.0,
       {{0.7, 0.72}, {0.9, 1.0}, {1.0, 1.1}, {1.41, 1.42}, {0.3, 3.0}, {0.0, 0x1p-1022}}},
      {"tanh",
       scalar(functions::tanh),
       spans(functions::tanh),
       exact_tanh,
       0.75,
       {{-1.1, 1.1},
        {0.17, 0.18},
        {-0.18, -0.17},
        {0.5, 0.55},
        {-6.0, 6.0},
        {18.0, 22.0},
        {0x1p-28, 0x1p-26},
        {0.0, 0x1p-1022}}},
      {"erf",
       scalar(functions::erf),
       spans(functions::erf),
       exact_erf,
       0.65,
       {{-1.1, 1.1},
        {0.0625, 0.1875},
        {0.0, 0.0625},
        {-6.0, 6.0},
        {5.5, 6.0},
        {0x1p-28, 0x1p-26},
        {0.0, 0x1p-1022},
        {0x1p-1022, 0x1p-1020}}},
      {"reciprocal",
       scalar(functions::reciprocal),
       spans(functions::reciprocal),
       exact_reciprocal,
       0.5,
       {{0.25, 4.0}, {0.0, 0x1p-1022}, {0x1p1020, 0x1.fffffffffffffp+1023}, {-4.0, -0.25}}},
      {"rsqrt",
       scalar(functions::rsqrt),
       spans(functions::rsqrt),
       exact_rsqrt,
       0.51,
       {{0.25, 4.0}, {0.0, 0x1p-1022}}},
      {"gelu_tanh",
       scalar(functions::gelu_tanh),
       spans(functions::gelu_tanh),
       exact_gelu_tanh,
       0.7,
       {{-1.1, 1.1}, {-6.0, 6.0}, {-21.0, -6.0}, {-21.5, -20.5}, {6.0, 24.0}}},
      {"gelu_erf",
       scalar(functions::gelu_erf),
       spans(functions::gelu_erf),
       exact_gelu_erf,
       0.9,
       {{-1.1, 1.1}, {-6.0, 6.0}, {-37.0, -6.0}, {-39.5, -37.0}, {6.0, 40.0}}},
      {"silu",
       scalar(functions::silu),
       spans(functions::silu),
       exact_silu,
       0.6,
       {{-1.1, 1.1},
        {-6.0, 6.0},
        {-40.0, -6.0},
        {-715.0, -36.0},
        {-753.0, -714.0},
        {6.0, 40.0},
        {759.0, 761.0}}},
      {"relu",
       scalar(functions::relu),
       spans(functions::relu),
       exact_relu,
       0.0,
       {{-1.0, 1.0}, {0.0, 0x1p-1022}}},
  };
}

bool in_domain(const Case& c, double x) {
  const bool positive_only = c.exact == exact_log || c.exact == exact_rsqrt;
  return std::isfinite(x) && x != 0.0 && (!positive_only || x > 0.0);
}

/// Error of `y` as f(x) in units of the last place of f(x) in binary64 (2^-1074 below the normal
/// numbers).
double error_in_ulps(const Case& c, double x, double y) {
  const lamp::mpfr::ExponentRange wide = lamp::mpfr::ExponentRange::wide();
  const Number argument = Number::exactly(x);
  Number exact(precision), difference(precision);
  c.exact(exact.get(), argument.get());
  if (mpfr_inf_p(exact.get()) != 0) return y == mpfr_get_d(exact.get(), MPFR_RNDN) ? 0.0 : infinity;
  const mpfr_exp_t exponent =
      mpfr_zero_p(exact.get()) ? -2000 : mpfr_get_exp(exact.get()) - 1;  // 2^exponent <= abs(f(x))
  if (std::isinf(y))
    return exponent >= 1023 && mpfr_get_d(exact.get(), MPFR_RNDN) == y ? 0.0 : infinity;
  mpfr_sub_d(difference.get(), exact.get(), y, MPFR_RNDN);
  const mpfr_exp_t last_place = std::max<mpfr_exp_t>(exponent - 52, -1074);
  mpfr_mul_2si(difference.get(), difference.get(), -last_place, MPFR_RNDN);
  return std::abs(mpfr_get_d(difference.get(), MPFR_RNDN));
}

bool is_normal(double y) { return std::abs(y) >= 0x1p-1022; }

std::vector<double> arguments(const Case& c, std::uint32_t seed, int per_interval,
                              int any_exponent) {
  Random random(seed);
  std::vector<double> x;
  for (const Interval& i : c.intervals) {
    for (int k = 0; k < per_interval; ++k) x.push_back(i.low + (i.high - i.low) * random.uniform());
    for (double end : {i.low, i.high}) {
      for (int k = 0; k < 8; ++k) end = std::nextafter(end, -infinity);
      for (int k = 0; k < 17; ++k) x.push_back(end), end = std::nextafter(end, infinity);
    }
  }
  for (int k = 0; k < any_exponent; ++k) x.push_back(random.with_exponent(-1074, 1023));
  for (int k = 0; k < any_exponent; ++k)
    x.push_back(random.with_exponent(-64, 10, random.between(1, 53)));
  return x;
}

TEST_CASE("binary64 functions: errors below the stated bounds, against MPFR",
          "[fp][elementary][oracle]") {
  for (const Case& c : cases()) {
    double worst = 0.0, at = 0.0, worst_subnormal = 0.0;
    for (const double x : arguments(c, 1, 1500, 1500)) {
      if (!in_domain(c, x)) continue;
      const double y = c.f(x);
      const double error = error_in_ulps(c, x, y);
      double& largest = is_normal(y) ? worst : worst_subnormal;
      if (!(error <= largest)) {
        largest = error;
        if (is_normal(y)) at = x;
      }
    }
    INFO(c.name << ": " << worst << " ulp at " << at << ", subnormal results " << worst_subnormal);
    CHECK(worst <= c.ulps);
    CHECK(worst_subnormal <=
          1.0);  // rounded to 53 bits, then to the spacing, which is twice as wide at least
  }
}

TEST_CASE("binary64 functions: the error measure sees one ulp", "[fp][elementary][negative]") {
  for (const Case& c : cases()) {
    const double x = 1.25, y = c.f(x);
    CHECK(error_in_ulps(c, x, y) <= c.ulps);
    CHECK(error_in_ulps(c, x, std::nextafter(std::nextafter(y, infinity), infinity)) > 1.0);
    CHECK(error_in_ulps(c, x, std::nextafter(std::nextafter(y, -infinity), -infinity)) > 1.0);
    CHECK_FALSE(error_in_ulps(c, x, not_a_number) <= c.ulps);
  }
}

TEST_CASE("binary64 functions: special values", "[fp][elementary][law]") {
  const double top = std::numeric_limits<double>::max();
  struct Value {
    const char* name;
    double y, expected;
  };
  const std::vector<Value> values{
      {"exp 0", functions::exp(0.0), 1.0},
      {"exp -0", functions::exp(-0.0), 1.0},
      {"exp inf", functions::exp(infinity), infinity},
      {"exp -inf", functions::exp(-infinity), 0.0},
      {"exp max", functions::exp(top), infinity},
      {"exp -max", functions::exp(-top), 0.0},
      {"exp 2^-1074", functions::exp(0x1p-1074), 1.0},
      {"exp at the end", functions::exp(0x1.62e42fefa39efp+9), 0x1.fffffffffff2ap+1023},
      {"exp past the end", functions::exp(0x1.62e42fefa39f0p+9), infinity},
      {"expm1 0", functions::expm1(0.0), 0.0},
      {"expm1 -0", functions::expm1(-0.0), -0.0},
      {"expm1 inf", functions::expm1(infinity), infinity},
      {"expm1 -inf", functions::expm1(-infinity), -1.0},
      {"expm1 2^-1074", functions::expm1(0x1p-1074), 0x1p-1074},
      {"expm1 past the end", functions::expm1(710.0), infinity},
      {"expm1_minus_x 0", functions::expm1_minus_x(0.0), 0.0},
      {"expm1_minus_x -0", functions::expm1_minus_x(-0.0), 0.0},
      {"expm1_minus_x inf", functions::expm1_minus_x(infinity), infinity},
      {"expm1_minus_x max", functions::expm1_minus_x(top), infinity},
      {"expm1_minus_x -inf", functions::expm1_minus_x(-infinity), infinity},
      {"expm1_minus_x -max", functions::expm1_minus_x(-top), top},
      {"expm1_minus_x 2^-30", functions::expm1_minus_x(0x1p-30), 0x1.0000000155555p-61},
      {"exp2 0", functions::exp2(0.0), 1.0},
      {"exp2 -0", functions::exp2(-0.0), 1.0},
      {"exp2 1023", functions::exp2(1023.0), 0x1p1023},
      {"exp2 1024", functions::exp2(1024.0), infinity},
      {"exp2 below 1024", functions::exp2(0x1.fffffffffffffp+9), 0x1.ffffffffffd3ap+1023},
      {"exp2 -1074", functions::exp2(-1074.0), 0x1p-1074},
      {"exp2 -1074.5", functions::exp2(-1074.5), 0x1p-1074},
      {"exp2 -1075", functions::exp2(-1075.0), 0.0},
      {"exp2 inf", functions::exp2(infinity), infinity},
      {"exp2 -inf", functions::exp2(-infinity), 0.0},
      {"exp2 max", functions::exp2(top), infinity},
      {"exp2 -max", functions::exp2(-top), 0.0},
      {"exp2 2^-1074", functions::exp2(0x1p-1074), 1.0},
      {"tanh 0", functions::tanh(0.0), 0.0},
      {"tanh -0", functions::tanh(-0.0), -0.0},
      {"tanh inf", functions::tanh(infinity), 1.0},
      {"tanh -inf", functions::tanh(-infinity), -1.0},
      {"tanh -max", functions::tanh(-top), -1.0},
      {"tanh 2^-1074", functions::tanh(0x1p-1074), 0x1p-1074},
      {"erf 0", functions::erf(0.0), 0.0},
      {"erf -0", functions::erf(-0.0), -0.0},
      {"erf inf", functions::erf(infinity), 1.0},
      {"erf -inf", functions::erf(-infinity), -1.0},
      {"erf -max", functions::erf(-top), -1.0},
      {"erf 2^-1074", functions::erf(0x1p-1074), 0x1p-1074},
      {"reciprocal 0", functions::reciprocal(0.0), infinity},
      {"reciprocal -0", functions::reciprocal(-0.0), -infinity},
      {"reciprocal inf", functions::reciprocal(infinity), 0.0},
      {"reciprocal -inf", functions::reciprocal(-infinity), -0.0},
      {"reciprocal max", functions::reciprocal(top), 0x1p-1024},
      {"reciprocal 2^-1074", functions::reciprocal(0x1p-1074), infinity},
      {"log 0", functions::log(0.0), -infinity},
      {"log -0", functions::log(-0.0), -infinity},
      {"log 1", functions::log(1.0), 0.0},
      {"log inf", functions::log(infinity), infinity},
      {"log -1", functions::log(-1.0), not_a_number},
      {"log -inf", functions::log(-infinity), not_a_number},
      {"rsqrt 0", functions::rsqrt(0.0), infinity},
      {"rsqrt -0", functions::rsqrt(-0.0), -infinity},
      {"rsqrt inf", functions::rsqrt(infinity), 0.0},
      {"rsqrt -1", functions::rsqrt(-1.0), not_a_number},
      {"rsqrt -inf", functions::rsqrt(-infinity), not_a_number},
      {"rsqrt 2^-1074", functions::rsqrt(0x1p-1074), 0x1p537},
      {"rsqrt 2^1022", functions::rsqrt(0x1p1022), 0x1p-511},
      {"gelu_tanh 0", functions::gelu_tanh(0.0), 0.0},
      {"gelu_tanh -0", functions::gelu_tanh(-0.0), -0.0},
      {"gelu_tanh inf", functions::gelu_tanh(infinity), infinity},
      {"gelu_tanh -inf", functions::gelu_tanh(-infinity), -0.0},
      {"gelu_tanh max", functions::gelu_tanh(top), top},
      {"gelu_tanh -max", functions::gelu_tanh(-top), -0.0},
      {"gelu_tanh 2^-1073", functions::gelu_tanh(0x1p-1073), 0x1p-1074},
      {"gelu_tanh -2^-1074", functions::gelu_tanh(-0x1p-1074), -0.0},
      {"gelu_erf 0", functions::gelu_erf(0.0), 0.0},
      {"gelu_erf -0", functions::gelu_erf(-0.0), -0.0},
      {"gelu_erf inf", functions::gelu_erf(infinity), infinity},
      {"gelu_erf -inf", functions::gelu_erf(-infinity), -0.0},
      {"gelu_erf max", functions::gelu_erf(top), top},
      {"gelu_erf -max", functions::gelu_erf(-top), -0.0},
      {"gelu_erf 2^-1073", functions::gelu_erf(0x1p-1073), 0x1p-1074},
      {"silu 0", functions::silu(0.0), 0.0},
      {"silu -0", functions::silu(-0.0), -0.0},
      {"silu inf", functions::silu(infinity), infinity},
      {"silu -inf", functions::silu(-infinity), -0.0},
      {"silu max", functions::silu(top), top},
      {"silu -max", functions::silu(-top), -0.0},
      {"silu 2^-1073", functions::silu(0x1p-1073), 0x1p-1074},
      {"silu -2^-1074", functions::silu(-0x1p-1074), -0.0},
      {"relu 0", functions::relu(0.0), 0.0},
      {"relu -0", functions::relu(-0.0), 0.0},
      {"relu inf", functions::relu(infinity), infinity},
      {"relu -inf", functions::relu(-infinity), 0.0},
      {"relu -2^-1074", functions::relu(-0x1p-1074), 0.0},
      {"relu 2^-1074", functions::relu(0x1p-1074), 0x1p-1074},
  };
  for (const Value& v : values) {
    INFO(v.name << " = " << v.y);
    CHECK(same_bits(v.y, v.expected));
  }
  for (const Case& c : cases()) CHECK(std::isnan(c.f(not_a_number)));
}

TEST_CASE("binary64 functions: expm1_minus_x is never negative", "[fp][elementary][law]") {
  Random random(2);
  for (int i = 0; i < 100000; ++i) {
    const double x = random.with_exponent(-600, 10);
    const double y = functions::expm1_minus_x(x);
    if (!(y >= 0.0)) FAIL("at " << x);
  }
}

/// Runs `body` with dispatch restricted to each target this processor has, the baseline included.
template <class Body>
void for_each_target(Body body) {
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
    INFO("target " << hwy::TargetName(target));
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

TEST_CASE("binary64 functions: arrays give the bits of single numbers on every target",
          "[fp][elementary][law]") {
  for (const Case& c : cases()) {
    if (c.on_spans == nullptr) continue;
    std::vector<double> x = arguments(c, 3, 4000, 20000);
    Random random(4);
    for (int i = 0; i < 20000; ++i) x.push_back(random.bits64());  // NaN of every kind among them
    x.insert(x.end(), lamp::test::special_values.begin(), lamp::test::special_values.end());
    std::vector<double> expected(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) expected[i] = c.f(x[i]);
    for_each_target([&] {
      INFO(c.name);
      std::vector<double> y(x.size());
      c.on_spans(x, y);
      CHECK(same_bits(y, expected));
      for (std::size_t i = 0; i < x.size(); ++i) y[i] = c.f(x[i]);
      CHECK(same_bits(y, expected));
      std::vector<double> in_place = x;
      c.on_spans(in_place, in_place);
      CHECK(same_bits(in_place, expected));
      for (std::size_t n = 0; n < 20;
           ++n) {  // lengths that leave lanes over; nothing is written past the end
        std::vector<double> part(21, -7.0);
        c.on_spans(std::span(x).first(n), std::span(part).first(n));
        CHECK(same_bits(std::span(part).first(n), std::span(expected).first(n)));
        CHECK(part[n] == -7.0);
      }
      y[y.size() / 2] = lamp::test::off_by_one_bit(y[y.size() / 2]);
      CHECK_FALSE(same_bits(y, expected));
    });
  }
}

std::uint64_t checksum(const Case& c) {
  Random random(21);
  std::uint64_t sum = 0;
  for (int i = 0; i < 20000; ++i) {
    const double y = c.f(random.with_exponent(-30, 10));
    sum = (sum ^ (std::isnan(y) ? 0 : std::bit_cast<std::uint64_t>(y))) *
          0x100000001B3U;  // FNV-1a by words
  }
  return sum;
}

TEST_CASE("binary64 functions: the bits on every compiler, level of optimisation and processor",
          "[fp][elementary][golden]") {
  // as computed once; a new method changes them, and with them the bits of experiments with p > 24
  const std::vector<std::uint64_t> expected{
      0x31F7FCBD30388F13, 0x8335D438FA3A22CF, 0xDBBCEFA37D9896AA, 0x3324904DBDB52036,
      0x601394958171E378, 0xE5934382509B6C32, 0x664375B8A7B06099, 0x2979118DE918FA98,
      0x15BCDBCC55249C3F, 0x4598645E875E60D2, 0x920B45BCFEB47573, 0x66D2E697AA2D9BE3,
      0xA286A34BA5A8E8CC};
  const std::vector<Case> all = cases();
  REQUIRE(expected.size() == all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    INFO(all[i].name << " 0x" << std::hex << checksum(all[i]));
    CHECK(checksum(all[i]) == expected[i]);
    Case other = all[i];
    other.f = [](double x) { return x; };
    CHECK(checksum(other) != expected[i]);
  }
}

}  // namespace
