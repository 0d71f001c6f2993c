// A published checkpoint into a folder: file by file, none under its name before its length and
// hash were checked.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "experiments/fetch/checkpoints.hpp"
#include "experiments/fetch/download.hpp"

namespace lamp::experiments {

struct FetchRequest {
  PublishedCheckpoint checkpoint{};
  std::filesystem::path folder{};
  std::string base{};  // address of the files, before "/NAME"
  std::string time{};  // UTC, for fetched.json
};

struct FetchedFile {
  std::string name{};
  Pin pin{};
  std::uint64_t downloaded = 0;  // bytes, now
};

/// All files of the checkpoint, those that were there included, each with the hash of its bytes as
/// they lie in the folder. What is there already and right is not fetched; where that is all,
/// nobody is asked and nothing is written. partial (75): the same call continues.
Result<std::vector<FetchedFile>> fetch(const FetchRequest& request, const FetchListener& listener);

}  // namespace lamp::experiments
