// Sums of a panel of columns at a time, in any order of additions: what definitions of orders add.
#pragma once

#include <optional>
#include <utility>

#include "core/arith/gemm/columns.hpp"
#include "core/arith/gemm/kernels.hpp"
#include "core/arith/gemm/many_outputs.hpp"
#include "core/fp/vector_rounding.hpp"

namespace lamp::gemm_detail {

/// The arithmetics of a sum for vectors: of its steps and additions, and of its blocks.
struct ColumnSpecs {
  ColumnSpec outer, inner;
};

/// What definitions of orders add (core/arith/orders/row.hpp), for a panel of columns: every call
/// is one for all of them, and counts its roundings.
class SumOfColumns {
 public:
  using Value = Columns;
  const std::size_t n;
  const Value c{};

  /// a: one number a term, or a panel too; then lengths may say how many terms a column has, in the
  /// order sequential.
  SumOfColumns(const ColumnKernels& kernels, const ColumnSpecs& specs, std::size_t terms,
               TermOperands a, TermOperands b, bool panels = false,
               const Columns* lengths = nullptr)
      : n(terms),
        kernels_(kernels),
        specs_(specs),
        a_(a),
        b_(b),
        panels_(panels),
        lengths_(lengths) {}

  /// The columns whose sum may have other bits.
  [[nodiscard]] Unsure unsure() const { return unsure_; }

  [[nodiscard]] Value mac(std::size_t k, Value x) const { return chain(k, k + 1, 1, x); }
  [[nodiscard]] Value product(std::size_t k) const { return mac(k, {}); }
  [[nodiscard]] Value add(Value x, const Value& y) const {
    unsure_ |= kernels_.add(specs_.outer, y, step_++, x);
    return x;
  }
  [[nodiscard]] Value sub(Value x, const Value& y) const {
    unsure_ |= kernels_.subtract(specs_.outer, y, step_++, x);
    return x;
  }
  [[nodiscard]] std::pair<Value, Value> by_magnitude(Value x, Value y) const {
    kernels_.by_magnitude(x, y);
    return {x, y};
  }
  [[nodiscard]] Value chain(std::size_t first, std::size_t last, std::size_t step = 1,
                            Value x = {}) const {
    if (first >= last) return x;
    return run(specs_.outer, first, (last - first + step - 1) / step,
               static_cast<std::ptrdiff_t>(step), x);
  }
  [[nodiscard]] Value chain_down(std::size_t first, std::size_t last, Value x) const {
    return first >= last ? x : run(specs_.outer, last - 1, last - first, -1, x);
  }
  [[nodiscard]] Value block(std::size_t first, std::size_t last) const {
    return run(specs_.inner, first, last - first, 1, {});
  }
  [[nodiscard]] Value stored(Value x, const std::optional<FloatFormat>& part) const {
    if (part) round_values(x.x, x.x, *part);
    return x;
  }

 private:
  Value run(const ColumnSpec& spec, std::size_t first, std::size_t terms, std::ptrdiff_t step,
            Value x) const {
    const auto from = [&](TermOperands all) {
      return TermOperands{all.first + static_cast<std::ptrdiff_t>(first) * all.step,
                          step * all.step};
    };
    unsure_ |= panels_ ? kernels_.chain_of_panels(spec, from(a_), from(b_), terms, lengths_, x)
                       : kernels_.chain(spec, from(a_), from(b_), terms, step_, x);
    step_ += static_cast<std::uint32_t>(terms);
    return x;
  }

  const ColumnKernels& kernels_;
  const ColumnSpecs& specs_;
  TermOperands a_, b_;
  bool panels_;
  const Columns* lengths_;
  mutable Unsure unsure_ = 0;
  mutable std::uint32_t step_ = 0;
};

}  // namespace lamp::gemm_detail
