// How many vector operations a step takes at least: what bounds are made of. Lanes are those of
// binary32 unless said; one vector operation is one instruction of AVX-512.
#pragma once

#include "experiments/bench/row.hpp"

namespace lamp::experiments::bench {

inline constexpr Operations one_operation{.all = 1};
inline constexpr Operations one_multiplication{.all = 1, .multiplications = 1};
inline constexpr Operations one_division{.all = 1, .divisions = 1};

// Roundings to nearest even (core/arith/gemm/step-inl.hpp has them).

/// p = x & exponent; t = fma(p, C, x); fnmadd(p, C, t), where a guard keeps x normal.
inline constexpr Operations round_normal{.all = 3, .multiplications = 2};
/// The same with max(p, 2^emin) for gradual underflow, where a guard excludes overflow.
inline constexpr Operations round_gradual{.all = 4, .multiplications = 2};
/// Add half - 1 and the last bit kept, then cut: test, choice, sum, and.
inline constexpr Operations round_integer{.all = 4};
/// From one rounding down and one up the odd one: two operations instead of one, a test, a choice.
inline constexpr Operations to_odd{.all = 4, .multiplications = 2};
inline constexpr Operations sum_to_odd{.all = 4};

// Steps of a sum of products.

inline constexpr Operations binary32_step = one_multiplication;
inline constexpr Operations ps_step = one_multiplication + round_normal;

/// A matrix engine whose passes have n products: exponents are added and their largest kept, in
/// lanes of 16 bits; a product, its scaling, its truncation to an integer and its sum. Once a pass:
/// two powers of two and the scaled sum so far (8), the exact sum of two accumulators cut in
/// binary64 and scaled back (12).
constexpr Operations engine_step(double n) {
  return Operations{.all = 5, .multiplications = 2} +
         1.0 / n * Operations{.all = 20, .multiplications = 2};
}

}  // namespace lamp::experiments::bench
