#include "core/base/input_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/system_error.hpp"

namespace lamp {
namespace {

Error failed(const std::filesystem::path& file, const char* doing, int error_number) {
  return system_error(file, std::string("cannot ") + doing, error_number, Role::input);
}

std::int64_t modified_ns(const struct stat& status) {
  return static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec;
}

}  // namespace

Result<InputFile> InputFile::open(const std::filesystem::path& file) {
  InputFile input;
  input.path_ = file;
  input.descriptor_ = Descriptor(::open(
      file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // non-blocking: a FIFO must not hang us
  if (!input.descriptor_.is_open()) return failed(file, "open", errno);
  struct stat status {};
  if (::fstat(input.descriptor(), &status) != 0) return failed(file, "inspect", errno);
  if (!S_ISREG(status.st_mode)) {
    return Error{ExitCode::bad_data,
                 file.string() + ": is " +
                     (S_ISDIR(status.st_mode) ? "a directory" : "a pipe or device") +
                     ", not a regular file"};
  }
  input.size_ = static_cast<std::uint64_t>(status.st_size);
  input.modified_ns_ = modified_ns(status);
  return input;
}

Result<void> InputFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t count = ::pread(descriptor(), out.data(), out.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed(path_, "read", errno);
    if (count == 0) {
      return Error{ExitCode::io, path_.string() + ": ends at byte " + std::to_string(offset) +
                                     ", but had " + std::to_string(size_) +
                                     " bytes when it was opened: it was truncated while being "
                                     "read; run again when nothing writes to it"};
    }
    out = out.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

Result<void> InputFile::unchanged() const {
  struct stat status {};
  if (::fstat(descriptor(), &status) != 0) return failed(path_, "inspect", errno);
  if (static_cast<std::uint64_t>(status.st_size) == size_ && modified_ns(status) == modified_ns_)
    return {};
  return Error{ExitCode::io, path_.string() + ": was changed while being read (" +
                                 std::to_string(size_) + " bytes before, " +
                                 std::to_string(status.st_size) +
                                 " now); run again when nothing writes to it"};
}

}  // namespace lamp
