#include "experiments/commands/as_json.hpp"

#include <nlohmann/json.hpp>

namespace lamp::experiments {

nlohmann::ordered_json as_json(const NanCells& nan) {
  return {{"cells", nan.count}, {"first", nan.first}};
}

nlohmann::ordered_json as_json(const std::optional<Stopping>& stopping) {
  if (!stopping) return nullptr;
  return {{"sequences", stopping->sequences()},
          {"means", stopping->means()},
          {"unknown", stopping->unknown()}};
}

}  // namespace lamp::experiments
