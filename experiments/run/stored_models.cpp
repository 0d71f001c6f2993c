#include "experiments/run/stored_models.hpp"

#include "core/model/storage.hpp"

namespace lamp::experiments {

const Model& StoredModels::of(const Cell& cell, const Model& model) {
  const Storage::System& system = cell.plan.storage().weights;
  if (!system) return model;
  for (const Stored& stored : made_)
    if (stored.from == &model && stored.system == *system) return stored.model;
  return made_.emplace_back(Stored{&model, *system, with_stored_weights(model, *system)}).model;
}

}  // namespace lamp::experiments
