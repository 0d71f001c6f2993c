// A file of results on disk: opened once, and its bytes compared with the SHA-256 that it carries
// before anything is made of them. A shard carries it in the 512 bytes before its HDF5 data, a
// result in a line after them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "core/base/input_file.hpp"
#include "core/base/result.hpp"
#include "core/base/sha256.hpp"

namespace lamp::record {

enum class FileKind : std::uint8_t { result, shard };

// Of the layout of a shard and of a result. Earlier ones, from 1, are read too; 2: token ids are
// signed integers (earlier_schema.hpp).
inline constexpr int shard_schema = 2, result_schema = 2;

/// What a shard begins with: HDF5's smallest user block, text that says what it is and gives the
/// digest of the bytes after it, padded with zeros.
inline constexpr std::size_t shard_header_size = 512;
std::array<char, shard_header_size> shard_header(const Digest& of_the_rest,
                                                 int schema = shard_schema);

/// What a result ends with, where HDF5 does not look: a line with the digest of the bytes before
/// it. A program that changes the file drops it.
std::string result_trailer(const Digest& of_the_bytes_before, int schema = result_schema);

/// What tells a file from one that has taken its place.
struct Stamp {
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t modified_ns = 0;
  friend bool operator==(const Stamp&, const Stamp&) = default;
};
/// Nothing where there is no file.
std::optional<Stamp> stamp_of(const std::filesystem::path& file);

class StoredFile {
 public:
  /// Errors: missing_input; permission; io; bad_data for what is neither a result nor a shard
  /// (or not `expected`), for a later schema version, and for bytes that are not those the digest
  /// is of, naming the file.
  static Result<StoredFile> open(const std::filesystem::path& file,
                                 std::optional<FileKind> expected = std::nullopt);
  [[nodiscard]] const std::filesystem::path& path() const { return file_.path(); }
  [[nodiscard]] FileKind kind() const { return kind_; }
  /// Whether the bytes are those that lamp wrote. A shard's always are; a result that another
  /// program has written or changed carries no digest.
  [[nodiscard]] bool verified() const { return verified_; }
  [[nodiscard]] std::uint64_t size() const { return file_.size(); }
  [[nodiscard]] const Stamp& stamp() const { return stamp_; }
  [[nodiscard]] int descriptor() const { return file_.descriptor(); }
  /// Fills `out` from byte `offset` on.
  [[nodiscard]] Result<void> read(std::uint64_t offset, std::span<std::byte> out) const {
    return file_.read_at(offset, out);
  }

 private:
  StoredFile(InputFile file, const Stamp& stamp) : file_(std::move(file)), stamp_(stamp) {}
  [[nodiscard]] Error bad(const std::string& what) const;
  /// Compares the digest of the bytes [begin, end) with the one they are said to have.
  [[nodiscard]] Result<Digest> digest(std::uint64_t begin, std::uint64_t end) const;
  Result<void> verify_shard();
  Result<void> verify_result();

  InputFile file_;
  Stamp stamp_;
  FileKind kind_ = FileKind::result;
  bool verified_ = false;
};

/// The schema version that a shard's first line names; nothing where it is no shard.
std::optional<int> schema_of_shard(const std::filesystem::path& file);

}  // namespace lamp::record
