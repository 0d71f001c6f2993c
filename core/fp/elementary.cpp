#include "core/fp/elementary.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/fp/elementary.cpp"
#include <hwy/foreach_target.h>  // compiles the rest of this file once for each target

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "core/base/contract.hpp"
#include "core/fp/binary64-inl.hpp"
#include "core/fp/binary64.hpp"
#include "core/fp/nearest.hpp"
#include "core/fp/ziv.hpp"

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

template <class R>
struct Attempt {
  R value;
  decltype(R(0.0) < R(0.0)) sure;
};

/// The first step y rounded to nearest even, and whether every number within the bound of y rounds
/// so. value is y rounded to a multiple of the spacing of its binade by adding and subtracting 1.5
/// 2^52 spacings; y - value is exact.
template <class R>
HWY_INLINE Attempt<R> round_nearest(R y, const Nearest& format) {
  const R binade = from_bits(bits(y) & (Bits64{0x7FF} << 52));
  const R power = select(binade < R(format.xmin), R(format.xmin), binade);
  const R shift = power * R(format.shift);
  const R value = (y + shift) - shift;
  const R to_midpoint = magnitude(magnitude(y - value) - power * R(format.half_spacing));
  const auto sure =
      both(to_midpoint > magnitude(y) * R(ziv::bound), magnitude(y) < R(format.limit));
  return {with_sign_of(value, y), sure};
}

template <Function f, class R>
HWY_INLINE R first_step(R x) {
  if constexpr (f == Function::exp)
    return exp(x);
  else if constexpr (f == Function::exp2)
    return exp2(x);
  else if constexpr (f == Function::log)
    return log(x);
  else if constexpr (f == Function::tanh)
    return tanh(x);
  else if constexpr (f == Function::erf)
    return erf(x);
  else if constexpr (f == Function::rsqrt)
    return rsqrt(x);
  else if constexpr (f == Function::reciprocal)
    return reciprocal(x);
  else if constexpr (f == Function::gelu_tanh)
    return gelu_tanh(x);
  else if constexpr (f == Function::gelu_erf)
    return gelu_erf(x);
  else if constexpr (f == Function::silu)
    return silu(x);
  else
    return relu(x);
}

template <Function f>
HWY_INLINE double evaluate_one(double x, const Nearest& nearest, const FloatFormat& format) {
  const double y = first_step<f>(x);
  const Attempt<double> attempt = round_nearest(y, nearest);
  return attempt.sure ? attempt.value : ziv::finish(f, x, y, format, Rounding::rne);
}

/// Not inlined: beside the others its constants would leave the registers.
template <Function f>
HWY_NOINLINE void evaluate_each(std::span<const double> x, std::span<double> y,
                                const Nearest& nearest, const FloatFormat& format) {
  std::size_t i = 0;
#if LAMP_HAS_VECTOR
  const D64 d;
  for (; i + hn::Lanes(d) <= x.size(); i += hn::Lanes(d)) {
    const Vector arguments = hn::LoadU(d, x.data() + i);
    const Attempt<Vector> attempt = round_nearest(first_step<f>(arguments), nearest);
    if (hn::AllTrue(d, attempt.sure.m)) [[likely]] {
      hn::StoreU(attempt.value.v, d, y.data() + i);
    } else {
      for (std::size_t lane = i; lane < i + hn::Lanes(d); ++lane)
        y[lane] = evaluate_one<f>(x[lane], nearest, format);
    }
  }
#endif
  for (; i < x.size(); ++i) y[i] = evaluate_one<f>(x[i], nearest, format);
}

