#include "core/arith/gemm/evaluation.hpp"

#include "core/arith/gemm/by_columns.hpp"
#include "core/arith/gemm/by_tiles.hpp"
#include "core/arith/gemm/engine.hpp"
#include "core/arith/gemm/kernels.hpp"
#include "core/arith/gemm/plan.hpp"

namespace lamp {

Evaluation evaluation_of(const Arithmetic& arithmetic, std::size_t rows, std::size_t terms,
                         bool binary32_operands, Backend backend) {
  using namespace gemm_detail;           // NOLINT: what it chooses among
  if (arithmetic.steps().rounds_rows())  // by gemm_of_rows, then as they are
    return evaluation_of(of_rounded_rows(arithmetic), rows, terms, binary32_operands, backend);
  backend = resolved(backend);
  if (backend == Backend::scalar) return Evaluation::naive;
  if (is<Sequential>(arithmetic.order)) {
    const KernelSet set = kernel_set(backend);
    if (binary32_operands && plan32(arithmetic.mac, set)) return Evaluation::kernel32;
    const bool narrow = binary32_operands && arithmetic.mac.format != binary64;
    if (plan64(arithmetic.mac, narrow, set)) return Evaluation::kernel64;
  }
  if (rows == 0 || terms == 0) return Evaluation::naive;
  if (engine_step(arithmetic.order) != nullptr && has_engine_kernel(arithmetic, backend))
    return Evaluation::engine_kernel;
  if (tiles_serve(arithmetic, binary32_operands, backend)) return Evaluation::by_tiles;
  if (is<Exact>(arithmetic.order) && binary32_operands) return Evaluation::exact_sums;
  if (columns_serve(arithmetic)) return Evaluation::by_columns;
  return Evaluation::naive;
}

}  // namespace lamp
