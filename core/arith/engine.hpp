// Matrix engines of known GPUs: which inputs and outputs each has, what one step does, and what
// measured vectors say of it. Source: outputs measured on V100, A100, A2, Ada, L40S, H100, H200 and
// B200 (data/matrix-engines), all of which the table reproduces; the model is that of Fasi, Higham,
// Mikaitis and Pranesh, "Numerical behavior of NVIDIA tensor cores", PeerJ Computer Science (2021).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/arith/spec.hpp"
#include "core/base/result.hpp"

namespace lamp {

/// One pair of operand and output formats, what a step does with it, and the least and the most F
/// (both inclusive; absent: any larger F) with which the step gives every output that was measured
/// on the engine's GPUs.
struct EngineMode {
  FloatFormat operands;
  FloatFormat format;
  EngineStep step;
  int least_fraction_bits;
  std::optional<int> most_fraction_bits;
};

/// An engine under one of its names. `same_as`: the name of the engine that this is another name
/// for; empty where there is none.
struct Engine {
  std::string_view name;
  std::string_view same_as;
  std::span<const EngineMode> modes;
  std::string_view pinned;  // what the vectors say
  std::string_view open;    // and what they do not
  std::string_view clamps;  // where the steps' least_exponent is from
};

/// v100, a100, a2, ada, l40s, h100, h200, b200.
std::span<const Engine> engines();
/// The engine of a name, or null.
const Engine* find_engine(std::string_view name);

/// The operands where a config names none: binary16, which every engine has. The format where it
/// names none: binary32.
inline constexpr FloatFormat default_engine_operands = binary16;
inline constexpr FloatFormat default_engine_format = binary32;

/// The arithmetic of a GEMM on the engine: operands are rounded to `operands` RNE, lone operations
/// RNE to `format`. An error names what the engine has.
Result<Arithmetic> engine_arithmetic(std::string_view engine, const FloatFormat& operands,
                                     const FloatFormat& format);

/// "v100, a100, ..".
std::string engine_names();
/// "binary16 to binary32, ..": the pairs of operands and format that the engine has.
std::string engine_modes(const Engine& engine);
/// "16 products, F 25, binary32 RTZ".
std::string engine_step_text(const EngineStep& step);

}  // namespace lamp
