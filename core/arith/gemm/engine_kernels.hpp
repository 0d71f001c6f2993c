// What engine.cpp asks of the vector kernels of matrix engines; engine_kernels.cpp compiles
// them once for each instruction set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/arith/gemm/kernels.hpp"

namespace lamp::gemm_detail {

/// How the exact sum of a pass leaves the unit: cut to binary32, cut to 13 fraction bits, or
/// rounded RNE to binary16.
enum class EngineOutput : std::uint8_t { binary32_rtz, fraction13_rtz, binary16_rne };

/// The exponent of a zero operand: added to any other operand's, it is below that of every product.
inline constexpr std::int16_t no_exponent = -8192;

/// What every step does. `products`: of one pass, an even number; an interleaved step is two
/// passes.
struct EngineConstants {
  std::size_t products = 0;
  int fraction_bits = 0;            // F
  int least_exponent = 0;           // the least exponent of c: emin of the passes' output
  int least_largest = no_exponent;  // the least E: the clamp
};

/// c(r, j) = the engine's sum from +0 over k < steps[r] products or pairs of passes, r < rows.
/// steps is nondecreasing in r. Operands are finite and rounded; their exponents are at least emin
/// of the operands' format, no_exponent for zeros. A row of a ends with zeros where its last pass
/// is short, and b does as well.
struct EngineTile {
  std::array<const float*, tile_rows> a{};
  std::array<const std::int32_t*, tile_rows> a_exponents{};  // each twice, in both halves
  std::array<std::size_t, tile_rows> steps{};
  std::size_t rows = 0;
  const float* b = nullptr;                   // one panel, panel_cols columns a row
  const std::int16_t* b_exponents = nullptr;  // the same shape
  float* c = nullptr;                         // (rows, panel_cols)
  EngineConstants constants;
};

/// Bit r is set where row r of c must not be used: a sum became infinite, or all that a pass added
/// is very small. Pre: products of operands are below 2^127; 10 <= F; what an accumulator holds
/// stays below 2^31 (engine.cpp).
using EngineKernel = std::uint32_t (*)(const EngineTile&);
/// Exponents of n binary32 numbers, at least emin; no_exponent for zeros.
using EngineExponents = void (*)(const float* x, std::size_t n, int emin, std::int16_t* exponents);

struct EngineKernelSet {
  /// Null where the instruction set has no such kernel. `small`: the exact sum of a pass, in units
  /// of 2^(E - F), is below 2^31.
  EngineKernel (*kernel)(EngineProtocol, EngineOutput, bool small) = nullptr;
  EngineExponents exponents = nullptr;
};

/// Pre: available(backend), backend is avx2 or avx512.
EngineKernelSet engine_kernel_set(Backend backend);

}  // namespace lamp::gemm_detail
