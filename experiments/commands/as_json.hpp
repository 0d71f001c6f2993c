// Parts that the JSON of several commands has.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "experiments/run/nan_cells.hpp"
#include "experiments/run/stopping.hpp"

namespace lamp::experiments {

nlohmann::ordered_json as_json(const NanCells& nan);
/// null without [stop].
nlohmann::ordered_json as_json(const std::optional<Stopping>& stopping);

}  // namespace lamp::experiments
