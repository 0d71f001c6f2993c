// The shift of a mixed row. Softmax does not see what is common to all scores of a row, so low
// scores that are all biased alike (sums in few bits stagnate) do no harm; mixed with recomputed
// ones they do. The bias that S shows is given back to the scores outside of S.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "core/base/names.hpp"

namespace lamp {

/// `mean`: of recomputed - low over S. `adaptive`: that, where S has at least 3 members and the
/// mean is further from 0 than its standard error.
enum class Shift : std::uint8_t { none, mean, adaptive };

inline constexpr std::array<NamedValue<Shift>, 3> shift_names{
    {{"none", Shift::none}, {"mean", Shift::mean}, {"adaptive", Shift::adaptive}}};
static_assert(names_all(shift_names));

/// What is to be added to the low scores outside of S, the components with marks 1; absent: they
/// stay. m = (sum over S of d_j) / |S|, d_j = high_j - low_j; its standard error is sd / sqrt |S|,
/// sd^2 = (sum over S of (d_j - m)^2) / (|S| - 1). Binary64, sums fused, j ascending from +0, one
/// rounding each other operation. Absent where S is empty, or m or a d_j is not finite.
std::optional<double> shift_of(Shift shift, std::span<const double> low,
                               std::span<const double> high, std::span<const std::uint8_t> marks);

}  // namespace lamp
