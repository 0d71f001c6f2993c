// From the specification of a multiply-accumulate to the kernel that is proven to have its bits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>

#include "core/arith/gemm/kernels.hpp"
#include "core/arith/spec.hpp"

namespace lamp::gemm_detail {

/// What the products of two matrices of binary32 numbers have to be: at most `largest`, and where
/// they are not zero, of operands whose exponents add up to `lowest` at least.
struct Guard {
  double largest = -1.0;
  int lowest = std::numeric_limits<int>::min();
};
bool holds(const Guard& guard, MagnitudeRange a, MagnitudeRange b);

/// A kernel and its numbers. `guarded_kernel` is faster, and right where the guard holds and the
/// sum starts from +0; it may be null.
template <class T>
struct Plan {
  Kernel<T> kernel = nullptr;
  Kernel<T> guarded_kernel = nullptr;
  Guard guard{};
  StepConstants<T> constants;

  [[nodiscard]] Kernel<T> kernel_for(MagnitudeRange a, MagnitudeRange b) const {
    return guarded_kernel != nullptr && holds(guard, a, b) ? guarded_kernel : kernel;
  }
};

/// The kernel in lanes of binary32, for operands that are all binary32 numbers. Nothing where no
/// kernel of the set has the specification's bits.
std::optional<Plan<float>> plan32(const MacSpec& mac, const KernelSet& set);
/// The kernel in lanes of binary64, for any operands. More specifications have one where all
/// operands (after rounding to `operands`) are binary32 numbers.
std::optional<Plan<double>> plan64(const MacSpec& mac, bool binary32_operands,
                                   const KernelSet& set);

/// The same for another summation than of steps, in which there is no guarded kernel.
std::optional<Plan<float>> summation32(const MacSpec& mac, Summation summation,
                                       const KernelSet& set);
std::optional<Plan<double>> summation64(const MacSpec& mac, Summation summation,
                                        const KernelSet& set);

/// The lone additions of a specification, of any numbers of the lanes.
template <class T>
struct AdditionPlan {
  AdderPair<T> adders;
  StepConstants<T> constants;
};
/// Nothing where no additions of the set have the specification's bits.
std::optional<AdditionPlan<float>> additions32(const MacSpec& mac, const KernelSet& set);
std::optional<AdditionPlan<double>> additions64(const MacSpec& mac, const KernelSet& set);

/// How a binary32 number is rounded to `format` in binary32 lanes; nothing where the lanes cannot.
std::optional<Round> round32(const FloatFormat& format);
Target<float> target32(const FloatFormat& format);

/// Exponent of a binary32 magnitude; that of the subnormals is emin, whose last bit they share.
constexpr int exponent32(std::uint32_t magnitude) {
  return std::max(static_cast<int>(magnitude >> 23), 1) - 127;
}

}  // namespace lamp::gemm_detail
