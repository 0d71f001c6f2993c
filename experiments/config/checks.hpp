// What check_values is made of, apart from arithmetics: each gives the first problem of a config
// whose grid is not looked at, or none.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "experiments/config/config.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments {

std::vector<std::string> arithmetic_names(const Config& config);
/// That `name`, given as `key`, is one of them, or empty.
std::optional<Problem> check_name(const Config& config, const std::string& key,
                                  const std::string& name);

/// The selection of a layer or head: `spec` with tau or rate of its own.
SelectionSpec with_budget(SelectionSpec spec, const BudgetEntry& entry);

/// [lamp.SITE] and [lamp.layer.N.SITE].
std::optional<Problem> check_selections(const Config& config);
/// [cost]: of every arithmetic in use, and of no other.
std::optional<Problem> check_costs(const Config& config);
std::optional<Problem> check_truth(const Config& config);

/// What a network's table refuses, in any cell of the grid: what f is or what a rule reads, is not
/// there.
std::optional<Problem> check_selections(const Config& config, const ModelConfig& model);

}  // namespace lamp::experiments
