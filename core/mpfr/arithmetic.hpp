// The scalar arithmetic, dot and gemm of core/arith a second time, on MPFR: naive loops in the
// words of method.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "core/arith/gemm/gemm.hpp"
#include "core/arith/spec.hpp"
#include "core/base/matrix.hpp"
#include "core/fp/elementary.hpp"
#include "core/mpfr/orders.hpp"

namespace lamp::mpfr {

/// Any MacSpec with formats that fit binary64. A model of ScalarArithmetic (core/arith/scalar.hpp);
/// elementary functions are correctly rounded for every p. Methods as there. Each call is a step of
/// the output and, in a stochastic mode, draws as one; copies go on with the same steps.
class MpfrArithmetic {
 public:
  /// Output (row, column) of a stream of draws; only stochastic modes look at it.
  explicit MpfrArithmetic(const MacSpec& spec, const DrawStream& stream = {}, std::size_t row = 0,
                          std::size_t column = 0)
      : spec_(spec),
        stream_(stream),
        row_(static_cast<std::uint32_t>(row)),
        column_(static_cast<std::uint32_t>(column)) {}
  [[nodiscard]] const MacSpec& spec() const { return spec_; }

  [[nodiscard]] double round(double x) const;
  [[nodiscard]] double add(double x, double y) const;
  [[nodiscard]] double sub(double x, double y) const;
  [[nodiscard]] double mul(double x, double y) const;
  [[nodiscard]] double div(double x, double y) const;
  [[nodiscard]] double mac(double a, double b, double c) const;
  [[nodiscard]] double mac_rounded(double a, double b, double c) const;
  [[nodiscard]] double function(Function f, double x) const;
  /// x and y have one length and may be the same memory.
  void function(Function f, std::span<const double> x, std::span<double> y) const;
  /// sum over k of x[k] y[k] in `order`, with c as the order has it, the rows x and y rounded to
  /// the operands first; `block`: the arithmetic inside blocks, where it is not this one.
  /// ordered_dot calls it for this evaluator. `tensor`: the largest finite magnitude of the tensor
  /// that y is a column of; absent: of y. Pre: x.size() == y.size(), a tree's number of terms.
  [[nodiscard]] double dot(const Order& order, const std::optional<MacSpec>& block,
                           std::span<const double> x, std::span<const double> y, double c,
                           std::optional<double> tensor = {}) const;

 private:
  /// In orders.cpp.
  [[nodiscard]] double dot_of_rounded(const Order& order, const std::optional<MacSpec>& block,
                                      std::span<const double> x, std::span<const double> y,
                                      double c) const;
  enum class Purpose : std::uint32_t { sum = 0, product = 1, block = 2 };

  /// What the program's step `sum` gives; c is what its steps `c` give.
  [[nodiscard]] double run(const Program& program, Program::Result sum,
                           const std::optional<MacSpec>& block, std::span<const double> x,
                           std::span<const double> y, double c) const;
  [[nodiscard]] double multiterm_dot(const Multiterm& order, std::span<const double> x,
                                     std::span<const double> y, double c) const;
  [[nodiscard]] double split_engine_dot(const SplitEngine& order, std::span<const double> x,
                                        std::span<const double> y, double c) const;

  [[nodiscard]] Draw draw(Purpose purpose) const;
  /// A step: its draw, and on to the next.
  [[nodiscard]] Draw step() const;
  template <class Operation>
  [[nodiscard]] double fl(Operation&& operation) const;

  MacSpec spec_;
  DrawStream stream_;
  std::uint32_t row_, column_;
  Purpose purpose_ = Purpose::sum;
  std::shared_ptr<std::uint32_t> step_ =
      std::make_shared<std::uint32_t>(0);  // of the output: its blocks count on
};

/// sum over k of x[k] y[k] in the arithmetic's order, from c. Pre: x.size() == y.size().
double dot(const Arithmetic& arithmetic, std::span<const double> x, std::span<const double> y,
           double c = 0.0);

/// out(i, j) = sum over k of a(i, k) b(k, j), each in `arithmetic` from +0; what `shape` leaves out
/// is neither read nor written. a: (m, k), b: (k, n), out: (m, n).
void gemm(const Arithmetic& arithmetic, MatrixView<const double> a, MatrixView<const double> b,
          MatrixView<double> out, Shape shape = Shape::full);

}  // namespace lamp::mpfr
