// Block formats: B values along a row share one scale (OCP MX 1.0; NVFP4).
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/fp/format.hpp"
#include "core/fp/properties.hpp"

namespace lamp {

/// t, which all blocks of a tensor share: a number, or `automatic`: the smallest that brings the
/// scales of the largest blocks to the scale format's xmax.
struct TensorScale {
  bool automatic = false;
  double number = 1.0;  // a positive binary32 number
  friend bool operator==(const TensorScale&, const TensorScale&) = default;
};

/// A value is element * scale * t; the elements of a block are `size` neighbours in a row, the last
/// block may be short. M is the largest finite magnitude of the block. With p = 1 the scale is
/// 2^(floor(log2 M) - emax of the element), clamped to the scale format, and t is 1; else it is the
/// quotient M / (xmax of the element * t) rounded, saturating, never 0. Elements are x / (scale t)
/// rounded, saturating; infinities become +-xmax, NaN stays. Every rounding is one RNE of the exact
/// quotient.
struct BlockFormat {
  FloatFormat element;
  FloatFormat scale;
  std::size_t size = 32;
  TensorScale tensor_scale{};

  friend bool operator==(const BlockFormat&, const BlockFormat&) = default;

  static constexpr std::string_view kind = "block format";
  static std::vector<std::string_view> names();
  static std::optional<BlockFormat> named(std::string_view name);
  static std::vector<std::string_view> keys();
  /// {element =, scale =, size =[, tensor_scale =]}; the error names the key and what is legal.
  static Result<BlockFormat> of(const Properties& object);
  [[nodiscard]] Properties properties() const;
  [[nodiscard]] Properties facts() const;

  /// t is that of the largest finite magnitude of all the rows.
  [[nodiscard]] bool reads_tensor() const { return tensor_scale.automatic; }
  void round_row(std::span<const double> x, std::span<double> y, double tensor) const;
  [[nodiscard]] std::size_t reach() const { return size; }
  [[nodiscard]] int significand_bits() const { return element.p; }

  /// t of a tensor whose largest finite magnitude is `tensor`.
  [[nodiscard]] double tensor_factor(double tensor) const;
  /// The scale of a block whose largest finite magnitude is `largest`.
  [[nodiscard]] double block_scale(double largest, double factor) const;
};

/// The fields make a block format all of whose values are binary64 numbers; the error names the
/// field and what is legal.
Result<void> check_block_format(const BlockFormat& format);

namespace mpfr {
/// BlockFormat::round_row a second time, on MPFR (core/mpfr/block_format.cpp).
void round_row(const BlockFormat& format, std::span<const double> x, std::span<double> y,
               double tensor);
}  // namespace mpfr

}  // namespace lamp
