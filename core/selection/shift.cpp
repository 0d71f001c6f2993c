#include "core/selection/shift.hpp"

#include <cmath>
#include <cstddef>

#include "core/base/contract.hpp"
#include "core/base/marks.hpp"

namespace lamp {

std::optional<double> shift_of(Shift shift, std::span<const double> low,
                               std::span<const double> high, std::span<const std::uint8_t> marks) {
  const std::size_t n = marks.size();
  expects(low.size() == n && high.size() >= n, "shift_of: a low and a high score for every mark");
  if (shift == Shift::none) return std::nullopt;
  double count = 0.0, sum = 0.0;
  for_each_marked(marks, [&](std::size_t j) { sum += high[j] - low[j], count += 1.0; });
  const double mean = sum / count;  // not finite where S is empty or a difference is not finite
  if (!std::isfinite(mean)) return std::nullopt;
  if (shift == Shift::mean) return mean;
  if (count < 3.0) return std::nullopt;
  double squares = 0.0;
  for_each_marked(marks, [&](std::size_t j) {
    const double deviation = (high[j] - low[j]) - mean;
    squares = std::fma(deviation, deviation, squares);
  });
  const double error = std::sqrt(squares / (count - 1.0)) / std::sqrt(count);
  return std::fabs(mean) > error ? std::optional(mean) : std::nullopt;
}

}  // namespace lamp
