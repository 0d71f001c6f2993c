// What a file of results holds, for people who open one: everything without the values, and the
// values of a chosen dataset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/record/merge.hpp"
#include "core/record/stored_file.hpp"

namespace lamp::record {

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
  bool verified = false;  // as StoredFile::verified
  std::int64_t schema_version = 0;
  std::string experiment;                         // 64 hexadecimal digits
  std::string sequence_id{};                      // of a shard
  std::size_t done = 0, pending = 0, failed = 0;  // cells
  std::vector<DatasetSummary> datasets;           // but /provenance, in the order of their paths
  Provenance provenance{};                        // of a result, in the order of the names

  /// The value of a provenance entry; empty where there is none.
  [[nodiscard]] std::string entry(const std::string& name) const;
};

// Each reads in a child process (apart.hpp). Errors: bad_data for what is no file of results of
// lamp, naming it; io, out_of_memory.

/// Reads everything but the numbers. A shard's contents are verified too.
Result<FileSummary> summarise(const StoredFile& file);

/// The values of a float64 or int64 dataset, row-major over `shape`.
struct Numbers {
  std::vector<std::string> dims;
  std::vector<std::size_t> shape;
  std::vector<double> values;
};

/// Reads the dataset `path` of a result; bad_data where there is no such dataset or it is neither
/// float64 nor int64.
Result<Numbers> read_numbers(const StoredFile& file, const std::string& path);

/// Reads a dataset of CellStatus of any extent.
Result<std::vector<std::uint8_t>> read_statuses(const StoredFile& file, const std::string& path);

/// Reads a dimension's coordinates where they are text.
Result<std::vector<std::string>> read_labels(const StoredFile& file, const std::string& path);

/// Reads the dimension `name` of the group: its coordinates, of whatever type.
Result<Axis> read_axis(const StoredFile& file, const std::string& group, const std::string& name);

}  // namespace lamp::record
