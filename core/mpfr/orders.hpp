// The orders of accumulation a second time: each becomes an explicit list of additions and
// multiply-accumulates. Of core/arith/orders nothing but the parameters is used: no row, no
// definition.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/fp/format.hpp"

namespace lamp::mpfr {

/// A sum written out: every step is one rounded operation on results of earlier steps, in the order
/// in which they happen.
class Program {
 public:
  using Result = std::uint32_t;  // the number of the step

  enum class Operation : std::uint8_t {
    zero,
    c,
    mac,
    block_mac,
    to_part,
    add,
    sub,
    larger,
    smaller
  };
  struct Step {
    Operation operation;
    Result left = 0, right = 0;  // mac: left + the product of term `right`
  };

  /// Neumaier's sum is a program too: `larger` is the operand of larger magnitude (left if equal,
  /// right if one is NaN), `smaller` the other one.
  Result put(Operation operation, Result left = 0, Result right = 0) {
    steps_.push_back({operation, left, right});
    return static_cast<Result>(steps_.size() - 1);
  }
  [[nodiscard]] const std::vector<Step>& steps() const { return steps_; }
  /// What `to_part` rounds to, RNE; it is no rounding of the arithmetic and draws nothing.
  [[nodiscard]] const FloatFormat& part() const { return part_; }
  void set_part(const FloatFormat& format) { part_ = format; }

 private:
  std::vector<Step> steps_;
  FloatFormat part_{};
};

}  // namespace lamp::mpfr
