#include "core/model/ops/read_values.hpp"

#include <span>
#include <utility>

#include "core/base/contract.hpp"

namespace lamp {

void ReadValues::assign(const Arithmetic& values, MatrixView<const double> v) {
  steps_ = values.steps();
  expects(!steps_.operands || !reads_tensor(*steps_.operands),
          "ReadValues: operands of causal values do not read the tensor");
  v_ = v;
  read_.reshape(v.cols, v.rows);
  reach_ = steps_.operands ? reach_of(*steps_.operands) : 1;
  complete_ = 0;
}

MatrixView<const double> ReadValues::in_row_of(std::size_t n) {
  expects(complete_ <= n && n <= v_.rows, "ReadValues: rows in order");
  for (std::size_t c = 0; c < v_.cols; ++c) {
    const std::span<double> open = read_.row(c).subspan(complete_, n - complete_);
    for (std::size_t k = complete_; k < n; ++k) open[k - complete_] = v_(k, c);
    if (steps_.operands) steps_.round_operands(open, open);
  }
  complete_ = n / reach_ * reach_;
  return std::as_const(read_).view().columns(0, n);
}

}  // namespace lamp
