// A sequence's shard: the only state a run has. Written whole or not at all; verified when read.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "core/base/result.hpp"
#include "core/record/contents.hpp"

namespace lamp::record {

/// Writes bytes so that the file exists only whole: temporary name in the same folder, fsync, rename, fsync of the folder.
Result<void> publish(const std::filesystem::path& file, std::span<const std::byte> bytes);

/// Byte-identical for equal contents: no times, no paths, filters shuffle + deflate + fletcher32.
Result<void> publish_shard(const std::filesystem::path& file, const Shard& shard);

/// Every checksum and the content hash verified; a truncated, flipped or foreign file is an error naming it.
Result<Shard> read_shard(const std::filesystem::path& file);

}  // namespace lamp::record
