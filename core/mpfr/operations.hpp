// The operations of core/fp/rounding.hpp a second time, on MPFR.
#pragma once

#include "core/fp/format.hpp"
#include "core/fp/rounding.hpp"

namespace lamp::mpfr {

/// As lamp::round, lamp::add, ...: same meaning, same bits, another implementation. Thread-safe;
/// the exponent range of the calling thread is as it was afterwards. Pre: fits_binary64(format),
/// mode is deterministic.
double round(double x, const FloatFormat& format, Rounding mode = Rounding::rne);
double add(double a, double b, const FloatFormat& format, Rounding mode = Rounding::rne);
double sub(double a, double b, const FloatFormat& format, Rounding mode = Rounding::rne);
double mul(double a, double b, const FloatFormat& format, Rounding mode = Rounding::rne);
double div(double a, double b, const FloatFormat& format, Rounding mode = Rounding::rne);
double fma(double a, double b, double c, const FloatFormat& format, Rounding mode = Rounding::rne);
double sqrt(double a, const FloatFormat& format, Rounding mode = Rounding::rne);

/// In any mode. Pre: fits_binary64(format), 1 <= draw.bits <= 32.
double round(double x, const FloatFormat& format, Rounding mode, Draw draw);
double add(double a, double b, const FloatFormat& format, Rounding mode, Draw draw);
double sub(double a, double b, const FloatFormat& format, Rounding mode, Draw draw);
double mul(double a, double b, const FloatFormat& format, Rounding mode, Draw draw);
double div(double a, double b, const FloatFormat& format, Rounding mode, Draw draw);
double fma(double a, double b, double c, const FloatFormat& format, Rounding mode, Draw draw);
double sqrt(double a, const FloatFormat& format, Rounding mode, Draw draw);

}  // namespace lamp::mpfr
