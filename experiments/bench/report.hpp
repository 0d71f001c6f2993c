// What `lamp bench` prints: a table for people, or one JSON object.
#pragma once

#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "experiments/bench/measure.hpp"
#include "experiments/bench/row.hpp"

namespace lamp::experiments::bench {

struct Measured {
  Row row;
  Measurement measurement;
};

/// Rows of a group come together.
void print_table(const std::vector<Measured>& all, std::size_t threads, std::ostream& out);
nlohmann::ordered_json as_json(const std::vector<Measured>& all, std::size_t threads);

}  // namespace lamp::experiments::bench
