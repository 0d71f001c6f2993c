#include "core/record/stored_file.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/system_error.hpp"

namespace lamp::record {
namespace {

constexpr std::string_view shard_magic = "lamp shard, schema ";
constexpr std::string_view trailer_magic = "\nlamp result, schema ";
constexpr std::string_view hdf5_signature("\x89HDF\r\n\x1a\n", 8);

Stamp stamp_from(const struct stat& status) {
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .size = static_cast<std::uint64_t>(status.st_size),
          .modified_ns = static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 +
                         status.st_mtim.tv_nsec};
}

bool is_read(int schema, int newest) { return 1 <= schema && schema <= newest; }

/// "a shard of schema version 9; this lamp reads 1 to 2".
std::string not_read(const std::string& what, int schema, int newest) {
  return what + " of schema version " + std::to_string(schema) + "; this lamp reads 1 to " +
         std::to_string(newest);
}

/// The number that `text` begins with.
std::optional<int> number_at(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

}  // namespace

std::array<char, shard_header_size> shard_header(const Digest& digest, int schema) {
  std::array<char, shard_header_size> block{};
  const std::string text = std::string(shard_magic) + std::to_string(schema) +
                           "\nAn HDF5 file from byte 512 on; SHA-256 of those bytes:\n" +
                           to_hex(digest) + "\n";
  std::copy(text.begin(), text.end(), block.begin());
  return block;
}

std::string result_trailer(const Digest& digest, int schema) {
  return std::string(trailer_magic) + std::to_string(schema) +
         "; SHA-256 of all bytes before this line: " + to_hex(digest) + "\n";
}

std::optional<int> schema_of_shard(const std::filesystem::path& file) {
  const Result<InputFile> input = InputFile::open(file);
  if (!input) return std::nullopt;
  std::string text(std::min<std::size_t>(40, input->size()), '\0');
  if (!input->read_at(0, std::as_writable_bytes(std::span(text)))) return std::nullopt;
  return text.starts_with(shard_magic)
             ? number_at(std::string_view(text).substr(shard_magic.size()))
             : std::nullopt;
}

std::optional<Stamp> stamp_of(const std::filesystem::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return std::nullopt;
  return stamp_from(status);
}

Error StoredFile::bad(const std::string& what) const {
  return {ExitCode::bad_data, path().string() + ": " + what};
}

Result<StoredFile> StoredFile::open(const std::filesystem::path& path,
                                    std::optional<FileKind> expected) {
  Result<InputFile> input = InputFile::open(path);
  if (!input) return input.error();
  struct stat status {};
  if (::fstat(input->descriptor(), &status) != 0)
    return system_error(path, "cannot inspect", errno, Role::input);
  StoredFile file(*std::move(input), stamp_from(status));
  std::array<char, shard_magic.size()> start{};
  const std::size_t known = std::min<std::size_t>(start.size(), file.size());
  if (Result<void> done = file.read(0, std::as_writable_bytes(std::span(start)).first(known));
      !done)
    return done.error();
  const std::string_view head(start.data(), known);
  if (expected == FileKind::shard || (!expected && head == shard_magic)) {
    if (Result<void> whole = file.verify_shard(); !whole) return whole.error();
  } else if (head.starts_with(hdf5_signature)) {
    if (Result<void> whole = file.verify_result(); !whole) return whole.error();
  } else {
    return file.bad(
        "neither a result of lamp (HDF5) nor a shard; legal: result.h5, a file of shards/, or a "
        "model folder");
  }
  return file;
}

Result<Digest> StoredFile::digest(std::uint64_t begin, std::uint64_t end) const {
  Sha256 hash;
  std::vector<std::byte> buffer(std::size_t{1} << 18);
  while (begin < end) {
    const auto part = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), end - begin));
    if (Result<void> done = read(begin, part); !done) return done.error();
    hash.update(part);
    begin += part.size();
  }
  return hash.finish();
}

Result<void> StoredFile::verify_shard() {
  std::array<char, shard_header_size> found{};
  const std::size_t known = std::min<std::size_t>(found.size(), size());
  if (Result<void> done = read(0, std::as_writable_bytes(std::span(found)).first(known)); !done)
    return done;
  const std::string_view text(found.data(), known);
  if (known < found.size())
    return bad("not a whole shard of lamp (" + std::to_string(known) +
               " bytes; a shard begins with 512 of text)");
  if (!text.starts_with(shard_magic)) return bad("not a shard of lamp");
  const std::optional<int> schema = number_at(text.substr(shard_magic.size()));
  if (schema && !is_read(*schema, shard_schema))
    return bad(not_read("a shard", *schema, shard_schema));
  const Result<Digest> rest = digest(found.size(), size());
  if (!rest) return rest.error();
  if (schema && found == shard_header(*rest, *schema)) {
    kind_ = FileKind::shard;
    verified_ = true;
    return {};
  }
  return bad("truncated or corrupted: the SHA-256 of its bytes is not the stored one");
}

Result<void> StoredFile::verify_result() {
  const std::size_t length = result_trailer({}).size();
  if (size() < length) return {};
  std::string trailer(length, '\0');
  if (Result<void> done = read(size() - length, std::as_writable_bytes(std::span(trailer))); !done)
    return done;
  if (!trailer.starts_with(trailer_magic)) return {};
  const std::optional<int> schema =
      number_at(std::string_view(trailer).substr(trailer_magic.size()));
  if (schema && !is_read(*schema, result_schema))
    return bad(not_read("a result", *schema, result_schema));
  const Result<Digest> before = digest(0, size() - length);
  if (!before) return before.error();
  if (!schema || trailer != result_trailer(*before, *schema))
    return bad(
        "corrupted: the SHA-256 of its bytes is not the stored one; lamp merge writes it anew");
  verified_ = true;
  return {};
}

}  // namespace lamp::record
