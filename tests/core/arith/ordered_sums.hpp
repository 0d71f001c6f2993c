// Sums in an order by its text, and the specifications that tests of orders go through.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/arith/scalar.hpp"
#include "tests/core/arith/orders.hpp"
#include "tests/support/formats.hpp"

namespace lamp::test {

inline Arithmetic in_order(const std::string& order, const MacSpec& mac = {},
                           std::optional<MacSpec> block = {}) {
  return {.mac = mac, .order = order_of(order), .block = block};
}

inline double sum(const std::string& order, const Operands& o, const MacSpec& mac = {},
                  double c = 0.0, std::optional<MacSpec> block = {}) {
  return dot(in_order(order, mac, block), o.x, o.y, c);
}

/// The terms t_k = t_k * 1.
inline Operands terms(std::vector<double> t) {
  std::vector<double> ones(t.size(), 1.0);
  return {std::move(t), std::move(ones)};
}

inline const std::array specs{
    MacSpec{},
    MacSpec{.via = binary32, .format = ps(7)},
    MacSpec{.format = ps(3)},
    MacSpec{.format = binary64},
    MacSpec{.product = binary16, .format = binary16},
    MacSpec{.operands = bfloat16, .product = binary32},
    MacSpec{.operands = e4m3fn,
            .via = binary32,
            .format = binary16,
            .rounding = Rounding::rtz,
            .operand_rounding = Rounding::rna},
    MacSpec{.operands = e5m2,
            .format = e4m3fn,
            .rounding = Rounding::rtn,
            .operand_rounding = Rounding::rtz},
    MacSpec{.format = {.p = 14, .emin = -126, .emax = 127}, .rounding = Rounding::rtz},
    MacSpec{.via = tf32, .format = ps(5), .rounding = Rounding::rna},
    MacSpec{.format = e3m2fn, .rounding = Rounding::rto},
    MacSpec{.format = binary16, .rounding = Rounding::rtp}};
inline const std::array<std::optional<MacSpec>, 3> blocks{
    std::nullopt, MacSpec{},
    MacSpec{.operands = ps(7),
            .format = binary64,
            .rounding = Rounding::rtz,
            .operand_rounding = Rounding::rtz}};
/// Numbers 1 apart in [8, 16), 2 in [16, 32), 4 in [32, 64).
inline constexpr MacSpec four_bits{.format = {.p = 4, .emin = -20, .emax = 20}};

}  // namespace lamp::test
