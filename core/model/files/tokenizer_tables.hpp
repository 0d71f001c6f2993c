// What the files of a byte-level BPE tokenizer say, in bytes and ids, validated against each other.
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
#include "core/model/files/pre_tokenizer.hpp"

namespace lamp {

inline constexpr std::string_view end_of_text_token = "<|endoftext|>";
inline constexpr std::uint64_t most_tokens = 1U << 24;

/// A merge: the pair of lower `rank` is merged first, and becomes the token `id`.
struct Merge {
  std::uint32_t rank = 0;
  TokenId id = 0;
};

constexpr std::uint64_t pair_key(TokenId left, TokenId right) {
  return std::uint64_t{left} << 32 | right;
}

/// A token that no merge makes: found in a text as it stands, before words are cut.
struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool special = true;    // found only where special tokens are asked for
  bool from_text = true;  // false: never found, since blanks beside it would belong to it
};

struct BpeTables {
  std::vector<std::string> bytes;                      // of each id
  std::array<std::optional<TokenId>, 256> byte_ids{};  // nothing: no token for this byte
  std::unordered_map<std::uint64_t, Merge> merges;     // by pair_key
  std::vector<AddedToken> added;                       // by id; `<|endoftext|>` among them
  std::optional<TokenId> end_of_text;
  bool whole_words = false;  // a word that is a token is that token, whatever the merges
  PreTokenizer words = PreTokenizer::gpt2();
  Digest content{};
};

/// Reads tokenizer.json where the folder has one, else vocab.json and merges.txt (and what
/// added_tokens.json adds), else the metadata of its only GGUF; of a path to a GGUF its metadata,
/// or where they name no tokens the files beside it. bad_data, naming the token, the line or the
/// key: a symbol outside GPT-2's byte alphabet, ids that are not 0 .. n-1 each once, a merge whose
/// halves or result are not in the vocabulary, a merge given twice, a token that no merge makes and
/// that is not added (in vocab.json: `<..>` and `[..]` are), CRLF line ends; in tokenizer.json what
/// gives another function than ours (tokenizer_json.cpp). A first line `#version: ..` of merges.txt
/// is skipped; without it the first line is a merge like any other.
Result<BpeTables> read_bpe_tables(const std::filesystem::path& folder);

}  // namespace lamp
