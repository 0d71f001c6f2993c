// What a pass will take: seconds, from short runs of each site's own function.
#pragma once

#include <cstddef>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "core/base/matrix.hpp"
#include "core/model/weights.hpp"
#include "experiments/commands/unlimited_cost.hpp"
#include "experiments/run/experiment.hpp"

namespace lamp::experiments {

/// Seconds of passes on one thread. Every site is timed once an arithmetic, on the first rows of
/// random inputs that take a millisecond or two, and scaled to the sequence's length: a guess of
/// tens of per cent, not a measurement.
class TimeCost {
 public:
  explicit TimeCost(const Experiment& experiment);
  /// The pass of one cell with its metrics, the second evaluation of the sites whose errors it
  /// records, and its continuation.
  double cell(const Cell& cell);
  /// The reference pass with its distribution, and its continuation.
  double reference();
  /// One row of a pass with many rows: in one layer; and after the layers, with its metrics.
  struct PerRow {
    double layer = 0.0, after = 0.0;
  };
  PerRow per_row(const PrecisionPlan& plan);
  /// A site of a whole pass, in one layer and head.
  double site(Site at, const Arithmetic& arithmetic) { return site(at, arithmetic, Rows::all); }
  /// One multiply-accumulate of a site that is a matrix product. Pre: not unlimited(p).
  double seconds_per_mac(const SiteRow& row, const Arithmetic& arithmetic);

 private:
  /// All rows of a pass, or one row of it by itself, which shares the reading of weights with no
  /// other.
  enum class Rows { all, one };
  double pass(const PrecisionPlan& plan, Rows rows = Rows::all);
  double continuation(const PrecisionPlan& plan);
  /// The causal entries of a row in the middle of a continuation, as a share of a pass's.
  [[nodiscard]] double share_of_row() const;
  double site(Site at, const Arithmetic& arithmetic, Rows rows);
  double measure(const SiteRow& row, const Arithmetic& arithmetic, Rows rows);
  const UnlimitedCost& unlimited(
      const Arithmetic& arithmetic);  // the one of an experiment: its reference
  /// Choosing and mixing at a site, in one layer and head; then f in its arithmetic.
  double selection(const SiteRow& row, const SelectionSpec& spec, const Arithmetic& f);
  void prepare_metrics();

  const Experiment& experiment_;
  const ModelConfig& config_;
  std::size_t length_;
  Matrix<double> x_, y_, out_, scores_, probabilities_;
  std::vector<std::pair<std::tuple<Site, Arithmetic, Rows>, double>> sites_;
  /// Seconds by the width of a row (0 where it is causal), the selection, and the arithmetic of f.
  std::vector<std::pair<std::tuple<std::size_t, SelectionSpec, Arithmetic>, double>> selections_;
  std::optional<UnlimitedCost> unlimited_;
  double distribution_ = 0.0, metrics_ = 0.0;  // of all positions
};

}  // namespace lamp::experiments
