// The published checkpoints that `lamp fetch` knows by name, and what is known of their files.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace lamp::experiments {

struct PublishedFile {
  std::string_view name{};
  std::uint64_t most_bytes = 0;  // more than this is no such file
  std::uint64_t size = 0;        // 0, and no digits: not known here, but said by the server
  std::string_view sha256{};
};

struct PublishedCheckpoint {
  std::string_view name{};
  std::string_view base{};  // address of its files, before "/NAME"
  std::span<const PublishedFile> files{};
};

/// Small files first: what is wrong shows before the weights are loaded.
std::span<const PublishedCheckpoint> published_checkpoints();

}  // namespace lamp::experiments
