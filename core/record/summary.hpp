// What a file of results holds, without its values: for people who open one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/record/merge.hpp"

namespace lamp::record {

enum class FileKind : std::uint8_t { result, shard };

struct DatasetSummary {
  std::string path;                // "/metrics/kl"
  std::string type;                // float64, uint64, uint32, uint8, int64, text
  std::vector<std::string> dims;   // names; "" where the file gives none
  std::vector<std::size_t> shape;  // sizes
  std::string units, long_name;
  bool scale = false;  // a dimension's coordinates
};

struct FileSummary {
  FileKind kind = FileKind::result;
  std::int64_t schema_version = 0;
  std::string experiment;                         // 64 hexadecimal digits
  std::string sequence_id{};                      // of a shard
  std::size_t done = 0, pending = 0, failed = 0;  // cells
  std::vector<DatasetSummary> datasets;           // but /provenance, in the order of their paths
  Provenance provenance{};                        // of a result, in the order of the names

  /// The value of a provenance entry; empty where there is none.
  [[nodiscard]] std::string entry(const std::string& name) const;
};

/// Reads everything but the numbers. A shard's digest is verified first; a result has none, and HDF5 1.10 is all that looks at it.
/// Errors: missing_input, permission, io; bad_data for what is no file of results of lamp, naming the file.
Result<FileSummary> summarise(const std::filesystem::path& file);

}  // namespace lamp::record
