// What a file of results may be made of: groups and datasets under hard links, data within the file
// behind the filters that lamp uses, and sizes that the file's bytes can hold. Looked at before any
// of it is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/record/hdf5.hpp"

namespace lamp::record {

/// Throws hdf5::Failure that names the first object which is a soft, external or user-defined link,
/// no group or dataset, lies more than 16 groups deep or in another file, has another filter than shuffle, deflate and
/// fletcher32, chunks above 64 MiB, or more bytes than the file, of `size` bytes.
void check_structure(hid_t file, std::uint64_t size);

}  // namespace lamp::record
