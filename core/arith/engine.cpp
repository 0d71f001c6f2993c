#include "core/arith/engine.hpp"

#include <array>

namespace lamp {
namespace {

/// Binary32 cut to 13 fraction bits, what Ada's and Hopper's FP8 passes deliver.
constexpr FloatFormat cut32{.p = 14, .emin = -126, .emax = 127};

constexpr EngineStep to_binary32(std::size_t products, int fraction_bits) {
  return {.products = products,
          .fraction_bits = fraction_bits,
          .output = binary32,
          .rounding = Rounding::rtz};
}
constexpr EngineStep to_binary16(std::size_t products, int fraction_bits) {
  return {.products = products,
          .fraction_bits = fraction_bits,
          .output = binary16,
          .rounding = Rounding::rne};
}
constexpr EngineStep to_cut32(std::size_t products) {
  return {.products = products, .fraction_bits = 13, .output = cut32, .rounding = Rounding::rtz};
}
/// With the clamp of the alignment exponent.
constexpr EngineStep from(int least_exponent, EngineStep step) {
  step.least_exponent = least_exponent;
  return step;
}
constexpr EngineStep by(EngineProtocol protocol, EngineStep step) {
  step.protocol = protocol;
  return step;
}
constexpr EngineStep fp8_to_binary16 = by(EngineProtocol::interleaved, to_binary16(32, 25));

constexpr std::array volta{
    EngineMode{binary16, binary32, to_binary32(4, 23), 23, 23},
    EngineMode{binary16, binary16, from(-19, to_binary16(4, 23)), 22, std::nullopt}};

constexpr std::array ampere{
    EngineMode{binary16, binary32, from(-132, to_binary32(8, 24)), 24, 24},
    EngineMode{bfloat16, binary32, from(-132, to_binary32(8, 24)), 24, 24},
    EngineMode{tf32, binary32, from(-132, to_binary32(4, 24)), 24, 24},
    EngineMode{binary16, binary16, from(-20, to_binary16(8, 24)), 24, std::nullopt}};

constexpr std::array ada{
    EngineMode{binary16, binary32, from(-132, to_binary32(8, 24)), 24, 24},
    EngineMode{bfloat16, binary32, from(-132, to_binary32(8, 24)), 24, 24},
    EngineMode{tf32, binary32, from(-132, to_binary32(4, 24)), 24, 24},
    EngineMode{binary16, binary16, from(-20, to_binary16(8, 24)), 22, std::nullopt},
    EngineMode{e4m3fn, binary32, to_cut32(16), 13, 13},
    EngineMode{e5m2, binary32, to_cut32(16), 13, 13},
    EngineMode{e4m3fn, binary16, to_binary16(16, 13), 13, 13},
    EngineMode{e5m2, binary16, to_binary16(16, 13), 13, 13}};

constexpr std::array hopper{
    EngineMode{binary16, binary32, from(-133, to_binary32(16, 25)), 25, 25},
    EngineMode{bfloat16, binary32, from(-133, to_binary32(16, 25)), 25, 25},
    EngineMode{tf32, binary32, from(-133, to_binary32(8, 25)), 25, 25},
    EngineMode{binary16, binary16, from(-21, to_binary16(16, 25)), 23, std::nullopt},
    EngineMode{e4m3fn, binary32, to_cut32(32), 13, 13},
    EngineMode{e5m2, binary32, to_cut32(32), 13, 13},
    EngineMode{e4m3fn, binary16, fp8_to_binary16, 17, std::nullopt},
    EngineMode{e5m2, binary16, fp8_to_binary16, 18, std::nullopt}};

constexpr EngineStep blackwell_fp8 = by(EngineProtocol::separate, to_binary32(32, 25));

constexpr std::array blackwell{
    EngineMode{binary16, binary32, from(-133, to_binary32(16, 25)), 25, 25},
    EngineMode{bfloat16, binary32, from(-133, to_binary32(16, 25)), 25, 25},
    EngineMode{tf32, binary32, from(-133, to_binary32(8, 25)), 25, 25},
    EngineMode{binary16, binary16, from(-21, to_binary16(16, 25)), 23, std::nullopt},
    EngineMode{e4m3fn, binary32, blackwell_fp8, 20, std::nullopt},
    EngineMode{e5m2, binary32, blackwell_fp8, 22, std::nullopt},
    EngineMode{e4m3fn, binary16, fp8_to_binary16, 17, std::nullopt},
    EngineMode{e5m2, binary16, fp8_to_binary16, 18, std::nullopt}};

constexpr std::string_view pinned_volta =
    "one step (K = 4) on V100: products, F and rounding to binary32; for binary16 output F >= 22";
constexpr std::string_view pinned_ampere =
    "one step (binary16, bfloat16: K = 8; tf32: K = 4) on A100 and A2: products, F and rounding to "
    "binary32; for binary16 output F >= 24";
constexpr std::string_view pinned_ada =
    "one step (binary16, bfloat16: K = 8; tf32: K = 4) and two (e4m3fn, e5m2: K = 32) on Ada and "
    "L40S (e4m3fn and e5m2 to binary16 on Ada "
    "only): products, F and rounding; for binary16 operands and output F >= 22";
constexpr std::string_view pinned_hopper =
    "one step (binary16, bfloat16: K = 16; e4m3fn, e5m2: K = 32) on H100 and H200: products, F and "
    "rounding to binary32, the two passes "
    "and the addition of c for binary16 output of e4m3fn and e5m2; for binary16 output F >= 23 "
    "(e4m3fn 17, e5m2 18)";
constexpr std::string_view pinned_blackwell =
    "one step (binary16, bfloat16: K = 16; e4m3fn, e5m2: K = 32) on B200: products, F and rounding "
    "to binary32, c added last for e4m3fn "
    "and e5m2, and their two passes for binary16 output; F >= 20 and 22 there (to binary16 17 and "
    "18), >= 23 for binary16 to binary16";

constexpr std::string_view open_everywhere =
    "sums of more than one step (in order of k, each from the last), infinities, NaN, overflow, "
    "signs of zero";
constexpr std::string_view open_hopper =
    "tf32 in steps of 8 (the vectors have K = 4); how c enters a step of e4m3fn or e5m2 to "
    "binary32 (the "
    "vectors have c = 0); sums of more than one step, infinities, NaN, overflow, signs of zero";
constexpr std::string_view open_blackwell =
    "tf32 in steps of 8 (the vectors have K = 4); how a pass of e4m3fn or e5m2 is rounded to "
    "binary32; "
    "sums of more than one step, infinities, NaN, overflow, signs of zero; block-scaled formats "
    "are not there";

constexpr std::string_view clamps_model =
    "as in MATLAB-tensor-core, state of 13 August 2026; no vector reaches them";
constexpr std::string_view clamps_h100 =
    "as in MATLAB-tensor-core, state of 13 August 2026 (a published measurement of bfloat16 to "
    "binary32 on H100 admits only -133, -125 and "
    "-124); no vector reaches them; none is known for e4m3fn and e5m2";
constexpr std::string_view clamps_fp8 =
    "as in MATLAB-tensor-core, state of 13 August 2026; no vector reaches them; none is known for "
    "e4m3fn and e5m2";

constexpr std::array presets{
    Engine{"v100", "", volta, pinned_volta, open_everywhere, clamps_model},
    Engine{"a100", "", ampere, pinned_ampere, open_everywhere, clamps_model},
    Engine{"a2", "a100", ampere, pinned_ampere, open_everywhere, clamps_model},
    Engine{"ada", "", ada, pinned_ada, open_everywhere, clamps_fp8},
    Engine{"l40s", "ada", ada, pinned_ada, open_everywhere, clamps_fp8},
    Engine{"h100", "", hopper, pinned_hopper, open_hopper, clamps_h100},
    Engine{"h200", "h100", hopper, pinned_hopper, open_hopper, clamps_h100},
    Engine{"b200", "", blackwell, pinned_blackwell, open_blackwell, clamps_fp8}};

}  // namespace

std::span<const Engine> engines() { return presets; }

const Engine* find_engine(std::string_view name) {
  for (const Engine& engine : presets)
    if (engine.name == name) return &engine;
  return nullptr;
}

std::string engine_names() {
  std::string names;
  for (const Engine& engine : presets) names.append(names.empty() ? "" : ", ").append(engine.name);
  return names;
}

std::string engine_modes(const Engine& engine) {
  std::string text;
  for (const EngineMode& mode : engine.modes)
    text.append(text.empty() ? "" : ", ")
        .append(format_name(mode.operands))
        .append(" to ")
        .append(format_name(mode.format));
  return text;
}

std::string engine_step_text(const EngineStep& step) {
  std::string text =
      std::to_string(step.products) + " products, F " + std::to_string(step.fraction_bits) + ", ";
  text += format_name(step.output == cut32 ? binary32 : step.output) + " " +
          std::string(rounding_name(step.rounding));
  if (step.output == cut32) text += " to 13 fraction bits";
  if (step.least_exponent) text += ", exponent at least " + std::to_string(*step.least_exponent);
  if (step.protocol == EngineProtocol::separate) text += ", c added last";
  if (step.protocol == EngineProtocol::interleaved)
    text += ", two passes over interleaved pairs, c added last";
  return text;
}

Result<Arithmetic> engine_arithmetic(std::string_view name, const FloatFormat& operands,
                                     const FloatFormat& format) {
  const Engine* engine = find_engine(name);
  if (engine == nullptr)
    return Error{ExitCode::bad_data,
                 "there is no engine \"" + std::string(name) + "\"; legal: " + engine_names()};
  for (const EngineMode& mode : engine->modes)
    if (mode.operands == operands && mode.format == format)
      return Arithmetic{.mac = {.operands = operands, .format = format},
                        .order = MatrixEngine{mode.step}};
  return Error{ExitCode::bad_data, "the engine " + std::string(name) + " has no operands " +
                                       format_name(operands) + " with format " +
                                       format_name(format) + "; legal: " + engine_modes(*engine)};
}

}  // namespace lamp
