// What `values` (sites.hpp) reads as v: the operands of its arithmetic, which rules of selection
// look at.
#pragma once

#include <cstddef>

#include "core/arith/spec.hpp"
#include "core/base/matrix.hpp"

namespace lamp {

/// The values of one head as each row of a causal product reads them: rounded along the keys, over
/// the keys of that row and no later one.
class ReadValues {
 public:
  /// v: (n, width), of which the rows are read one after the other. v must outlive the reading.
  void assign(const Arithmetic& values, MatrixView<const double> v);

  /// v as the row with the keys 0 .. n - 1 reads it, (width, n). Pre: n does not fall from call to
  /// call.
  MatrixView<const double> in_row_of(std::size_t n);

 private:
  MacSpec steps_;  // whose operands v is
  MatrixView<const double> v_;
  Matrix<double> read_;  // (width, keys): of the first complete_ keys for good
  std::size_t reach_ = 1, complete_ = 0;
};

}  // namespace lamp