void evaluate_nearest(Function f, std::span<const double> x, std::span<double> y,
                      const Nearest& nearest, const FloatFormat& format) {
  switch (f) {
    case Function::exp:
      return evaluate_each<Function::exp>(x, y, nearest, format);
    case Function::exp2:
      return evaluate_each<Function::exp2>(x, y, nearest, format);
    case Function::log:
      return evaluate_each<Function::log>(x, y, nearest, format);
    case Function::tanh:
      return evaluate_each<Function::tanh>(x, y, nearest, format);
    case Function::erf:
      return evaluate_each<Function::erf>(x, y, nearest, format);
    case Function::rsqrt:
      return evaluate_each<Function::rsqrt>(x, y, nearest, format);
    case Function::reciprocal:
      return evaluate_each<Function::reciprocal>(x, y, nearest, format);
    case Function::gelu_tanh:
      return evaluate_each<Function::gelu_tanh>(x, y, nearest, format);
    case Function::gelu_erf:
      return evaluate_each<Function::gelu_erf>(x, y, nearest, format);
    case Function::silu:
      return evaluate_each<Function::silu>(x, y, nearest, format);
    case Function::relu:
      return evaluate_each<Function::relu>(x, y, nearest, format);
  }
  contract_violated("evaluate: a known function");
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {
namespace {

HWY_EXPORT(evaluate_nearest);

void first_steps(Function f, std::span<const double> x, std::span<double> y) {
  switch (f) {
    case Function::exp:
      return binary64_functions::exp(x, y);
    case Function::exp2:
      return binary64_functions::exp2(x, y);
    case Function::log:
      return binary64_functions::log(x, y);
    case Function::tanh:
      return binary64_functions::tanh(x, y);
    case Function::erf:
      return binary64_functions::erf(x, y);
    case Function::rsqrt:
      return binary64_functions::rsqrt(x, y);
    case Function::reciprocal:
      return binary64_functions::reciprocal(x, y);
    case Function::gelu_tanh:
      return binary64_functions::gelu_tanh(x, y);
    case Function::gelu_erf:
      return binary64_functions::gelu_erf(x, y);
    case Function::silu:
      return binary64_functions::silu(x, y);
    case Function::relu:
      return binary64_functions::relu(x, y);
  }
  contract_violated("evaluate: a known function");
}

constexpr int largest_correct_p = 24;

/// The first step y = f(x) in a format of p > 24. Where it left the range of binary64, a product
/// that does so too has f(x)'s rounding.
double finish_wide(Function f, double x, double y, const FloatFormat& format, Rounding mode) {
  const bool regular = std::isfinite(x) && x != 0.0 && f != Function::relu;
  if (regular && std::isinf(y)) return mul(std::copysign(0x1p1023, y), 0x1p1023, format, mode);
  if (regular && y == 0.0 && f != Function::log)
    return mul(std::copysign(0x1p-1074, y), 0x1p-1074, format, mode);
  return format == binary64 ? y : round(y, format, mode);
}

}  // namespace

double evaluate(Function f, double x, const FloatFormat& format, Rounding mode) {
  const double y = ziv::first_step(f, x);
  return format.p <= largest_correct_p ? ziv::finish(f, x, y, format, mode)
                                       : finish_wide(f, x, y, format, mode);
}

void evaluate(Function f, std::span<const double> x, std::span<double> y, const FloatFormat& format,
              Rounding mode) {
  expects(x.size() == y.size(), "evaluate: x.size() == y.size()");
  if (format == binary64 && mode == Rounding::rne) return first_steps(f, x, y);
  if (format.p > largest_correct_p) {
    std::array<double, 256> first{};  // x and y may be the same memory
    for (std::size_t i = 0; i < x.size(); i += first.size()) {
      const std::size_t n = std::min(first.size(), x.size() - i);
      first_steps(f, x.subspan(i, n), std::span(first).first(n));
      for (std::size_t k = 0; k < n; ++k)
        y[i + k] = finish_wide(f, x[i + k], first[k], format, mode);
    }
    return;
  }
  const std::optional<Nearest> nearest = mode == Rounding::rne ? nearest_of(format) : std::nullopt;
  if (nearest) return HWY_DYNAMIC_DISPATCH(evaluate_nearest)(f, x, y, *nearest, format);
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = evaluate(f, x[i], format, mode);
}

}  // namespace lamp
#endif  // HWY_ONCE
