// A floating-point format is data. Derived numbers (u, xmin, xmins, xmax) are functions of it,
// never stored.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/names.hpp"
#include "core/base/result.hpp"

namespace lamp {

/// What a rounded magnitude above xmax becomes (where the rounding mode does not prescribe xmax).
enum class Overflow : std::uint8_t { infinity, largest, nan };

inline constexpr std::array<NamedValue<Overflow>, 3> overflow_names{
    {{"inf", Overflow::infinity}, {"max", Overflow::largest}, {"nan", Overflow::nan}}};
static_assert(names_all(overflow_names));

/// Significand precision p (bits, the hidden bit included), exponents of the smallest and largest
/// normal binade.
struct FloatFormat {
  int p = 24;
  int emin = -126;
  int emax = 127;
  bool subnormals = true;  // without: 0 and xmin = 2^emin are neighbours
  bool infinities = true;  // without: an infinite value becomes what `overflow` says
  bool nan = true;         // NaN has a code; as a value it exists in every format
  bool signed_zero = true;
  bool is_unsigned = false;  // a negative value becomes NaN
  int top_codes_lost = 0;    // largest significands of the top binade that encode no number
  Overflow overflow = Overflow::infinity;  // what a rounded magnitude above xmax becomes
  bool zero = true;  // without: a nonzero value rounds to xmin at least, an exact zero to NaN

  friend bool operator==(const FloatFormat&, const FloatFormat&) = default;
};

/// 2^e as binary64; infinite above 1023, 0 below -1074. Made from its bits, because it is called
/// for every row.
constexpr double pow2(int e) {
  if (e > 1023) return std::numeric_limits<double>::infinity();
  if (e < -1074) return 0.0;
  return std::bit_cast<double>(e >= -1022 ? static_cast<std::uint64_t>(e + 1023) << 52
                                          : std::uint64_t{1} << (e + 1074));
}

/// Unit roundoff u = 2^-p.
constexpr double unit_roundoff(const FloatFormat& f) { return pow2(-f.p); }
/// Smallest positive normal number.
constexpr double xmin(const FloatFormat& f) { return pow2(f.emin); }
/// Smallest positive number with subnormals, their spacing.
constexpr double xmins(const FloatFormat& f) { return pow2(f.emin - f.p + 1); }
/// Largest finite number.
constexpr double xmax(const FloatFormat& f) {
  return pow2(f.emax) * (2.0 - pow2(1 - f.p) * (1 + f.top_codes_lost));
}
/// Whether every number of the format is a binary64 number: the condition of the fast path; other
/// formats need the MPFR backend.
constexpr bool fits_binary64(const FloatFormat& f) {
  return f.p >= 1 && f.p <= 53 && f.emax <= 1023 && f.emin - f.p + 1 >= -1074 && f.emin <= f.emax;
}
/// Whether every number of `inner` is a number of `outer` (zeros, infinities and NaN aside).
constexpr bool contains(const FloatFormat& outer, const FloatFormat& inner) {
  return inner.p <= outer.p && inner.emax <= outer.emax &&
         (inner.subnormals ? inner.emin - inner.p + 1 >= outer.emin - outer.p + 1
                           : inner.emin >= outer.emin - (outer.p - inner.p)) &&
         (outer.subnormals || inner.emin >= outer.emin) &&
         (inner.emax < outer.emax || xmax(inner) <= xmax(outer)) &&
         (!outer.is_unsigned || inner.is_unsigned);
}

inline constexpr FloatFormat binary16{.p = 11, .emin = -14, .emax = 15};
inline constexpr FloatFormat binary32{.p = 24, .emin = -126, .emax = 127};
inline constexpr FloatFormat binary64{.p = 53, .emin = -1022, .emax = 1023};
inline constexpr FloatFormat bfloat16{.p = 8, .emin = -126, .emax = 127};
inline constexpr FloatFormat tf32{.p = 11, .emin = -126, .emax = 127};

/// OCP's OFP8: E5M2 and E4M3.
inline constexpr FloatFormat e5m2{.p = 3, .emin = -14, .emax = 15};
inline constexpr FloatFormat e4m3fn{.p = 4,
                                    .emin = -6,
                                    .emax = 8,
                                    .infinities = false,
                                    .top_codes_lost = 1,
                                    .overflow = Overflow::nan};

/// An element of OCP's MX blocks: numbers only.
constexpr FloatFormat mx_element(int p, int emin, int emax) {
  return {.p = p,
          .emin = emin,
          .emax = emax,
          .infinities = false,
          .nan = false,
          .overflow = Overflow::largest};
}
inline constexpr FloatFormat e3m2fn = mx_element(3, -2, 4);
inline constexpr FloatFormat e2m3fn = mx_element(4, 0, 2);
inline constexpr FloatFormat e2m1fn = mx_element(2, 0, 2);

/// OCP's scale of MX blocks: powers of two only. An exact zero gives NaN and underflow xmin, as
/// ml_dtypes converts.
inline constexpr FloatFormat e8m0fnu{.p = 1,
                                     .emin = -127,
                                     .emax = 127,
                                     .subnormals = false,
                                     .infinities = false,
                                     .signed_zero = false,
                                     .is_unsigned = true,
                                     .overflow = Overflow::nan,
                                     .zero = false};

/// PS(mu) of [LAMP]: binary32 with mu significand bits stored, p = mu + 1.  1 <= mu <= 23.
constexpr FloatFormat ps(int mu) { return {.p = mu + 1, .emin = -126, .emax = 127}; }

static_assert(ps(23) == binary32 && ps(10) == tf32 && ps(7) == bfloat16);
static_assert(xmax(binary16) == 65504.0);
static_assert(xmins(binary16) == 0x1p-24);
static_assert(xmax(e5m2) == 57344.0 && xmax(e4m3fn) == 448.0);
static_assert(xmax(e3m2fn) == 28.0 && xmax(e2m3fn) == 7.5 && xmax(e2m1fn) == 6.0);
static_assert(xmax(e8m0fnu) == 0x1p127 && xmin(e8m0fnu) == 0x1p-127);

/// Format of a name: the catalog, `ps<mu>`, `e<w>m<t>`, `ue<w>m<t>`. The error lists what is known,
/// or the legal range.
Result<FloatFormat> parse_format(std::string_view name);
/// The names of the catalog, in its order; the families ps<mu>, e<w>m<t>, ue<w>m<t> come on top.
std::vector<std::string_view> catalog_names();
/// The one name of a format: the catalog's, else `ps<mu>`, else `e<w>m<t>` or `ue<w>m<t>`, else its
/// object form with the fields that are not the default. parse_format(format_name(f)) is f for
/// every format with a name.
std::string format_name(const FloatFormat& format);
/// Checks that the fields make a format whose numbers all are binary64 numbers; the error names the
/// field and its legal range.
Result<void> check_format(const FloatFormat& format);

}  // namespace lamp
