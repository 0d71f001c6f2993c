// fetched.json of a model folder: where each file is from and what its bytes were when it was
// fetched. A later fetch takes no other bytes for it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace lamp::experiments {

/// What the bytes of a file were compared with.
enum class CheckedBy {
  known,   // size and SHA-256 that this program knows
  stated,  // the SHA-256 that the server states
  length,  // the length that the server states: nobody says what the hash should be
};

std::string_view name_of(CheckedBy checked);

struct Pin {
  std::string url{};
  std::uint64_t size = 0;
  std::string sha256{};  // 64 lower-case digits
  CheckedBy checked = CheckedBy::length;
  std::string time{};  // UTC
};

/// A download that has begun; its bytes are in NAME.partial.
struct Unfinished {
  std::string url{};
  std::optional<std::uint64_t> size{};  // where the server states it
  std::string sha256{};                 // likewise, or empty
  std::string validator{};              // by which the server can tell a change, or empty
  friend bool operator==(const Unfinished&, const Unfinished&) = default;
};

struct Fetched {
  std::string checkpoint{};
  std::map<std::string, Pin> files{};
  std::map<std::string, Unfinished> unfinished{};
};

/// The folder's; without files where it has none. bad_data where it is damaged, cannot_create where
/// it is of another checkpoint.
Result<Fetched> read_fetched(const std::filesystem::path& folder, std::string_view checkpoint);
Result<void> write_fetched(const std::filesystem::path& folder, const Fetched& fetched);

}  // namespace lamp::experiments
