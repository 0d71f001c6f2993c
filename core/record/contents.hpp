// What goes into a file of results, as values: shards and merges are plain data until hdf5.hpp writes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "core/base/sha256.hpp"

namespace lamp::record {

using Values = std::variant<std::vector<double>, std::vector<std::uint64_t>, std::vector<std::uint32_t>, std::vector<std::uint8_t>>;

/// A quantity recorded for every cell (or once a sequence, for the reference): where it goes and what it means.
/// `dims` are the dimensions after G, named as in the result file (layer, head, query, key, position, bin, ..).
struct Quantity {
  std::string path;                      // "/metrics/kl_position"
  std::vector<std::string> dims;         // {"position"}
  std::vector<std::size_t> shape;        // sizes of dims
  std::string units;                     // "nat", "1", ..
  std::string long_name;
  std::vector<std::string> flag_meanings{};  // for uint8 flags
  Values prototype = std::vector<double>{};  // an empty vector of the element type
  friend bool operator==(const Quantity&, const Quantity&) = default;
};

enum class CellStatus : std::uint8_t { pending = 0, done = 1, failed = 2 };

/// One finished cell of one sequence. `values` parallels Shard::quantities.
struct CellRecord {
  Digest id{};
  CellStatus status = CellStatus::done;
  std::vector<Values> values;
};

/// All cells of one sequence. Reference values are per sequence.
struct Shard {
  Digest experiment{};                    // identity of the experiment it belongs to
  Digest sequence_id{};                   // identity of the sequence (tokens)
  std::vector<Quantity> quantities;
  std::vector<CellRecord> cells;          // in the order they were given
  std::vector<Quantity> reference_quantities;
  std::vector<Values> reference;
};

/// An axis of the result: a dimension scale.
struct Axis {
  std::string name;                                                   // "text", "sequence", "arithmetic.low.mu", ..
  std::variant<std::vector<double>, std::vector<std::int64_t>, std::vector<std::string>> values;
  std::string units = "1";
  std::string long_name{};
};

}  // namespace lamp::record
