#include <catch2/catch.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "analysis/errors.hpp"
#include "tests/support/bits.hpp"

namespace lamp {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

/// The definition, one component after the other and nothing scaled.
struct Naive {
  std::size_t count = 0, nan = 0, infinite = 0, zero = 0, underflow = 0;
  double max_abs = 0.0, max_rel = 0.0, max_u = 0.0;
  std::array<double, 8> abs{}, rel{}, in_u{};
  std::array<std::uint64_t, ErrorBins::count> bins{};

  void add(double x, double r, std::size_t column, const FloatFormat& format) {
    const double d = std::fabs(x - r), u = std::ldexp(1.0, -format.p);
    if (std::isnan(x) || std::isnan(r)) return void(++nan);
    if (std::isinf(x) || std::isinf(r)) return void(++infinite);
    max_abs = std::fmax(max_abs, d), abs[column % 8] += d * d;
    if (r == 0.0) return void(++zero);
    if (std::fabs(x) < std::ldexp(1.0, format.emin)) return void(++underflow);
    ++count;
    const double e = d / std::fabs(r), error_in_u = e / u;
    max_rel = std::fmax(max_rel, e), max_u = std::fmax(max_u, error_in_u);
    rel[column % 8] += e * e, in_u[column % 8] += error_in_u * error_in_u;
    std::size_t bin = 0;
    if (e != 0.0)
      for (bin = 1; bin + 1 < ErrorBins::count && error_in_u >= ErrorBins::edge(bin + 1);) ++bin;
    ++bins[bin];
  }
  static double rms(const std::array<double, 8>& s, std::size_t n) {
    return std::sqrt((((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))) /
                     static_cast<double>(n));
  }
};

void check_same(const ErrorStatistics& s, const Naive& naive) {
  CHECK(s.count() == naive.count);
  CHECK(s.nan() == naive.nan);
  CHECK(s.inf() == naive.infinite);
  CHECK(s.zero() == naive.zero);
  CHECK(s.underflow() == naive.underflow);
  CHECK(test::same_bits(s.max_abs(), naive.max_abs));
  CHECK(test::same_bits(s.max_rel(), naive.max_rel));
  CHECK(test::same_bits(s.max_u(), naive.max_u));
  CHECK(test::same_bits(s.rms_abs(),
                        Naive::rms(naive.abs, naive.count + naive.zero + naive.underflow)));
  CHECK(test::same_bits(s.rms_rel(), Naive::rms(naive.rel, naive.count)));
  CHECK(test::same_bits(s.rms_u(), Naive::rms(naive.in_u, naive.count)));
  CHECK(s.bins() == naive.bins);
}

}  // namespace

TEST_CASE("errors: each component is counted in one place", "[errors]") {
  ErrorStatistics s(binary16);
  //                                  count  nan        nan        inf   inf   inf  zero underflow
  //                                  underflow  count
  const std::vector<double> x{1.0 + 0x1p-8, nan_value, 1.0, inf,      1.0,
                              -inf,         0.25,      0.0, -0x1p-15, 2.0};
  const std::vector<double> r{1.0, 1.0, nan_value, 1.0, -inf, -inf, 0.0, 0x1p-16, -0x1p-14, 2.0};
  s.add(x, r);
  CHECK(s.count() == 2);
  CHECK(s.nan() == 2);
  CHECK(s.inf() == 3);
  CHECK(s.zero() == 1);
  CHECK(s.underflow() == 2);
  CHECK(s.max_abs() == 0.25);
  CHECK(s.max_rel() == 0x1p-8);
  CHECK(s.max_u() == 8.0);  // u = 2^-11
  CHECK(s.rms_rel() == std::sqrt(0x1p-16 / 2.0));
  CHECK(s.bins()[0] == 1);
  CHECK(s.bins()[1 + 3 - ErrorBins::lowest] == 1);
  CHECK(ErrorBins::edge(1 + 3 - ErrorBins::lowest) == 8.0);
}

TEST_CASE("errors: inf - inf of equal signs is an infinite component, not a NaN", "[errors]") {
  ErrorStatistics s(binary32);
  s.add(std::array{inf}, std::array{inf});
  CHECK(s.inf() == 1);
  CHECK(s.nan() == 0);
}

