// The JSON header of a safetensors file: parsed and validated without the data, whose size is all
// it needs to know.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace lamp {

/// One entry: bytes [begin, end) of the data part.
struct TensorEntry {
  std::string dtype;
  std::vector<std::size_t> shape;
  std::uint64_t begin = 0, end = 0;
};
using TensorEntries = std::map<std::string, TensorEntry, std::less<>>;

/// Entries of `header`, the JSON text that starts at byte 8 of `file`, checked against each other
/// and against the `data_bytes` bytes that follow it. `file` is for messages.
Result<TensorEntries> parse_safetensors_header(std::string_view header, std::uint64_t data_bytes,
                                               const std::string& file);

}  // namespace lamp
