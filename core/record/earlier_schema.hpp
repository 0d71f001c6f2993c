// What shards of earlier schemas had otherwise, brought to what it is now: a folder that an earlier
// lamp began can be continued, merged and verified.
#pragma once

#include <string>

#include "core/record/contents.hpp"

namespace lamp::record {

/// Schema 1 had token ids as binary64 numbers, NaN where there was none, or as uint32: they become
/// signed integers. Returns what is wrong with one that is no id, or "".
std::string bring_from_schema_1(Shard& shard);

}  // namespace lamp::record