TEST_CASE("errors: nothing counted looks like no number", "[errors]") {
  ErrorStatistics s(binary32);
  s.add(std::vector<double>{}, std::vector<double>{});
  for (const double x : {s.max_abs(), s.rms_abs(), s.max_rel(), s.rms_rel(), s.max_u(), s.rms_u()})
    CHECK(std::isnan(x));
  s.add(std::array{0.5}, std::array{0.0});
  CHECK(s.max_abs() == 0.5);
  CHECK(std::isnan(s.max_rel()));
}

TEST_CASE("errors: edges of the bins", "[errors]") {
  ErrorStatistics s(binary32);
  const double u = 0x1p-24;
  for (const double in_u : {1.0, 2.0 - 0x1p-10, 2.0, 0x1p-64, 0x1p-70, 0x1p63, 0x1p90})
    s.add(std::array{1.0 + in_u * u}, std::array{1.0});  // 1 + tiny rounds to 1: those errors are 0
  CHECK(s.bins()[0] == 2);
  CHECK(s.bins()[65] == 2);
  CHECK(s.bins()[66] == 1);
  CHECK(s.bins()[128] == 2);
  CHECK(s.count() == 7);
  ErrorStatistics tiny(ps(1));
  tiny.add(std::array{0x1p-99},
           std::array{0x1p-99 * (1 + 0x1p-52)});  // 2^-52 / 2^-2, cut off below by no bin here
  CHECK(tiny.bins()[1 - 50 - ErrorBins::lowest] + tiny.bins()[1 - 51 - ErrorBins::lowest] == 1);
}

TEST_CASE("errors: matrices and triangles of any width agree with the definition", "[errors]") {
  std::mt19937_64 bits(7);
  const std::array<double, 9> odd{0.0,      -0.0,      nan_value,  inf,     -inf,
                                  0x1p-140, 0x1p-1074, 0x1.fp1023, 0x1p-960};
  for (const std::size_t columns : {1U, 7U, 8U, 9U, 64U, 261U})
    for (const std::uint64_t share : {0U, 4U, 64U})  // of odd values, in 256
      for (const bool causal : {false, true}) {
        const std::size_t rows = causal ? columns : 3;
        Matrix<double> x(rows, columns), r(rows, columns);
        for (std::size_t i = 0; i < rows * columns; ++i) {
          r.flat()[i] = std::ldexp(static_cast<double>(bits()) - 0x1p63, -63);
          const std::uint64_t steps = bits();
          x.flat()[i] = r.flat()[i] * (1.0 + std::ldexp(static_cast<double>(steps & 15),
                                                        -static_cast<int>(steps >> 58)));
          if ((bits() & 255) < share) x.flat()[i] = odd[bits() % odd.size()];
          if ((bits() & 255) < share) r.flat()[i] = odd[bits() % odd.size()];
        }
        for (const FloatFormat& format : {binary32, ps(1)}) {
          ErrorStatistics s(format);
          Naive naive;
          for (int twice = 0; twice < 2; ++twice) {
            s.add(std::as_const(x).view(), std::as_const(r).view(), causal);
            for (std::size_t i = 0; i < rows; ++i)
              for (std::size_t j = 0; j < (causal ? i + 1 : columns); ++j)
                naive.add(x(i, j), r(i, j), j, format);
          }
          if (naive.count > 0) check_same(s, naive);
        }
      }
}

TEST_CASE(
    "errors: relative errors that overflow in units of u, and in their squares, do so as one by "
    "one",
    "[errors]") {
  for (const double x : {0x1p980, 0x1p1000, 0x1p490, 0x1p500, 0x1p511}) {
    const std::vector<double> xs{x, 0.5 * x, 1.0}, rs{1.0, 1.0, 1.0};
    ErrorStatistics s(binary32);
    Naive naive;
    s.add(xs, rs);
    for (std::size_t j = 0; j < xs.size(); ++j) naive.add(xs[j], rs[j], j, binary32);
    check_same(s, naive);
  }
}

TEST_CASE("errors: one order of summation, whatever the splitting into calls of 8", "[errors]") {
  std::vector<double> x, r;
  for (int i = 0; i < 64; ++i) x.push_back(1.0 + 0x1p-20 * i * i), r.push_back(1.0);
  ErrorStatistics whole(binary32), parts(binary32);
  whole.add(x, r);
  for (std::size_t i = 0; i < 64; i += 8)
    parts.add(std::span(x).subspan(i, 8), std::span(r).subspan(i, 8));
  CHECK(test::same_bits(whole.rms_rel(), parts.rms_rel()));
  CHECK(!test::same_bits(whole.rms_rel(), test::off_by_one_bit(parts.rms_rel())));
}

}  // namespace lamp
