// A sequence's shard: the only state a run has. Written whole or not at all; verified when read.
//
// A shard is an HDF5 file behind a user block (stored_file.hpp): the digest is checked before HDF5
// sees a byte, and then a child process reads it (apart.hpp). h5py opens it like any other.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

#include "core/base/result.hpp"
#include "core/record/contents.hpp"
#include "core/record/publish.hpp"
#include "core/record/stored_file.hpp"

namespace lamp::record {

/// The file's bytes: the same for equal contents; no times, no paths; filters shuffle, deflate,
/// fletcher32 where a dataset is more than a few bytes. NaNs are stored as the one positive quiet
/// NaN: their sign and payload differ between processors. Pre: defect(shard) == "". Memory: twice
/// the compressed size.
Result<std::vector<std::byte>> shard_bytes(const Shard& shard);

/// shard_bytes, then publish. After an error the file is as it was before.
Result<void> publish_shard(const std::filesystem::path& file, const Shard& shard);

/// The digest of the bytes, every checksum and the content hash verified. What an earlier schema
/// had otherwise is as it is now (earlier_schema.hpp). Errors: missing_input (66); permission; io;
/// out_of_memory; bad_data (65) for a truncated, flipped, harmful or foreign file or one of a later
/// schema version, naming it.
Result<Shard> read_shard(const std::filesystem::path& file);
/// The same of an opened one.
Result<Shard> read_shard(const StoredFile& file);

}  // namespace lamp::record
