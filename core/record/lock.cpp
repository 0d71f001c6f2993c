#include "core/record/lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/system_error.hpp"

namespace lamp::record {

Result<ExclusiveLock> ExclusiveLock::wait_for(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor < 0) return system_error(file, "cannot create the lock", errno);
  ExclusiveLock lock(descriptor);
  while (::flock(descriptor, LOCK_EX) != 0)
    if (errno != EINTR) return system_error(file, "cannot take the lock", errno);
  return lock;
}

ExclusiveLock::~ExclusiveLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace lamp::record
