// What vocab.json and merges.txt say, in bytes and ids, validated against each other.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/index.hpp"
#include "core/base/result.hpp"
#include "core/base/sha256.hpp"

namespace lamp {

inline constexpr std::string_view end_of_text_token = "<|endoftext|>";

/// A merge: the pair of lower `rank` is merged first, and becomes the token `id`.
struct Merge {
  std::uint32_t rank = 0;
  TokenId id = 0;
};

constexpr std::uint64_t pair_key(TokenId left, TokenId right) {
  return std::uint64_t{left} << 32 | right;
}

struct BpeTables {
  std::vector<std::string> bytes;  // of each id
  std::array<TokenId, 256> byte_ids{};
  std::unordered_map<std::uint64_t, Merge> merges;  // by pair_key
  std::optional<TokenId> end_of_text;
  Digest content{};
};

/// Reads vocab.json and merges.txt. bad_data, naming the token or the line: a symbol outside
/// GPT-2's byte alphabet, ids that are not 0 .. n-1 each once, one of the 256 bytes missing, a
/// merge whose halves or result are not in the vocabulary, a merge given twice, a token that no
/// merge makes (`<|endoftext|>` excepted), CRLF line ends. A first line `#version: ..` of
/// merges.txt is skipped; without it the first line is a merge like any other.
Result<BpeTables> read_bpe_tables(const std::filesystem::path& folder);

}  // namespace lamp
