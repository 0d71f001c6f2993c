#include "experiments/run/scratch_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/system_error.hpp"

namespace lamp::experiments {
namespace {

constexpr std::string_view prefix = ".lamp-verify-";

Descriptor open_folder(const std::filesystem::path& path) {
  return Descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

/// Whether the folder under that name is still the one that is open.
bool is_there(const std::filesystem::path& path, const Descriptor& descriptor) {
  struct stat named {
  }, opened{};
  return ::lstat(path.c_str(), &named) == 0 && ::fstat(descriptor.get(), &opened) == 0 &&
         named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

}  // namespace

Result<ScratchFolder> ScratchFolder::create_in(const std::filesystem::path& folder) {
  static std::atomic<unsigned> counter{0};
  const auto fail = [&](int error) {
    return system_error(folder, "a scratch folder cannot be created in it", error);
  };
  for (int tries = 0; tries < 1000; ++tries) {
    std::filesystem::path path = folder / (std::string(prefix) + std::to_string(::getpid()) + '-' +
                                           std::to_string(counter++));
    if (::mkdir(path.c_str(), 0700) != 0) {
      if (errno == EEXIST) continue;  // of another host, or of a killed process of this number
      return fail(errno);
    }
    Descriptor opened = open_folder(path);
    if (!opened.is_open() && errno == ENOENT) continue;  // taken for an abandoned one
    if (!opened.is_open()) return fail(errno);
    ScratchFolder scratch(std::move(path), std::move(opened));
    // Where the file system has no locks, remove_abandoned_scratch leaves the folder alone.
    const bool is_taken =
        ::flock(scratch.opened_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (is_taken || !is_there(scratch.path_, scratch.opened_)) continue;
    if (::mkdir((scratch.path_ / "shards").c_str(), 0700) != 0) return fail(errno);
    return scratch;
  }
  return Error{ExitCode::cannot_create, folder.string() +
                                            ": no free name for a scratch folder in it; remove " +
                                            std::string(prefix) + "* there"};
}

Result<ScratchFolder> ScratchFolder::create(const std::filesystem::path& folder) {
  Result<ScratchFolder> here = create_in(folder);
  if (here) return here;
  std::error_code failure;
  const std::filesystem::path elsewhere = std::filesystem::temp_directory_path(failure);
  if (failure)
    return Error{here.error().code, here.error().message +
                                        "; nor in TMPDIR, which is no folder: set it to one that "
                                        "can be written"};
  remove_abandoned_scratch(elsewhere);
  Result<ScratchFolder> there = create_in(elsewhere);
  if (there) return there;
  return Error{there.error().code, here.error().message +
                                       "; nor in TMPDIR: " + there.error().message +
                                       "; set TMPDIR to a folder that can be written"};
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

void remove_abandoned_scratch(const std::filesystem::path& folder) {
  std::error_code ignored;
  std::vector<std::filesystem::path> candidates;
  for (std::filesystem::directory_iterator it(folder, ignored), end; !ignored && it != end;
       it.increment(ignored))
    if (it->path().filename().string().starts_with(prefix)) candidates.push_back(it->path());
  for (const std::filesystem::path& path : candidates) {
    const Descriptor opened = open_folder(path);
    if (opened.is_open() && ::flock(opened.get(), LOCK_EX | LOCK_NB) == 0)
      std::filesystem::remove_all(path, ignored);
  }
}

}  // namespace lamp::experiments
