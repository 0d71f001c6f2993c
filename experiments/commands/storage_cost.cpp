#include "experiments/commands/storage_cost.hpp"

#include <algorithm>

#include "experiments/commands/sample.hpp"
#include "experiments/commands/timing.hpp"

namespace lamp::experiments {

double StorageCost::of_number(const NumberSystem& system) {
  for (const auto& [known, seconds] : known_)
    if (known == system) return seconds;
  constexpr std::size_t n = 1024;
  RandomNumbers random(9);
  std::vector<double> x(n), y(n);
  for (double& value : x) value = random();
  const double seconds = least_seconds([&] { round_row(system, x, y); }, [] {}) / rows(n);
  known_.emplace_back(system, seconds);
  return seconds;
}

std::vector<NumberSystem> stored_weights(const Experiment& experiment) {
  std::vector<std::pair<std::size_t, NumberSystem>> found;
  for (const Cell& cell : experiment.grid.cells) {
    const Storage::System& system = cell.plan.storage().weights;
    if (!system) continue;
    const std::pair of{experiment.grid.variants[cell.variant].model, *system};
    if (std::find(found.begin(), found.end(), of) == found.end()) found.push_back(of);
  }
  std::vector<NumberSystem> systems;
  for (const auto& [model, system] : found) systems.push_back(system);
  return systems;
}

}  // namespace lamp::experiments
