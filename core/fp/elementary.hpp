// Elementary functions, correctly rounded to formats with p <= 24 by Ziv's strategy: a binary64
// first step with a proven bound, MPFR at growing precision where the rounding is in doubt. For p >
// 24: within 1 ulp, by one fixed sequence of IEEE operations (binary64.hpp), then rounded to the
// format.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/fp/rounding.hpp"

namespace lamp {

enum class Function : std::uint8_t {
  exp,
  exp2,
  log,
  tanh,
  erf,
  rsqrt,
  reciprocal,
  gelu_tanh,
  gelu_erf,
  silu,
  relu
};

inline constexpr std::array<NamedValue<Function>, 11> functions{{
    {"exp", Function::exp},
    {"exp2", Function::exp2},
    {"log", Function::log},
    {"tanh", Function::tanh},
    {"erf", Function::erf},
    {"rsqrt", Function::rsqrt},
    {"reciprocal", Function::reciprocal},
    {"gelu_tanh", Function::gelu_tanh},
    {"gelu_erf", Function::gelu_erf},
    {"silu", Function::silu},
    {"relu", Function::relu},
}};
static_assert(names_all(functions));

/// f(x) in `format`. gelu_tanh(x) = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), gelu_erf(x) =
/// x/2 (1 + erf(x/sqrt 2)), with the real constants; silu(x) = x/(1 + exp(-x)); GELU and silu have
/// -0 at -inf, +-0 at +-0; relu(x) = x for x > 0 and NaN, else +0; exp(-inf) = exp2(-inf) = +0;
/// log(+-0) = -inf, log(x < 0) = NaN, log(1) = +0; tanh(+-0) = erf(+-0) = +-0, at
/// +-inf +-1; rsqrt(+-0) = reciprocal(+-0) = +-inf, rsqrt(x < 0) = NaN, reciprocal(+-inf) = +-0.
double evaluate(Function f, double x, const FloatFormat& format, Rounding mode = Rounding::rne);

/// The same elementwise, with the same bits; x and y have one length and may be the same memory.
void evaluate(Function f, std::span<const double> x, std::span<double> y, const FloatFormat& format,
              Rounding mode = Rounding::rne);

}  // namespace lamp
