// One at a time: the lock of a file, held until it goes. It goes with the process too.
#pragma once

#include <filesystem>
#include <utility>

#include "core/base/descriptor.hpp"
#include "core/base/result.hpp"

namespace lamp::record {

class ExclusiveLock {
 public:
  /// Creates the file where it is not there, and waits for whoever holds its lock. Errors: as
  /// system_error; io where the file system has no locks.
  static Result<ExclusiveLock> wait_for(const std::filesystem::path& file);

 private:
  explicit ExclusiveLock(Descriptor file) : file_(std::move(file)) {}
  Descriptor file_;
};

}  // namespace lamp::record
