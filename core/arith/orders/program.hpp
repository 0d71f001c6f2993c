// A sum of n terms written out: the operations that the definition of an order does, for trees
// that show them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/arith/spec.hpp"

namespace lamp {

/// One operation on partial sums, which have numbers. `start`: sum = +0 + product of term `from`;
/// `mac`: sum = sum + product; `add_product`: sum = sum + (+0 + product), the product rounded
/// alone; `add`: sum = sum + sum `from`; `add_zero`: sum = sum + +0; `step`: steps[from] at once.
struct SumOperation {
  enum class Kind : std::uint8_t { start, mac, add_product, add, add_zero, step } kind;
  std::uint32_t sum, from;
};

/// Terms that are added in one step, together with the sum so far where there is one.
struct SumStep {
  std::vector<std::uint32_t> terms;
  bool from_sum = false;
};

/// The operations in the order in which they happen. A number is used again when its partial sum
/// has been added to another.
struct SumProgram {
  std::vector<SumOperation> operations;
  std::vector<SumStep> steps;
  std::size_t sums = 0;      // partial sums that are held at one time
  std::uint32_t result = 0;  // the number of the whole
};

/// The program of a sum of n terms from +0; false, with an empty program, for orders that do more
/// than add (SumKind compensated and exact). Blocks are sums like others. Pre: n > 0,
/// check_length(order, n).
bool write_program(const Order& order, std::size_t n, SumProgram& program);

}  // namespace lamp
