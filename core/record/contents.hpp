// What goes into a file of results, as values: shards and merges are plain data until hdf5.hpp
// writes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/base/sha256.hpp"

namespace lamp::record {

/// Where nothing was computed real numbers are NaN, signed integers -1, which is no value of theirs
/// (they count from 0), and unsigned ones 0.
using Values =
    std::variant<std::vector<double>, std::vector<std::uint64_t>, std::vector<std::uint32_t>,
                 std::vector<std::uint8_t>, std::vector<std::int64_t>>;

/// A quantity recorded for every cell (or once a sequence, for the reference): where it goes and
/// what it means. `dims` are the dimensions after G, named as in the result file (layer, head,
/// query, key, position, bin, ..).
struct Quantity {
  std::string path;                // "/metrics/kl_position"
  std::vector<std::string> dims;   // {"position"}
  std::vector<std::size_t> shape;  // sizes of dims
  std::string units;               // "nat", "1", ..
  std::string long_name;
  std::vector<std::string>
      flag_meanings{};  // for uint8 flags: meaning of 0, 1, ..; words without spaces
  Values prototype = std::vector<double>{};  // an empty vector of the element type
  /// Grid axes this quantity does not depend on: its dataset has no such dimension, and a point
  /// takes its values from the first cell in grid order that recorded it (the ground truth does not
  /// depend on the selection rule).
  std::vector<std::string> constant_over{};
  friend bool operator==(const Quantity&, const Quantity&) = default;
};

enum class CellStatus : std::uint8_t { pending = 0, done = 1, failed = 2 };

/// One finished cell of one sequence. `values` parallels Shard::quantities; an empty vector means
/// that this cell did not record that quantity, and it merges as the fill value of its type (see
/// Values). A failed cell may leave them all empty.
struct CellRecord {
  Digest id{};
  CellStatus status = CellStatus::done;
  std::vector<Values> values;
};

/// All cells of one sequence. Reference values are per sequence.
struct Shard {
  Digest experiment{};   // identity of the experiment it belongs to
  Digest sequence_id{};  // identity of the sequence (tokens)
  std::vector<Quantity> quantities;
  std::vector<CellRecord> cells;  // in the order they were given
  std::vector<Quantity> reference_quantities;
  std::vector<Values> reference;
};

/// An axis of the result: a dimension scale.
struct Axis {
  std::string name;  // "text", "sequence", "arithmetic.low.mu", ..
  std::variant<std::vector<double>, std::vector<std::int64_t>, std::vector<std::string>> values;
  std::string units = "1";
  std::string long_name{};  // empty: the name
};

/// Number of points of an axis.
std::size_t size(const Axis& axis);

/// Elements of one cell: the product of `shape`; 1 for a scalar.
std::size_t elements(const Quantity& quantity);

/// Bytes of one element.
std::size_t element_size(const Values& values);

/// The values as bytes, in memory order.
std::span<const std::byte> bytes(const Values& values);

std::span<std::byte> bytes(Values& values);

/// `count` elements of the type of `prototype`, all zero.
Values zeros_like(const Values& prototype, std::size_t count);

/// What is wrong with the quantity, or "": /group/name, as many sizes as names, one-word names,
/// units, at most 2^40 elements.
std::string defect(const Quantity& quantity);

/// What is wrong with the shard, or "" when it can be stored: shapes, types, counts, paths,
/// statuses, one record a cell.
std::string defect(const Shard& shard);

/// SHA-256 over the contents in a fixed order, each part preceded by its length: equal for equal
/// contents, whatever the file's layout, compression or library version. NaN counts as one value,
/// whatever its sign and payload.
Digest content_hash(const Shard& shard);

}  // namespace lamp::record
