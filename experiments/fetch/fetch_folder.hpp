// The folder that files are fetched into, held by one process at a time, and a file that is not yet
// whole in it: NAME.partial, which takes its own name only after its bytes were checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "core/base/descriptor.hpp"
#include "core/base/result.hpp"

namespace lamp::experiments {

/// Made where it is absent, and removed again if nothing was put into it.
class FetchFolder {
 public:
  /// partial (75) while another process holds it.
  static Result<FetchFolder> open(const std::filesystem::path& path);
  FetchFolder(FetchFolder&&) noexcept = default;
  FetchFolder& operator=(FetchFolder&&) = delete;
  ~FetchFolder();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Makes its names durable.
  [[nodiscard]] Result<void> sync() const;
  /// Bytes that can still be written, where the system tells.
  [[nodiscard]] std::optional<std::uint64_t> free_bytes() const;

 private:
  FetchFolder(std::filesystem::path path, Descriptor lock, bool made)
      : path_(std::move(path)), lock_(std::move(lock)), made_(made) {}
  std::filesystem::path path_;
  Descriptor lock_;
  bool made_;
};

/// Its bytes stay when the process ends, however it ends; an empty one is removed.
class PartialFile {
 public:
  static Result<PartialFile> open(const FetchFolder& folder, const std::string& name);
  PartialFile(PartialFile&&) noexcept = default;
  PartialFile& operator=(PartialFile&&) = delete;
  ~PartialFile();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  Result<void> append(std::span<const std::byte> bytes);
  /// Drops all bytes.
  Result<void> clear();
  /// fsync, takes the name, fsync of the folder.
  Result<void> publish();

 private:
  PartialFile(const FetchFolder& folder, const std::string& name, Descriptor descriptor,
              std::uint64_t size);
  const FetchFolder* folder_;
  std::filesystem::path target_, path_;
  Descriptor descriptor_;
  std::uint64_t size_;
};

/// What a file's bytes are.
struct Content {
  std::uint64_t size = 0;
  std::string sha256{};  // 64 lower-case digits
};

/// Reads the whole file; nothing where `goes_on` says no.
Result<std::optional<Content>> content_of(const std::filesystem::path& file,
                                          const std::function<bool()>& goes_on);

}  // namespace lamp::experiments
