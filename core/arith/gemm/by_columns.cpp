#include "core/arith/gemm/by_columns.hpp"

#include <algorithm>
#include <bit>
#include <vector>

#include "core/arith/gemm/aligned_vector.hpp"
#include "core/arith/gemm/marks.hpp"
#include "core/arith/gemm/sum_of_columns.hpp"
#include "core/arith/orders/ordered_dot.hpp"
#include "core/arith/stochastic.hpp"

namespace lamp::gemm_detail {
bool columns_serve(const Arithmetic& arithmetic) {
  return runs_on_many_outputs(arithmetic.order) && vector_spec(arithmetic.mac) &&
         vector_spec(arithmetic.steps());
}

void gemm_by_columns(const Arithmetic& arithmetic, MatrixView<const double> a,
                     const PackedMatrix& b, MatrixView<double> out, Shape shape, const Marks* marks,
                     Backend backend) {
  const ColumnKernels& kernels = column_kernels(backend);
  const std::size_t m = a.rows, n = a.cols;
  const MacSpec& steps = arithmetic.steps();
  const auto round_operands = [&](std::span<double> x) {
    if (steps.operands) round_values(x, x, *steps.float_operands(), steps.operand_rounding);
  };
  AlignedVector<double> rows(m * n), panel(n * panel_cols);
  for (std::size_t i = 0; i < m; ++i) {
    const std::span<double> row(rows.data() + i * n, n);
    for (std::size_t k = 0; k < shape.terms(i, n); ++k) row[k] = a(i, k);
    round_operands(row);
  }
  Arithmetic rounded = arithmetic;
  rounded.steps().operands.reset();
  ColumnDraws outer_draws{.stream = arithmetic.draws, .bits = arithmetic.mac.random_bits};
  ColumnDraws inner_draws{.stream = arithmetic.draws, .bits = arithmetic.steps().random_bits};
  ColumnSpecs specs{.outer = {.spec = *vector_spec(arithmetic.mac)},
                    .inner = {.spec = *vector_spec(arithmetic.steps()), .what = DrawFor::block}};
  if (is_stochastic(arithmetic.mac)) specs.outer.draws = &outer_draws;
  if (is_stochastic(arithmetic.steps())) specs.inner.draws = &inner_draws;
  std::vector<double> column(n);
  const auto naive = [&](std::size_t i, std::size_t j, std::size_t terms) {
    for (std::size_t k = 0; k < terms; ++k) column[k] = panel[k * panel_cols + j % panel_cols];
    const std::span<const double> row(rows.data() + i * n, terms);
    out(i, j) = visit_outputs(rounded, false, [&](const auto& output) {
      return ordered_dot(output(i, j), rounded, row, std::span(column).first(terms));
    });
  };
  std::visit(
      [&]<class O>(const O& order) {
        if constexpr (adds<O>) {
          for (std::size_t q = 0; q < b.panels(); ++q) {
            const std::size_t j0 = q * panel_cols;
            if (b.is_binary32())
              std::copy_n(b.panel32(q), panel.size(), panel.begin());
            else
              std::copy_n(b.panel64(q), panel.size(), panel.begin());
            round_operands(panel);
            for (std::size_t i = 0; i < m; ++i) {
              const std::size_t end = std::min(j0 + panel_cols, shape.columns(i, out.cols));
              if (end <= j0 || (marks != nullptr && !has_mark(*marks, i, j0, panel_cols))) continue;
              const std::size_t terms = shape.terms(i, n);
              for (ColumnDraws* draws : {&outer_draws, &inner_draws})
                draws->row = arithmetic.draws.first_row + static_cast<std::uint32_t>(i),
                draws->first_column = static_cast<std::uint32_t>(j0);
              const SumOfColumns sum(kernels, specs, terms, {rows.data() + i * n, 1},
                                     {panel.data(), panel_cols});
              const Columns sums = order.sum(sum);
              for (std::size_t j = j0; j < end; ++j) {
                if ((sum.unsure() >> (j - j0) & 1) != 0)
                  naive(i, j, terms);
                else
                  out(i, j) = sums.x[j - j0];
              }
            }
          }
        }
      },
      arithmetic.order);
}

}  // namespace lamp::gemm_detail
