// What one multiply-accumulate is, and in which order a sum of them is taken: data, no code paths (method.md sections 2, 3).
#pragma once

#include <optional>
#include <string>

#include "core/fp/format.hpp"
#include "core/fp/rounding.hpp"

namespace lamp {

/// c <- c + a*b as the decisions it consists of.
struct MacSpec {
  std::optional<FloatFormat> operands{};  // absent: as-is. Else a, b are rounded to it once, RNE
  std::optional<FloatFormat> product{};   // absent: exact, one rounding of a*b + c. Else the product is rounded to it first, by `rounding`
  std::optional<FloatFormat> via{};       // absent: none. Else every sum is rounded RNE to it, then by `rounding` to `format`
  FloatFormat format = binary32;        // where the accumulator lives after the step
  Rounding rounding = Rounding::rne;

  friend bool operator==(const MacSpec&, const MacSpec&) = default;
};

enum class OrderKind : std::uint8_t { sequential };

struct Order {
  OrderKind kind = OrderKind::sequential;
  friend bool operator==(const Order&, const Order&) = default;
};

/// The arithmetic of a site: how one step rounds, and in which order sums are taken.
struct Arithmetic {
  MacSpec mac;
  Order order;
  friend bool operator==(const Arithmetic&, const Arithmetic&) = default;
};

/// The preset `lamp-paper`: exact product, via binary32, PS(mu), RNE, sequential: the reference code of [LAMP].
constexpr Arithmetic lamp_paper(int mu) { return {.mac = {.via = binary32, .format = ps(mu)}, .order = {}}; }
/// Fused multiply-add in `format`, RNE, sequential.
constexpr Arithmetic fused(const FloatFormat& format) { return {.mac = {.format = format}, .order = {}}; }

}  // namespace lamp
