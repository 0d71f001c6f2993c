// Files that exist only whole: a temporary name in the same folder, fsync, rename, fsync of the
// folder.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "core/base/descriptor.hpp"
#include "core/base/result.hpp"
#include "core/base/sha256.hpp"
#include "core/base/system_error.hpp"

namespace lamp::record {

/// A new file `.NAME.PID.N.tmp` beside its target, unlinked again unless it is committed. It is
/// held under flock for as long as it lives, so that remove_leftovers can tell it from one whose
/// writer was killed.
class TemporaryFile {
 public:
  /// The target may be absent or a regular file; a link, folder or device is refused, as is a
  /// folder that cannot be read: what is renamed there could not be made to last.
  static Result<TemporaryFile> beside(const std::filesystem::path& target);
  TemporaryFile(TemporaryFile&& other) noexcept;
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const std::filesystem::path& target() const { return target_; }
  Result<void> write(std::span<const std::byte> bytes);
  /// Adds trailer(SHA-256 of all bytes so far) at the end of the file, whoever wrote it.
  Result<void> end_with(const std::function<std::string(const Digest&)>& trailer);
  /// fsync, rename over the target, fsync of the folder. On error the target is as it was (after a
  /// failed fsync of the folder: as it was or the new file, whole either way).
  Result<void> commit();

 private:
  TemporaryFile(std::filesystem::path target, Descriptor folder)
      : target_(std::move(target)), folder_(std::move(folder)) {}
  /// Unlinks and closes the file that it has, and owns another one from now on.
  void take(std::filesystem::path path, Descriptor opened);
  std::filesystem::path target_;
  Descriptor folder_;
  std::filesystem::path path_;  // empty once committed or moved from
  Descriptor file_{};
};

/// Whether a file may be published there: the target is absent or a regular file. To be asked
/// before the work whose result it is.
Result<void> check_target(const std::filesystem::path& target);

/// Writes bytes so that the file exists only whole: temporary name in the same folder, fsync,
/// rename, fsync of the folder.
Result<void> publish(const std::filesystem::path& file, std::span<const std::byte> bytes);

/// Unlinks the temporary files in `folder` whose writers are gone (killed), those of `target` alone
/// where it is named; files of living writers stay. Returns how many. A folder that cannot be
/// listed has none.
std::size_t remove_leftovers(const std::filesystem::path& folder, const std::string& target = "");

}  // namespace lamp::record
