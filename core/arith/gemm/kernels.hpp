// What gemm.cpp asks of the vector kernels: one multiply-accumulate as three decisions, and how a
// sum is made of them (a StepShape), the numbers they need, and a kernel for a tile of outputs.
// kernels.cpp compiles them once for each instruction set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/arith/gemm/gemm.hpp"

namespace lamp::gemm_detail {

/// A kernel fills a tile of at most tile_rows x panel_cols outputs: all columns of one panel of B.
inline constexpr std::size_t tile_rows = 8;
inline constexpr std::size_t panel_cols = PackedMatrix::panel_cols;

/// How a * b enters the sum. `fused`: exactly. `lanes`: rounded RNE to the format of the lanes
/// (binary32 or binary64) first. `rounded`: rounded, once, to the product's own format first.
/// `rounded_exact`: the same where a * b is a number of the lanes.
enum class Product : std::uint8_t { fused, lanes, rounded, rounded_exact };

constexpr bool is_rounded(Product product) { return product >= Product::rounded; }

/// How the sum is rounded before its format's rounding. `nearest`: RNE to the format of the lanes.
/// `odd`: to odd there, so that the next rounding is the only one; it needs p <= lanes' p - 2.
/// `odd_via`: to odd, then RNE to the format `via`. `toward_zero`, `up`, `down`: in that direction,
/// as the next rounding does.
enum class Sum : std::uint8_t { nearest, odd, odd_via, toward_zero, up, down };

/// How a number of the lanes is rounded to p bits, RNE unless it says otherwise; k is the lanes' p
/// minus the format's. `none`: it is there already. `normal`: two multiply-adds; right for zeros
/// and normal numbers whose sign is not that of -0, below 2^(emax - k + 1). `integer`: on the bits;
/// right for every number of a format with the lanes' emin, emax and infinities; k >= 1, p >= 2.
/// `full`: two multiply-adds, gradual underflow at any emin, overflow above any xmax to infinity or
/// NaN; k >= 2, emax + k below the lanes' emax, and no last bit below their smallest normal number.
/// `saturating`: the same, overflow gives xmax. `bounded`: either, where nothing overflows.
/// `toward_zero`, `up`, `down`, `to_odd`, `away`: RTZ, RTP, RTN, RTO and RNA, on the bits; right
/// for what `integer` is right for.
enum class Round : std::uint8_t {
  none,
  normal,
  integer,
  full,
  saturating,
  bounded,
  toward_zero,
  up,
  down,
  to_odd,
  away
};

constexpr bool is_directed(Round round) { return round >= Round::toward_zero; }

/// What becomes of products. `steps`: a multiply-accumulate each. `alone`: rounded alone, which is
/// a step from +0, then added. `kahan`, `neumaier`: these orders, whose products are rounded alone.
/// Additions are rounded as the step's sum is.
enum class Summation : std::uint8_t { steps, alone, kahan, neumaier };

struct StepShape {
  Product product = Product::fused;
  Sum sum = Sum::nearest;
  Round round = Round::none;
  Summation summation = Summation::steps;
  friend bool operator==(const StepShape&, const StepShape&) = default;
};

/// The numbers that a rounding to a format needs.
template <class T>
struct Target {
  T scale = 1;             // 2^k; 1.5 2^k for `full`, `saturating` and `bounded`
  T last_bit = 1;          // 2^(1-p)
  T smallest_normal = 0;   // 2^emin
  T largest = 0;           // xmax
  T overflow = 0;          // infinity or NaN
  std::uint32_t half = 0;  // 2^(k-1); binary32 lanes only
};

template <class T>
struct StepConstants {
  Target<T> product, via, format;
};

/// Panels of B that one row is multiplied with at a time: a row of one panel has too few sums to
/// take turns.
inline constexpr std::size_t panels_of_row = 4;

/// c(r, j) = sum over k < steps[r] of a[r][k] b(k, j), r < rows, from +0 or from what c is. steps
/// is nondecreasing in r. b: one panel, panel_cols columns a row; or panels_of_row panels, where
/// rows = 1. Terms may be every few ones of longer rows and a larger panel, or stand in descending
/// order.
template <class T>
struct Tile {
  std::array<const T*, tile_rows> a{};
  std::array<std::size_t, tile_rows> steps{};
  std::size_t rows = 0;
  std::ptrdiff_t a_stride = 1;  // from one term of a row to the next
  const T* b = nullptr;
  std::ptrdiff_t b_stride = panel_cols;  // from one row of b to the next
  std::size_t panels = 1;
  std::size_t panel_stride = 0;  // from one panel to the next
  T* c = nullptr;                // (rows, panel_cols) or, of panels, (panels, panel_cols)
  bool from_c = false;
  StepConstants<T> constants;
};

template <class T>
using Kernel = void (*)(const Tile<T>&);

/// z = x + y, or x - y, rounded as `sum` and `round` say, n numbers of each; a multiple of a
/// panel's columns. z may be x or y.
template <class T>
using Adder = void (*)(const StepConstants<T>&, const T* x, const T* y, std::size_t n, T* z);
template <class T>
struct AdderPair {
  Adder<T> add = nullptr, subtract = nullptr;
};

/// The larger and the smaller magnitude of x and y, x where they are equal.
template <class T>
using ByMagnitude = void (*)(const T* x, const T* y, std::size_t n, T* larger, T* smaller);

/// y = x in binary32, every NaN the same one; extends `range`. False where an element is not a
/// binary32 number.
using Narrow = bool (*)(const double* x, std::size_t n, float* y, MagnitudeRange& range);
/// y = x rounded to a format, all elements binary32 numbers; extends `range` by the results. x and
/// y may be the same memory.
using RoundValues = void (*)(const Target<float>&, Round, const float* x, std::size_t n, float* y,
                             MagnitudeRange& range);

/// y = x in binary64, exactly.
using Widen = void (*)(const float* x, std::size_t n, double* y);

/// The functions of one instruction set; a kernel is null where the instruction set has none of
/// that shape.
struct KernelSet {
  Narrow narrow = nullptr;
  Widen widen = nullptr;
  RoundValues round_values = nullptr;
  Kernel<float> (*kernel32)(StepShape) = nullptr;
  Kernel<double> (*kernel64)(StepShape) = nullptr;
  AdderPair<float> (*adders32)(Sum, Round) = nullptr;
  AdderPair<double> (*adders64)(Sum, Round) = nullptr;
  ByMagnitude<float> by_magnitude32 = nullptr;
  ByMagnitude<double> by_magnitude64 = nullptr;
};

/// Kernels of avx2 or avx512; those of `scalar` only narrow and widen. Pre: available(backend),
/// backend is not automatic.
KernelSet kernel_set(Backend backend);

}  // namespace lamp::gemm_detail
