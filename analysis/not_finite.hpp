// Infinity and NaN of binary64 by name, and a maximum that NaN survives.
#pragma once

#include <cmath>
#include <limits>

namespace lamp {

inline constexpr double positive_infinity = std::numeric_limits<double>::infinity();
inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// The larger; NaN, unlike std::max, where either is.
inline double larger(double x, double y) { return x > y || std::isnan(x) ? x : y; }

}  // namespace lamp
