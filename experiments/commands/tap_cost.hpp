// What it takes to look at a pass: metrics, errors and whatever else a run records of it.
#pragma once

#include <memory>

#include "experiments/run/cell_recorder.hpp"
#include "experiments/run/experiment.hpp"

namespace lamp::experiments {

/// Seconds on one thread, from the run's own instruments: they are shown random values of one layer
/// of a short sequence, and the time is scaled to the pass.
class TapCost {
 public:
  explicit TapCost(const Experiment& experiment);
  ~TapCost();
  TapCost(const TapCost&) = delete;
  TapCost& operator=(const TapCost&) = delete;

  /// What a cell records, of all its sites, and the metrics. Without its ground truth.
  [[nodiscard]] double cell(const Cell& cell);
  /// The metrics of a pass alone.
  [[nodiscard]] double metrics() const;
  /// Of the reference: what it keeps for the cells, and its distribution.
  [[nodiscard]] double reference();

 private:
  struct Sample;
  double show(TapSink& sink, const SiteRow& row, bool local) const;
  double measure(const Cell& cell) const;
  [[nodiscard]] double scaled(const SiteRow& row, double seconds) const;

  const Experiment& experiment_;
  std::unique_ptr<Sample> sample_;
  /// Without and with errors, then with activations; negative where it is not known yet.
  std::array<double, 4> cell_{-1.0, -1.0, -1.0, -1.0};
};

}  // namespace lamp::experiments
