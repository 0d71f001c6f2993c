#include "core/arith/gemm/by_program.hpp"

#include <algorithm>
#include <vector>

#include "core/arith/gemm/aligned_vector.hpp"
#include "core/arith/orders/program.hpp"
#include "core/arith/scalar.hpp"
#include "core/arith/stochastic.hpp"

// Only targets with a fused multiply-add, as in kernels.cpp.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/arith/gemm/by_program.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
//
#include <hwy/highway.h>

#ifndef LAMP_ARITH_PROGRAM_TILE
#define LAMP_ARITH_PROGRAM_TILE
namespace lamp::gemm_detail {

constexpr std::size_t most_rows = 4;  // of a tile; one where each row has a program of its own
constexpr std::size_t columns = PackedMatrix::panel_cols;

/// One or most_rows rows of `columns` sums each. a: the rows, b: (k, columns), sums: (program.sums,
/// rows, columns).
template <class T>
struct ProgramTile {
  const SumProgram* program = nullptr;
  std::array<const T*, most_rows> a{};
  std::size_t rows = 1;
  const T* b = nullptr;
  T* sums = nullptr;
};

}  // namespace lamp::gemm_detail
#endif

HWY_BEFORE_NAMESPACE();
namespace lamp::gemm_detail::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3

template <class T, bool fused, std::size_t rows>
void run_rows(const ProgramTile<T>& tile) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  constexpr std::size_t size = rows * columns;
  const auto each = [&](T* sum, auto&& operation) {
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t j = 0; j < columns; j += lanes) operation(sum + r * columns + j, r, j);
  };
  for (const SumOperation& step : tile.program->operations) {
    T* sum = tile.sums + step.sum * size;
    switch (step.kind) {
      case SumOperation::Kind::start:
      case SumOperation::Kind::mac: {
        const T* b = tile.b + step.from * columns;
        const bool starts = step.kind == SumOperation::Kind::start;
        each(sum, [&](T* s, std::size_t r, std::size_t j) {
          const auto x = hn::Set(d, tile.a[r][step.from]), y = hn::Load(d, b + j);
          const auto before = starts ? hn::Zero(d) : hn::Load(d, s);
          hn::Store(fused ? hn::MulAdd(x, y, before) : hn::Add(hn::Mul(x, y), before), d, s);
        });
        break;
      }
      case SumOperation::Kind::add_product: {
        const T* b = tile.b + step.from * columns;
        each(sum, [&](T* s, std::size_t r, std::size_t j) {
          const auto x = hn::Set(d, tile.a[r][step.from]), y = hn::Load(d, b + j);
          // The product rounded to the format. No sum is -0, so it need not be added to +0 first.
          hn::Store(hn::Add(hn::Load(d, s), fused ? hn::MulAdd(x, y, hn::Zero(d)) : hn::Mul(x, y)),
                    d, s);
        });
        break;
      }
      case SumOperation::Kind::add: {
        const T* other = tile.sums + step.from * size;
        each(sum, [&](T* s, std::size_t r, std::size_t j) {
          hn::Store(hn::Add(hn::Load(d, s), hn::Load(d, other + r * columns + j)), d, s);
        });
        break;
      }
      case SumOperation::Kind::add_zero:
        each(sum, [&](T* s, std::size_t, std::size_t) {
          hn::Store(hn::Add(hn::Load(d, s), hn::Zero(d)), d, s);
        });
        break;
      case SumOperation::Kind::step:
        contract_violated("gemm_by_program: an order of additions");
    }
  }
}

template <class T>
void run_program(const ProgramTile<T>& tile, bool fused) {
  if (tile.rows == 1)
    fused ? run_rows<T, true, 1>(tile) : run_rows<T, false, 1>(tile);
  else
    fused ? run_rows<T, true, most_rows>(tile) : run_rows<T, false, most_rows>(tile);
}

void program32(const ProgramTile<float>& tile, bool fused) { run_program(tile, fused); }
void program64(const ProgramTile<double>& tile, bool fused) { run_program(tile, fused); }

#else

void program32(const ProgramTile<float>&, bool) {
  contract_violated("gemm_by_program: AVX2 or AVX-512");
}
void program64(const ProgramTile<double>&, bool) {
  contract_violated("gemm_by_program: AVX2 or AVX-512");
}

