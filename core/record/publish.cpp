#include "core/record/publish.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

namespace lamp::record {
namespace {

constexpr std::string_view temporary_suffix = ".tmp";

std::filesystem::path folder_of(const std::filesystem::path& file) {
  return file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
}

}  // namespace

Result<void> check_target(const std::filesystem::path& target) {
  const auto wrong = [&](const char* what) {
    return Error{ExitCode::cannot_create, target.string() + ": " + what};
  };
  struct stat status {};
  if (!target.has_filename()) return wrong("is a folder; name a file");
  if (::lstat(target.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return system_error(target, "cannot be written", errno);
  }
  if (S_ISREG(status.st_mode)) return {};
  if (S_ISLNK(status.st_mode)) return wrong("is a symbolic link; name the file it points to");
  return wrong(S_ISDIR(status.st_mode) ? "is a folder; name a file" : "is not a regular file");
}

Result<TemporaryFile> TemporaryFile::beside(const std::filesystem::path& target) {
  if (Result<void> fits = check_target(target); !fits) return fits.error();
  Descriptor folder(::open(folder_of(target).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open())
    return system_error(target, "cannot open its folder, which must be readable", errno);
  TemporaryFile file(target, std::move(folder));
  static std::atomic<unsigned> counter{0};
  for (int tries = 0; tries < 1000; ++tries) {
    std::string name(".");
    name.append(target.filename().string()).append(".").append(std::to_string(::getpid()));
    name.append(".").append(std::to_string(counter++)).append(temporary_suffix);
    std::filesystem::path path = folder_of(target) / name;
    Descriptor opened(::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666));
    if (!opened.is_open() && errno == EEXIST)
      continue;  // of another host, or left by a killed process of the same number
    if (!opened.is_open())
      return system_error(target, "cannot create it (temporary file in its folder)", errno);
    file.take(std::move(path), std::move(opened));
    // Someone holding the lock is remove_leftovers, about to unlink. No lock on this file system:
    // it then leaves the file alone.
    if (::flock(file.file_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) continue;
    struct stat status {};
    if (::fstat(file.file_.get(), &status) == 0 && status.st_nlink == 0)
      continue;  // it was quicker
    return file;
  }
  return Error{ExitCode::cannot_create,
               target.string() + ": no free temporary name in its folder; remove .*.tmp there"};
}

TemporaryFile::TemporaryFile(TemporaryFile&& other) noexcept
    : target_(std::move(other.target_)),
      folder_(std::move(other.folder_)),
      path_(std::exchange(other.path_, {})),
      file_(std::move(other.file_)) {}

TemporaryFile::~TemporaryFile() { take({}, Descriptor()); }

void TemporaryFile::take(std::filesystem::path path, Descriptor opened) {
  if (!path_.empty()) ::unlink(path_.c_str());
  path_ = std::move(path);
  file_ = std::move(opened);
}

Result<void> TemporaryFile::write(std::span<const std::byte> bytes) {
  if (const int failed = write_all(file_.get(), bytes); failed != 0)
    return system_error(target_, "cannot write", failed);
  return {};
}

Result<void> TemporaryFile::end_with(const std::function<std::string(const Digest&)>& trailer) {
  Sha256 hash;
  std::vector<std::byte> buffer(std::size_t{1} << 18);
  if (::lseek(file_.get(), 0, SEEK_SET) < 0) return system_error(target_, "cannot read", errno);
  for (;;) {
    const ssize_t count = ::read(file_.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error(target_, "cannot read", errno);
    if (count == 0) break;
    hash.update(std::span(buffer).first(static_cast<std::size_t>(count)));
  }
  const std::string line = trailer(hash.finish());
  return write(std::as_bytes(std::span(line)));
}

Result<void> TemporaryFile::commit() {
  if (::fsync(file_.get()) != 0) return system_error(target_, "cannot write (fsync)", errno);
  if (Result<void> fits = check_target(target_); !fits) return fits;
  if (::rename(path_.c_str(), target_.c_str()) != 0)
    return system_error(target_, "cannot rename to it", errno);
  path_.clear();
  if (::fsync(folder_.get()) != 0 &&
      errno != EINVAL)  // EINVAL: this file system does not sync folders
    return system_error(target_, "cannot write (fsync of its folder)", errno);
  return {};
}

Result<void> publish(const std::filesystem::path& file, std::span<const std::byte> bytes) {
  Result<TemporaryFile> temporary = TemporaryFile::beside(file);
  if (!temporary) return temporary.error();
  if (Result<void> written = temporary->write(bytes); !written) return written;
  return temporary->commit();
}

std::size_t remove_leftovers(const std::filesystem::path& folder, const std::string& target) {
  const std::string start = target.empty() ? "." : "." + target + ".";
  std::size_t removed = 0;
  std::error_code ignored;
  std::vector<std::filesystem::path> candidates;
  for (std::filesystem::directory_iterator it(folder, ignored), end; !ignored && it != end;
       it.increment(ignored)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with(start) && name.ends_with(temporary_suffix))
      candidates.push_back(it->path());
  }
  for (const std::filesystem::path& path : candidates) {
    const Descriptor opened(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (opened.is_open() && ::flock(opened.get(), LOCK_EX | LOCK_NB) == 0 &&
        ::unlink(path.c_str()) == 0)
      ++removed;
  }
  return removed;
}

}  // namespace lamp::record
