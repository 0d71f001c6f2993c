#include "experiments/fetch/fetch_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "core/base/input_file.hpp"
#include "core/base/sha256.hpp"
#include "core/record/publish.hpp"

namespace lamp::experiments {

Result<FetchFolder> FetchFolder::open(const std::filesystem::path& path) {
  std::error_code failure;
  const bool made = std::filesystem::create_directories(path, failure);
  if (failure) return system_error(path, "cannot make the folder", failure.value());
  Descriptor lock(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock.is_open()) return system_error(path, "cannot open the folder", errno);
  // A file system without locks: then nothing keeps two processes apart.
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    return Error{ExitCode::partial,
                 path.string() + ": another process fetches into this folder; wait for it"};
  return FetchFolder(path, std::move(lock), made);
}

FetchFolder::~FetchFolder() {
  if (made_ && lock_.is_open()) ::rmdir(path_.c_str());  // does nothing where files are in it
}

Result<void> FetchFolder::sync() const {
  if (::fsync(lock_.get()) == 0 || errno == EINVAL) return {};  // EINVAL: not of folders, here
  return system_error(path_, "cannot write (fsync)", errno);
}

std::optional<std::uint64_t> FetchFolder::free_bytes() const {
  struct statvfs status {};
  if (::fstatvfs(lock_.get(), &status) != 0) return std::nullopt;
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

PartialFile::PartialFile(const FetchFolder& folder, const std::string& name, Descriptor descriptor,
                         std::uint64_t size)
    : folder_(&folder),
      target_(folder.path() / name),
      path_(folder.path() / (name + ".partial")),
      descriptor_(std::move(descriptor)),
      size_(size) {}

Result<PartialFile> PartialFile::open(const FetchFolder& folder, const std::string& name) {
  const std::filesystem::path path = folder.path() / (name + ".partial");
  // No link is followed, and no pipe waited for.
  Descriptor file(::open(
      path.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666));
  if (!file.is_open()) return system_error(path, "cannot create it", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return system_error(path, "cannot look at it", errno);
  if (!S_ISREG(status.st_mode))
    return Error{ExitCode::cannot_create, path.string() + ": is not a regular file; remove it"};
  return PartialFile(folder, name, std::move(file), static_cast<std::uint64_t>(status.st_size));
}

PartialFile::~PartialFile() {
  if (descriptor_.is_open() && size_ == 0) ::unlink(path_.c_str());
}

Result<void> PartialFile::append(std::span<const std::byte> bytes) {
  const std::size_t all = bytes.size();
  const int failed = write_all(descriptor_.get(), bytes);
  size_ += all - bytes.size();
  if (failed != 0) return system_error(path_, "cannot write", failed);
  return {};
}

Result<void> PartialFile::clear() {
  if (::ftruncate(descriptor_.get(), 0) != 0) return system_error(path_, "cannot empty it", errno);
  size_ = 0;
  return {};
}

Result<void> PartialFile::publish() {
  if (::fsync(descriptor_.get()) != 0) return system_error(path_, "cannot write (fsync)", errno);
  if (::rename(path_.c_str(), target_.c_str()) != 0)
    return system_error(target_, "cannot rename to it", errno);
  descriptor_.close();
  return folder_->sync();
}

Result<std::optional<Content>> content_of(const std::filesystem::path& file,
                                          const std::function<bool()>& goes_on) {
  const Result<InputFile> input = InputFile::open(file);
  if (!input) return input.error();
  Sha256 hash;
  std::vector<std::byte> buffer(std::size_t{1} << 20);
  for (std::uint64_t at = 0; at < input->size();) {
    if (!goes_on()) return std::optional<Content>();
    const std::size_t count = std::min<std::uint64_t>(buffer.size(), input->size() - at);
    const std::span<std::byte> part = std::span(buffer).first(count);
    if (const Result<void> read = input->read_at(at, part); !read) return read.error();
    hash.update(part);
    at += count;
  }
  return std::optional(Content{input->size(), to_hex(hash.finish())});
}

}  // namespace lamp::experiments
