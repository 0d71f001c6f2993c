// LAMP's selection as `lamp calc` and the Python module ask for it: what a request says, and one
// row after the other.
#pragma once

#include <cstddef>
#include <vector>

#include "core/base/matrix.hpp"
#include "core/mpfr/selection.hpp"
#include "core/selection/target.hpp"
#include "experiments/calc/request.hpp"

namespace lamp::experiments::calc {

/// What a selection looks at, in memory of its own.
struct RowOfNumbers {
  std::vector<double> z{}, y{}, g{}, w{}, columns{};
  double eps = 0.0, norm1 = 0.0;
  std::size_t row_length = 0;

  [[nodiscard]] SelectionRow view() const {
    return {.z = z,
            .y = y,
            .g = g,
            .w = w,
            .eps = eps,
            .columns = columns,
            .norm1 = norm1,
            .row_length = row_length};
  }
};

/// A request for one row; other rows with the same keys are asked by putting their y, g and w here.
struct Selecting {
  const Target* target = nullptr;
  SelectionSpec spec{};
  CalcBackend backend{};
  Matrix<double> matrix{};  // W of a linear map
  RowOfNumbers row{};       // z, columns, norm1 are selected()'s
  SelectionScratch scratch{};
};

/// Reads and checks every key; what is wrong is left in the request.
Selecting read_selecting(CalcRequest& request);
/// The bounds of errors are numbers >= 0: what is wrong otherwise; null: nothing.
const char* check_bounds(const std::vector<double>& w);
/// The set, and its cost. Pre: read_selecting found nothing wrong, y is not empty, equal lengths,
/// check_bounds finds nothing.
mpfr::Selected selected(Selecting& asked);

/// softmax of a row by the backend.
std::vector<double> softmax_by(const CalcBackend& backend, const Arithmetic& arithmetic,
                               std::span<const double> y);
/// "y": at least one number.
std::vector<double> row_of_scores(CalcRequest& request);

}  // namespace lamp::experiments::calc
