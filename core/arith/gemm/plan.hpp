// From the specification of a multiply-accumulate to the kernel that is proven to have its bits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "core/arith/gemm/kernels.hpp"
#include "core/arith/spec.hpp"

namespace lamp::gemm_detail {

/// A kernel and its numbers. `normal_kernel` is faster and right only where stays_normal holds; it
/// may be null.
template <class T>
struct Plan {
  Kernel<T> kernel = nullptr;
  Kernel<T> normal_kernel = nullptr;
  StepConstants<T> constants;
};

/// The kernel in lanes of binary32, for operands that are all binary32 numbers. Nothing where no
/// kernel of the set has the specification's bits.
std::optional<Plan<float>> plan32(const MacSpec& mac, const KernelSet& set);
/// The kernel in lanes of binary64, for any operands. More specifications have one where all
/// operands (after rounding to `operands`) are binary32 numbers.
std::optional<Plan<double>> plan64(const MacSpec& mac, bool binary32_operands,
                                   const KernelSet& set);

/// The same for another summation than of steps, in which there is no normal kernel.
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

/// Whether no partial sum of products of numbers in the two ranges is subnormal, -0, or so large
/// that Round::normal overflows, for any p from 2 to 23 (a proof is at the definition). Both ranges
/// are of binary32 numbers.
bool stays_normal(MagnitudeRange a, MagnitudeRange b);

}  // namespace lamp::gemm_detail
