// Formats that tests of the arithmetic are tried on: every kind of format, each field of
// FloatFormat at least once.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/fp/encoding.hpp"
#include "core/fp/format.hpp"
#include "core/fp/rounding.hpp"

namespace lamp::test {

inline constexpr std::array deterministic_modes{Rounding::rne, Rounding::rna, Rounding::rtz,
                                                Rounding::rtp, Rounding::rtn, Rounding::rto};

inline constexpr FloatFormat e3m2{.p = 3, .emin = -2, .emax = 3};

/// Formats of few numbers, for exhaustive tests.
inline constexpr std::array small_formats{
    e3m2,
    e5m2,
    e4m3fn,
    e3m2fn,
    e2m1fn,
    FloatFormat{.p = 4,
                .emin = -7,
                .emax = 7,
                .infinities = false,
                .signed_zero = false,
                .overflow = Overflow::nan},  // e4m3fnuz
    FloatFormat{.p = 4, .emin = -3, .emax = 3, .subnormals = false},
    FloatFormat{.p = 3, .emin = -2, .emax = 3, .subnormals = false, .top_codes_lost = 2},
    FloatFormat{.p = 4, .emin = -6, .emax = 7, .signed_zero = false, .is_unsigned = true},  // ue4m3
    FloatFormat{.p = 1, .emin = -4, .emax = 4},
    FloatFormat{.p = 1, .emin = -4, .emax = 4, .subnormals = false},
    FloatFormat{.p = 3, .emin = 2, .emax = 2},          // one binade
    FloatFormat{.p = 2, .emin = -1073, .emax = -1070},  // at binary64's lower edge
    FloatFormat{.p = 3, .emin = 1020, .emax = 1023},    // at its upper edge
    FloatFormat{.p = 2,
                .emin = -2,
                .emax = 3,
                .subnormals = false,
                .infinities = false,
                .signed_zero = false,
                .overflow = Overflow::nan,
                .zero = false},
};

/// Formats of many numbers, for random tests.
inline constexpr std::array large_formats{
    binary16,
    binary32,
    binary64,
    bfloat16,
    tf32,
    ps(1),
    ps(22),
    FloatFormat{.p = 24, .emin = -126, .emax = 127, .subnormals = false},
    FloatFormat{.p = 50, .emin = -1022, .emax = 1023},
    FloatFormat{.p = 51, .emin = -1022, .emax = 1023},
    FloatFormat{.p = 52, .emin = -1022, .emax = 1023},
    FloatFormat{.p = 53, .emin = -20, .emax = 20},
    FloatFormat{
        .p = 53, .emin = -1022, .emax = 1023, .subnormals = false, .overflow = Overflow::largest},
    FloatFormat{.p = 30, .emin = -1045, .emax = -500, .top_codes_lost = 1000},
    FloatFormat{.p = 11, .emin = -14, .emax = 15, .overflow = Overflow::largest},
};

/// Zero and every positive number of a small format, ascending, then the numbers it would have in
/// one binade more. By the definition: significands of p bits times powers of two.
inline std::vector<double> positive_numbers(const FloatFormat& f) {
  std::vector<double> numbers{0.0};
  const int first_normal = 1 << (f.p - 1), end = 1 << f.p;
  for (int m = 1; f.subnormals && m < first_normal; ++m)
    numbers.push_back(std::ldexp(m, f.emin - f.p + 1));
  for (int e = f.emin; e <= f.emax + 1; ++e)
    for (int m = first_normal; m < end; ++m)
      if (const double x = std::ldexp(m, e - f.p + 1); std::isfinite(x)) numbers.push_back(x);
  return numbers;
}

/// The catalog, every e<w>m<t> and ue<w>m<t>, and two that no name has, as far as their codes have
/// at most `bits` bits.
inline std::vector<FloatFormat> formats_up_to(int bits) {
  std::vector<std::string> names;
  for (const std::string_view name : catalog_names()) names.emplace_back(name);
  for (int w = 2; w <= 11; ++w)
    for (int t = 1; w + t <= bits; ++t)
      for (const char* prefix : {"e", "ue"})
        names.push_back(
            std::string(prefix).append(std::to_string(w)).append("m").append(std::to_string(t)));
  std::vector<FloatFormat> formats{
      {.p = 4,
       .emin = -7,
       .emax = 7,
       .signed_zero = false,
       .top_codes_lost = 1},                                  // P3109's binary8p4
      {.p = 3, .emin = -2, .emax = 2, .subnormals = false}};  // with unused codes
  for (const std::string& name : names) formats.push_back(*parse_format(name));
  std::erase_if(formats, [bits](const FloatFormat& f) { return code_bits(f) > bits; });
  return formats;
}

/// The value of every code, in the order of the codes.
inline std::vector<double> decoded_values(const FloatFormat& f) {
  std::vector<double> values;
  for (std::uint64_t code = 0; code >> code_bits(f) == 0; ++code)
    if (const Result<double> x = decode(code, f); x.ok()) values.push_back(*x);
  return values;
}

/// Every number of a small format, with both signs, and its special values.
inline std::vector<double> all_values(const FloatFormat& f) {
  std::vector<double> values;
  for (const double x : positive_numbers(f))
    if (x <= xmax(f)) values.insert(values.end(), {x, -x});
  if (f.infinities) values.insert(values.end(), {HUGE_VAL, -HUGE_VAL});
  values.push_back(std::nan(""));
  return values;
}

}  // namespace lamp::test
