#include "core/fp/ziv.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include "core/base/contract.hpp"
#include "core/fp/binary64.hpp"
#include "core/mpfr/functions.hpp"

namespace lamp::ziv {
namespace {

constexpr double largest = std::numeric_limits<double>::max();

/// A number that rounds as y (1 +- d) does for a tiny d, in every format of p <= 24: y itself if
/// its last bit is set, for then no number and no midpoint of such a format is near; else the
/// neighbour of y on that side. It is y (1 +- d) rounded to odd, d < 2^-53, or beside 1 any d <
/// 2^-25: no number and no midpoint lies between.
double beside(double y, bool away_from_zero) {
  const auto bits = std::bit_cast<std::uint64_t>(y);
  return std::bit_cast<double>((away_from_zero ? bits : bits - 1) | 1U);
}

/// A normal one.
bool is_power_of_two(double y) {
  return std::isnormal(y) && (std::bit_cast<std::uint64_t>(y) << 12) == 0;
}

/// f(x) where it is exact, or so close to a number of few bits that an enclosure would never
/// decide: a value that rounds as f(x) does.
std::optional<double> known(Function f, double x, double y) {
  if (std::isnan(y)) return y;
  switch (f) {
    case Function::exp:
      if (x == 0.0 || std::isinf(x)) return y;
      if (std::abs(x) < 0x1p-54) return beside(1.0, x > 0.0);
      return std::nullopt;
    case Function::exp2:
      if (std::isinf(x)) return y;
      if (x == std::floor(x) && is_power_of_two(y)) return y;
      if (std::abs(x) < 0x1p-54) return beside(1.0, x > 0.0);
      return std::nullopt;
    case Function::log:
      if (x == 1.0 || std::isinf(y))
        return y;  // the only rational x with a rational logarithm, and 0 and infinity
      return std::nullopt;
    case Function::tanh:
      if (x == 0.0 || std::isinf(x)) return y;
      if (std::abs(x) >= 10.0) return beside(std::copysign(1.0, x), false);  // 1 - d, d < 2^-27
      if (std::abs(x) < 0x1p-27 && std::abs(x) > 0x1p-960)
        return beside(x, false);  // x (1 - d), d < x^2/3
      return std::nullopt;
    case Function::erf:
      if (x == 0.0 || std::isinf(x)) return y;
      if (std::abs(x) >= 4.25) return beside(std::copysign(1.0, x), false);  // 1 - d, d < 2^-28
      return std::nullopt;
    case Function::rsqrt:
      if (x == 0.0 || std::isinf(x)) return y;
      if (is_power_of_two(y) && (x * y) * y == 1.0)
        return y;  // x = 4^k, the only exact results: products with y are exact
      return std::nullopt;
    case Function::reciprocal:
      if (x == 0.0 || std::isinf(x)) return y;
      if (is_power_of_two(y) && x * y == 1.0) return y;  // the only exact results
      return std::nullopt;
    case Function::gelu_tanh:
    case Function::gelu_erf:
    case Function::silu:
      if (x == 0.0 || std::isinf(x)) return y;
      if (x >= (f == Function::gelu_tanh ? 7.25 : f == Function::gelu_erf ? 8.5 : 37.5))
        return beside(x, false);  // x (1 - d), d < 2^-54
      if (std::abs(x) < 0x1p-60 && std::abs(x) > 0x1p-960)
        return beside(0.5 * x, x > 0.0);  // x/2 (1 + d), d < x
      return std::nullopt;
    case Function::relu:
      return y;
  }
  contract_violated("ziv::known: a known function");
}

/// Bounds: low <= abs(f(x)) <= high.
struct Enclosure {
  double low, high;
};

Enclosure enclose(double y, double error) {
  const double magnitude = std::abs(y);
  if (magnitude < 0x1p-960)
    return {0x1p-1074, 0x1p-959};  // underflow: the relative bound does not hold
  if (std::isinf(magnitude)) return {largest, largest};  // overflow of binary64
  return {magnitude - error * magnitude, std::min(magnitude + error * magnitude, largest)};
}

}  // namespace

double first_step(Function f, double x) {
  switch (f) {
    case Function::exp:
      return binary64_functions::exp(x);
    case Function::exp2:
      return binary64_functions::exp2(x);
    case Function::log:
      return binary64_functions::log(x);
    case Function::tanh:
      return binary64_functions::tanh(x);
    case Function::erf:
      return binary64_functions::erf(x);
    case Function::rsqrt:
      return binary64_functions::rsqrt(x);
    case Function::reciprocal:
      return binary64_functions::reciprocal(x);
    case Function::gelu_tanh:
      return binary64_functions::gelu_tanh(x);
    case Function::gelu_erf:
      return binary64_functions::gelu_erf(x);
    case Function::silu:
      return binary64_functions::silu(x);
    case Function::relu:
      return binary64_functions::relu(x);
  }
  contract_violated("ziv::first_step: a known function");
}

double finish(Function f, double x, double y, const FloatFormat& format, Rounding mode,
              double error) {
  if (const std::optional<double> value = known(f, x, y)) return round(*value, format, mode);
  const Enclosure e = enclose(y, error);
  const double low = round(std::copysign(e.low, y), format, mode),
               high = round(std::copysign(e.high, y), format, mode);
  // `largest` stands for all above it, which is right where all of that overflows
  const bool decided = (low == high || (std::isnan(low) && std::isnan(high))) &&
                       (e.high < largest || format.emax < 1023);
  return decided ? low : mpfr::evaluate(f, x, format, mode);
}

}  // namespace lamp::ziv
