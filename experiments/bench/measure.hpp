// Measures rows with Google Benchmark: repetitions of all rows take turns, so that whatever else
// happens on the machine meets all of them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "experiments/bench/row.hpp"

namespace lamp::experiments::bench {

struct MeasureOptions {
  double seconds = 0.05;        // of a repetition
  std::size_t repetitions = 5;  // of a row
  std::size_t few = 3;          // of one that says how many calls a repetition has
};

/// ns for a unit of work.
struct Measurement {
  double median = 0.0;
  double first_quartile = 0.0, third_quartile = 0.0;
  std::size_t repetitions = 0;
  std::string detail{};  // Work::detail
};

/// One for each row.
std::vector<Measurement> measure(const std::vector<Row>& rows, const MeasureOptions& options);

}  // namespace lamp::experiments::bench
