// Codes: the bit patterns in which a format's values are stored.
//
// Layout, from the top: the sign (not in unsigned formats), the exponent field, the p - 1 trailing
// significand bits. The codes without their sign, ascending, are 0, the subnormals, the normal
// numbers up to xmax, infinity, and from there on NaN: IEEE 754's formats, OFP8 (whose top code is
// NaN), OCP's MX elements (which have neither) and P3109's all have this order. The exponent field
// is as narrow as all of that permits, its bias is 1 - emin. Where there is a sign but no -0, the
// code of -0 is the one NaN (FNUZ, P3109). Where there is no zero, the exponent field 0 is that of
// xmin (e8m0fnu).
#pragma once

#include <cstdint>

#include "core/base/result.hpp"
#include "core/fp/format.hpp"

namespace lamp {

enum class CodeKind : std::uint8_t { zero, subnormal, normal, infinity, nan, unused };

inline constexpr std::array<NamedValue<CodeKind>, 6> code_kind_names{
    {{"zero", CodeKind::zero},
     {"subnormal", CodeKind::subnormal},
     {"normal", CodeKind::normal},
     {"infinity", CodeKind::infinity},
     {"nan", CodeKind::nan},
     {"unused", CodeKind::unused}}};
static_assert(names_all(code_kind_names));

/// Number of codes of each kind, both signs together.
struct CodeCounts {
  std::uint64_t zeros = 0;
  std::uint64_t subnormals = 0;
  std::uint64_t normals = 0;
  std::uint64_t infinities = 0;
  std::uint64_t nans = 0;
  std::uint64_t unused = 0;

  [[nodiscard]] std::uint64_t finite() const { return zeros + subnormals + normals; }
};

/// Bits of a code, at most 64. Every function here: Pre: check_format(format), that is
/// fits_binary64 among others.
int code_bits(const FloatFormat& format);
CodeCounts code_counts(const FloatFormat& format);
/// Pre: code < 2^code_bits(format).
CodeKind code_kind(std::uint64_t code, const FloatFormat& format);

/// The value of a code. An error: the code has too many bits or is unused (a subnormal of a format
/// that has none, a code above the largest number where there is no NaN).
Result<double> decode(std::uint64_t code, const FloatFormat& format);

/// The code of a number of the format, of an infinity or of NaN; x is not rounded. -0 is +0 where
/// there is no -0. NaN becomes the quiet NaN of IEEE 754 with an empty payload, sign 0, and the
/// format's top code or only NaN elsewhere. An error: x is not a number of the format; NaN, an
/// infinity or zero where the format has none.
Result<std::uint64_t> encode(double x, const FloatFormat& format);

}  // namespace lamp
