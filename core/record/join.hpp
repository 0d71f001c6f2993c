// The shards of one sequence from several folders, as one.
#pragma once

#include <optional>
#include <string>

#include "core/record/contents.hpp"

namespace lamp::record {

/// Two shards that say different things of the same run.
struct Conflict {
  std::optional<Digest> cell{};  // none: the reference
  std::string dataset;           // the first one whose bits differ
};

/// Adds to `shard` the cells of `other` that it has not, and the values that it did not record. A
/// cell that is done takes the place of one that failed. What both have must have the same bits:
/// otherwise the conflict, and `shard` is of no further use. Pre: both are whole (defect == "") and
/// of one experiment and sequence, with equal quantities.
std::optional<Conflict> join(Shard& shard, Shard other);

}  // namespace lamp::record
