// A regular file opened for reading. Every read goes through the system call, so that a file which
// somebody shortens meanwhile is an error with a name and an offset, never a signal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "core/base/descriptor.hpp"
#include "core/base/result.hpp"

namespace lamp {

class InputFile {
 public:
  /// What fails has the exit code of an input (core/base/system_error.hpp); a directory, FIFO or
  /// device is bad_data (never blocks on one).
  static Result<InputFile> open(const std::filesystem::path& file);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }  // when it was opened
  [[nodiscard]] int descriptor() const { return descriptor_.get(); }
  /// Fills `out` from byte `offset` on. Fewer bytes than that are ExitCode::io: the file got
  /// shorter while it was read.
  [[nodiscard]] Result<void> read_at(std::uint64_t offset, std::span<std::byte> out) const;
  /// An error when the file's size or modification time is no longer what it was when it was
  /// opened.
  [[nodiscard]] Result<void> unchanged() const;

 private:
  InputFile() = default;
  std::filesystem::path path_;
  Descriptor descriptor_{};
  std::uint64_t size_ = 0;
  std::int64_t modified_ns_ = 0;
};

}  // namespace lamp
