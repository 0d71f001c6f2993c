// What a multiply-accumulate costs, in every arithmetic of a plan: the weights of /metrics/cost.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "experiments/config/config.hpp"

namespace lamp::experiments {

/// Of one multiply-accumulate: of the product, and of adding it. A cost that [cost] gives is not
/// parted: all of it is `product`.
struct MacCost {
  double product = 0.0, accumulation = 0.0;
  [[nodiscard]] double total() const { return product + accumulation; }
  friend bool operator==(const MacCost&, const MacCost&) = default;
};

/// p_a p_b + p_acc: p of the operands, 24 where they are as they are, of a block format's elements,
/// and p of the accumulator that products are added to, the inner one where the order has blocks.
/// Source: method.md section 6, "Cost".
MacCost default_cost(const Arithmetic& arithmetic);

/// Names of the arithmetics that the plan and selections have; the grid is not looked at.
std::vector<std::string> arithmetics_of_pass(const Config& config);

/// The costs of one cell, beside its PrecisionPlan.
class PlanCosts {
 public:
  struct Recomputation {
    MacCost cost;
    bool is_all =
        false;  // by a rule that takes rows whole without a look: no low values are needed
  };

  /// Pre: check_values(cell) is empty, and it has no grid.
  explicit PlanCosts(const Config& cell);

  /// The most specific path wins, as in PrecisionPlan::at.
  [[nodiscard]] MacCost at(Site site, Layer layer, Head head) const;
  /// Of what is recomputed at a site; null where nothing is selected.
  [[nodiscard]] const Recomputation* recomputation(Site site) const;

 private:
  MacCost default_;
  std::map<SitePath, MacCost> by_path_;
  std::map<Site, Recomputation> recomputations_;
};

}  // namespace lamp::experiments