#endif

}  // namespace lamp::gemm_detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp::gemm_detail {
namespace {

/// Whether the order consists of additions, and of more than one chain: the kernels of gemm are
/// faster for a lone one.
bool has_program(const Arithmetic& arithmetic) {
  const OrderRow& row = row_of(arithmetic.order);
  return row.kind == SumKind::tree && row.made_of != MadeOf::chain &&
         !(row.has_blocks && arithmetic.block);
}

/// The rows of A, converted to T; entries beyond a row's terms stay zero.
template <class T>
AlignedVector<T> copied_rows(MatrixView<const double> a, Shape shape) {
  AlignedVector<T> rows(a.rows * a.cols);
  for (std::size_t i = 0; i < a.rows; ++i)
    for (std::size_t k = 0; k < shape.terms(i, a.cols); ++k)
      rows[i * a.cols + k] = static_cast<T>(a(i, k));
  return rows;
}

template <class T, class Panel, class Run>
void gemm_in(const Order& order, MatrixView<const double> a, const PackedMatrix& b,
             MatrixView<double> out, Shape shape, Panel&& panel, Run&& run) {
  const AlignedVector<T> rows = copied_rows<T>(a, shape);
  const bool triangular = shape.kind == Shape::lower_operand;
  const std::size_t height =
      triangular || a.rows == 1 ? 1 : most_rows;  // rows of other lengths have other programs
  SumProgram program;
  if (!triangular) write_program(order, a.cols, program);
  AlignedVector<T> sums;
  for (std::size_t i0 = 0; i0 < a.rows; i0 += height) {
    const std::size_t count = std::min(height, a.rows - i0);
    if (triangular && (i0 == 0 || shape.terms(i0, a.cols) != shape.terms(i0 - 1, a.cols)))
      write_program(order, shape.terms(i0, a.cols), program);
    sums.resize(std::max(sums.size(), program.sums * height * columns));
    ProgramTile<T> tile{.program = &program, .rows = height, .sums = sums.data()};
    for (std::size_t r = 0; r < height; ++r)
      tile.a[r] = rows.data() + (i0 + std::min(r, count - 1)) * a.cols;
    for (std::size_t q = 0; q < b.panels(); ++q) {
      const std::size_t j0 = q * columns;
      if (shape.columns(i0 + count - 1, out.cols) <= j0) break;
      tile.b = panel(q);
      run(tile);
      for (std::size_t r = 0; r < count; ++r) {
        const std::size_t end = std::min(j0 + columns, shape.columns(i0 + r, out.cols));
        for (std::size_t j = j0; j < end; ++j)
          out(i0 + r, j) =
              static_cast<double>(sums[(program.result * height + r) * columns + j - j0]);
      }
    }
  }
}

}  // namespace

bool program_serves(const Arithmetic& arithmetic, bool binary32_operands) {
  const MacSpec& mac = arithmetic.mac;
  const FloatFormat& format = mac.format;
  const bool plain = !mac.operands && mac.rounding == Rounding::rne &&
                     (!mac.via || *mac.via == format) && (!mac.product || *mac.product == format);
  return plain && has_program(arithmetic) && part_of(arithmetic.order) == nullptr &&
         (format == binary64 || (format == binary32 && binary32_operands));
}

void gemm_by_program(const Arithmetic& arithmetic, MatrixView<const double> a,
                     const PackedMatrix& b, MatrixView<double> out, Shape shape, Backend backend) {
  const bool fused = !arithmetic.mac.product;
#if HWY_TARGETS & HWY_AVX3
  const bool wide = backend == Backend::avx512;
#else
  const bool wide = false;
#endif
  if (arithmetic.mac.format == binary32) {
    gemm_in<float>(
        arithmetic.order, a, b, out, shape, [&](std::size_t q) { return b.panel32(q); },
        [&](const ProgramTile<float>& tile) {
#if HWY_TARGETS & HWY_AVX3
          if (wide) return N_AVX3::program32(tile, fused);
#endif
          N_AVX2::program32(tile, fused);
        });
    return;
  }
  AlignedVector<double> widened;
  const auto panel = [&](std::size_t q) {
    if (!b.is_binary32()) return b.panel64(q);
    widened.assign(b.panel32(q), b.panel32(q) + b.rows() * columns);
    return static_cast<const double*>(widened.data());
  };
  gemm_in<double>(arithmetic.order, a, b, out, shape, panel, [&](const ProgramTile<double>& tile) {
#if HWY_TARGETS & HWY_AVX3
    if (wide) return N_AVX3::program64(tile, fused);
#endif
    N_AVX2::program64(tile, fused);
  });
}

}  // namespace lamp::gemm_detail
#endif
