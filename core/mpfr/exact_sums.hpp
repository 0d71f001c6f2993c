// Sums that are exact before they are rounded, a second time: `exact` by mpfr_sum, the steps of
// `multiterm` and of matrix engines in GMP's integers.
#pragma once

#include <optional>
#include <span>

#include "core/arith/spec.hpp"

namespace lamp::mpfr {

/// Exact sum of c and the products, then fl. The rows x and y of all three are rounded already.
double exact_dot(const MacSpec& mac, std::span<const double> x, std::span<const double> y, double c,
                 Draw draw = {});

/// One step of multiterm:N,F in GMP's integers: c and all the products.
/// `least_exponent`: an engine's clamp of the exponent that terms are aligned to.
double multiterm_step(const MacSpec& mac, int fraction_bits, std::span<const double> x,
                      std::span<const double> y, double c, Draw draw = {},
                      std::optional<int> least_exponent = {});

/// All the steps of a matrix engine, from c.
double engine_dot(const MacSpec& mac, const EngineStep& step, std::span<const double> x,
                  std::span<const double> y, double c);

}  // namespace lamp::mpfr
