// A folder for shards that nobody keeps.
#pragma once

#include <filesystem>
#include <utility>

#include "core/base/descriptor.hpp"
#include "core/base/result.hpp"

namespace lamp::experiments {

/// A new folder `.lamp-verify-PID-N` with a folder `shards`, both removed at the end. It is held
/// under flock for as long as it lives, so that remove_abandoned_scratch can tell it from one whose
/// process was killed.
class ScratchFolder {
 public:
  /// In `folder`; where nothing can be created there, in TMPDIR.
  static Result<ScratchFolder> create(const std::filesystem::path& folder);
  ScratchFolder(ScratchFolder&& other) noexcept
      : path_(std::exchange(other.path_, {})), opened_(std::move(other.opened_)) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ~ScratchFolder();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  ScratchFolder(std::filesystem::path path, Descriptor opened)
      : path_(std::move(path)), opened_(std::move(opened)) {}
  static Result<ScratchFolder> create_in(const std::filesystem::path& folder);
  std::filesystem::path path_;  // empty once moved from
  Descriptor opened_;
};

/// Removes the scratch folders in `folder` whose processes have gone; those of living ones stay,
/// and so does what cannot be removed. For commands that open the folder of a run.
void remove_abandoned_scratch(const std::filesystem::path& folder);

}  // namespace lamp::experiments
