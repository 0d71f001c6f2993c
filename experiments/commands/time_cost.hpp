// What a pass will take: seconds, from short runs of each site's own function and of the run's
// instruments.
#pragma once

#include <cstddef>
#include <optional>

#include "experiments/commands/site_cost.hpp"
#include "experiments/commands/storage_cost.hpp"
#include "experiments/commands/tap_cost.hpp"
#include "experiments/commands/unlimited_cost.hpp"
#include "experiments/run/experiment.hpp"

namespace lamp::experiments {

/// Seconds of passes on one thread that has its core for itself.
class TimeCost {
 public:
  explicit TimeCost(const Experiment& experiment);
  /// The pass of one cell with all that is recorded of it, and its continuation.
  double cell(const Cell& cell);
  /// The reference pass with its distribution, and its continuation.
  double reference();
  /// A pass whose logits are compared with a reference's and of which nothing else is recorded.
  double compared_pass(const PrecisionPlan& plan) {
    return pass(plan, {Rows::all, length_}) + taps_.metrics();
  }
  /// A site in one layer and head, in place of `plan`'s arithmetic there, on what `plan` gives it.
  double site(Site at, const Arithmetic& arithmetic, const PrecisionPlan& plan);
  /// One multiply-accumulate of a site that is a matrix product. Pre: not unlimited(p).
  double seconds_per_mac(const SiteRow& row, const Arithmetic& arithmetic, bool binary32_operands);

 private:
  /// The first `length` rows, of fewer than a pass has only the last one's logits; or one row by
  /// itself.
  struct Part {
    Rows rows;
    std::size_t length;
  };
  double pass(const PrecisionPlan& plan, const Part& part);
  double continuation(const PrecisionPlan& plan);
  double evaluation(const SiteRow& row, const Arithmetic& arithmetic, bool binary32,
                    const Part& part);
  /// What the rule value-aware evaluates between an activation and the linear map after it.
  double up_to_map(const SiteRow& row, const PrecisionPlan& plan, Layer layer, const Part& part);
  /// Of rounding what the sites and the cache of a part keep.
  double storing(const PrecisionPlan& plan, const Part& part);
  /// Of a site's time in a whole pass, what a part takes.
  [[nodiscard]] double share(const SiteRow& row, const Part& part) const;
  const UnlimitedCost& unlimited(
      const Arithmetic& arithmetic);  // the one of an experiment: its reference

  const Experiment& experiment_;
  const ModelConfig& config_;
  std::size_t length_, middle_;  // rows of a pass; those before the middle row of a continuation
  SiteCost sites_;
  TapCost taps_;
  StorageCost storage_;
  std::optional<UnlimitedCost> unlimited_;
};

/// How many times as long threads take that compute at once: 1 where each has a core, more where
/// two share one. Measured, in some hundredths of a second.
double crowding(const ModelConfig& model, const Arithmetic& arithmetic, std::size_t threads);

}  // namespace lamp::experiments
