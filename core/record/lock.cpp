#include "core/record/lock.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include "core/base/system_error.hpp"

namespace lamp::record {

Result<ExclusiveLock> ExclusiveLock::wait_for(const std::filesystem::path& file) {
  Descriptor opened(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!opened.is_open()) return system_error(file, "cannot create the lock", errno);
  while (::flock(opened.get(), LOCK_EX) != 0)
    if (errno != EINTR) return system_error(file, "cannot take the lock", errno);
  return ExclusiveLock(std::move(opened));
}

}  // namespace lamp::record
