#include "core/fp/eighths.hpp"

#include <cmath>

namespace lamp {

std::vector<std::string_view> Eighths::names() { return {"eighths"}; }

std::optional<Eighths> Eighths::named(std::string_view name) {
  return name == "eighths" ? std::optional(Eighths{}) : std::nullopt;
}

std::vector<std::string_view> Eighths::keys() { return {"largest_eighth"}; }

Result<Eighths> Eighths::of(const Properties& object) {
  const auto* largest = std::get_if<double>(&object.front().value);
  if (largest == nullptr || !(*largest > 0.0) || *largest > 1e6 ||
      std::nearbyint(*largest * 8.0) != *largest * 8.0)
    return Error{ExitCode::bad_data, "largest_eighth; legal: a multiple of 1/8, up to 1e6"};
  return Eighths{.largest = *largest};
}

Properties Eighths::properties() const { return {{"largest_eighth", largest}}; }

void Eighths::round_row(std::span<const double> x, std::span<double> y, double) const {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double rounded = std::nearbyint(x[i] * 8.0) / 8.0;
    y[i] = std::abs(rounded) > largest ? std::copysign(largest, rounded) : rounded;
  }
}

}  // namespace lamp
