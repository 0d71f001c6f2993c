// What rests of passes take, from one changed score on: seconds of the ground truth's own
// evaluation, in a small model of random weights.
#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "analysis/truth/end_to_end.hpp"
#include "experiments/run/experiment.hpp"

namespace lamp::experiments {

/// Seconds on one thread. A change costs its own row, and in each layer above the rows from its own
/// on, with the keys that they see: a polynomial of degree 2 in the query, which three queries
/// determine, for no layer above, for one, and for each further one.
class SuffixCost {
 public:
  /// low: of a cell that has a ground truth, or rules that know the pass. row_seconds: of a row in
  /// a whole pass, a guess that says how much is a sample.
  SuffixCost(const Experiment& experiment, const PrecisionPlan& low, double row_seconds);
  /// Of one change at a query of a layer.
  [[nodiscard]] double effect(Layer layer, std::size_t query) const;
  /// How many times as long a derivative takes.
  [[nodiscard]] double derivative() const { return derivative_; }

 private:
  static constexpr std::size_t points = 3, depths = 3;
  [[nodiscard]] double at(std::size_t depth, std::size_t query) const;

  std::size_t layers_;
  std::array<double, points> query_{};
  std::array<std::array<double, points>, depths> seconds_{};  // with as many layers above
  double derivative_ = 2.0;
};

}  // namespace lamp::experiments
