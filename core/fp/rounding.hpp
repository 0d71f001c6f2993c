// The rounding modes and THE rounding routine: every fast scalar operation forms its exact result (or enough of it, with
// a sticky bit) and rounds it here, once.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/fp/format.hpp"

namespace lamp {

enum class Rounding : std::uint8_t { rne, rna, rtz, rtp, rtn, rto, sr, sre };

std::string_view rounding_name(Rounding mode);              // "RNE", ...
std::optional<Rounding> parse_rounding(std::string_view name);

/// x rounded to `format` by `mode` (method.md section 1): overflow, subnormals, signed zero, NaN as the format says.
/// Pre: fits_binary64(format); mode is deterministic.
double round(double x, const FloatFormat& format, Rounding mode = Rounding::rne);

/// One correctly rounded operation on the exact operands. NaN in, NaN out; invalid operations give NaN.
double add(double a, double b, const FloatFormat& format, Rounding mode = Rounding::rne);
double sub(double a, double b, const FloatFormat& format, Rounding mode = Rounding::rne);
double mul(double a, double b, const FloatFormat& format, Rounding mode = Rounding::rne);
double div(double a, double b, const FloatFormat& format, Rounding mode = Rounding::rne);
double fma(double a, double b, double c, const FloatFormat& format, Rounding mode = Rounding::rne);
double sqrt(double a, const FloatFormat& format, Rounding mode = Rounding::rne);

/// x is a number of the format (zeros, infinities and NaN count where the format has them).
bool representable(double x, const FloatFormat& format);

}  // namespace lamp
