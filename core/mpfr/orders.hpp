// The orders of accumulation a second time: each becomes an explicit list of additions and
// multiply-accumulates, or a computation on integers, and nothing of core/arith/orders/order.hpp is
// used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/arith/spec.hpp"

namespace lamp::mpfr {

/// A sum written out: every step is one rounded operation on results of earlier steps, in the order
/// in which they happen.
class Program {
 public:
  using Result = std::uint32_t;  // the number of the step

  enum class Operation : std::uint8_t { zero, c, mac, block_mac, add, sub, larger, smaller };
  struct Step {
    Operation operation;
    Result left = 0, right = 0;  // mac: left + the product of term `right`
  };

  /// Neumaier's sum is a program too: `larger` is the operand of larger magnitude (left if equal,
  /// right if one is NaN), `smaller` the other one.
  Result put(Operation operation, Result left = 0, Result right = 0) {
    steps_.push_back({operation, left, right});
    return result_ = static_cast<Result>(steps_.size() - 1);
  }
  /// Of the whole sum: the last step, unless said otherwise.
  [[nodiscard]] Result result() const { return result_; }
  void set_result(Result result) { result_ = result; }
  [[nodiscard]] const std::vector<Step>& steps() const { return steps_; }

 private:
  std::vector<Step> steps_;
  Result result_ = 0;
};

/// The order's sum of n terms as a program. Pre: order is none of exact, multiterm, engine; a tree
/// has n terms.
Program program(const Order& order, std::size_t n, double c);

/// Exact sum of c and the products, then fl. Operands are rounded to mac.operands.
double exact_dot(const MacSpec& mac, std::span<const double> x, std::span<const double> y, double c,
                 Draw draw = {});

/// One step of multiterm:N,F in GMP's integers: c and all the products.
/// `least_exponent`: an engine's clamp of the exponent that terms are aligned to.
double multiterm_step(const MacSpec& mac, int fraction_bits, std::span<const double> x,
                      std::span<const double> y, double c, Draw draw = {},
                      std::optional<int> least_exponent = {});

/// All the steps of a matrix engine, from c.
double engine_dot(const MacSpec& mac, const EngineStep& step, std::span<const double> x,
                  std::span<const double> y, double c);

}  // namespace lamp::mpfr
