// How a product of matrices is evaluated: one decision, which gemm takes and `lamp plan` prints.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/arith/gemm/backend.hpp"
#include "core/arith/spec.hpp"
#include "core/base/names.hpp"

namespace lamp {

/// `kernel32`, `kernel64`: sequential sums in lanes of binary32 or binary64 (plan.hpp).
/// `engine_kernel`: the steps of a matrix engine (engine.hpp). `by_tiles`: any order of additions
/// or compensated additions, on the same kernels and lanes (by_tiles.hpp). `by_columns`: the same
/// in any arithmetic that vectors have (by_columns.hpp). `exact_sums`: order exact (exact.hpp).
/// `naive`: every output by itself in scalar code, the definition.
enum class Evaluation : std::uint8_t {
  kernel32,
  kernel64,
  engine_kernel,
  by_tiles,
  by_columns,
  exact_sums,
  naive
};

inline constexpr std::array<NamedValue<Evaluation>, 7> evaluation_names{
    {{"kernel-32", Evaluation::kernel32},
     {"kernel-64", Evaluation::kernel64},
     {"engine-kernel", Evaluation::engine_kernel},
     {"by-tiles", Evaluation::by_tiles},
     {"by-columns", Evaluation::by_columns},
     {"exact-sums", Evaluation::exact_sums},
     {"naive", Evaluation::naive}}};
static_assert(names_all(evaluation_names));

/// How gemm evaluates the product of a (rows, terms) and any matrix. Neither the number of columns
/// matters, nor the Shape. `binary32_operands`: every operand, after its rounding to `operands`, is
/// a binary32 number; gemm finds that out, and a plan may take it from the formats. Tiles that an
/// engine's kernel is not proven for are naive all the same. Pre: available(backend), fits_binary64
/// of every format.
Evaluation evaluation_of(const Arithmetic& arithmetic, std::size_t rows, std::size_t terms,
                         bool binary32_operands, Backend backend = Backend::automatic);

}  // namespace lamp
