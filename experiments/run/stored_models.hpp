// The models that cells run on: their variant's, or that one with its weights stored.
#pragma once

#include <deque>

#include "core/model/weights.hpp"
#include "experiments/config/grid.hpp"

namespace lamp::experiments {

/// Every model with stored weights is made once, when a cell first asks for it, and stays.
class StoredModels {
 public:
  /// What a cell of a variant with this model runs on. Not from several threads at once.
  const Model& of(const Cell& cell, const Model& model);

 private:
  struct Stored {
    const Model* from;
    NumberSystem system;
    Model model;
  };
  std::deque<Stored> made_;  // elements stay where they are
};

}  // namespace lamp::experiments
