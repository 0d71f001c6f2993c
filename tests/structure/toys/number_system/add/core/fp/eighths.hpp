// A scaled integer: multiples of 1/8 up to a largest one.
#pragma once

#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/fp/properties.hpp"

namespace lamp {

/// Nearest multiples of 1/8, ties to even; beyond `largest`, infinities too, it with the sign.
struct Eighths {
  double largest = 4.0;  // a multiple of 1/8

  friend bool operator==(const Eighths&, const Eighths&) = default;

  static constexpr std::string_view kind = "scaled integer";
  static std::vector<std::string_view> names();
  static std::optional<Eighths> named(std::string_view name);
  static std::vector<std::string_view> keys();
  static Result<Eighths> of(const Properties& object);
  [[nodiscard]] Properties properties() const;
  [[nodiscard]] Properties facts() const { return properties(); }

  [[nodiscard]] bool reads_tensor() const { return false; }
  [[nodiscard]] std::size_t reach() const { return 1; }
  [[nodiscard]] int significand_bits() const { return 53; }
  void round_row(std::span<const double> x, std::span<double> y, double tensor) const;
};

namespace mpfr {
void round_row(const Eighths& system, std::span<const double> x, std::span<double> y,
               double tensor);
}  // namespace mpfr

}  // namespace lamp
