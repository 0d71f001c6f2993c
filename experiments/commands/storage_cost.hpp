// What storage takes: seconds of rounding values to what they are kept in, and weights that a run
// makes besides those it reads.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "core/fp/number_system.hpp"
#include "experiments/run/experiment.hpp"

namespace lamp::experiments {

class StorageCost {
 public:
  /// Seconds of rounding one number of a row. Measured once a system.
  double of_number(const NumberSystem& system);

 private:
  std::vector<std::pair<NumberSystem, double>> known_;
};

/// The systems of the weights that a run stores, once for each model.
std::vector<NumberSystem> stored_weights(const Experiment& experiment);

}  // namespace lamp::experiments
