// The token sequences of an experiment: from texts or lists of ids, cut, shuffled where asked, and
// identified.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/index.hpp"
#include "core/base/result.hpp"
#include "core/base/sha256.hpp"
#include "core/model/files/config.hpp"

namespace lamp::experiments {

/// What a run makes of the sequences of a text in one of its variants.
struct TokenVariant {
  std::optional<std::uint32_t> shuffle{};  // permuted, with draws of this seed
  std::string identity{};                  // variant_identity: part of that of a sequence
};

struct TokenRequest {
  bool from_ids = false;  // tokens.source: ids, one JSON list a line; else text
  std::vector<std::filesystem::path> paths;
  std::size_t sequence_length = 0;
  std::size_t sequences = 0;                // per text
  std::size_t offset = 0;                   // in tokens
  std::optional<std::size_t> min_length{};  // of a sequence; absent: sequence_length
  std::vector<TokenVariant> variants = std::vector<TokenVariant>(1);
};

struct TokenSequence {
  std::size_t text = 0;      // index into TokenRequest::paths
  std::size_t index = 0;     // within the text
  std::size_t variant = 0;   // index into TokenRequest::variants
  std::vector<TokenId> ids;  // min_length to sequence_length of them
  Digest id{};               // SHA-256 of index, ids and variant: what a shard belongs to
};

struct TokenSet {
  std::vector<TokenSequence> sequences;  // text by text; each in all variants, one after the other
  std::vector<Digest> text_contents;     // SHA-256 of each file
  Digest tokenizer{};                    // zero where no tokenizer is needed
};

/// Sequence s is tokens offset + sT .. offset + (s+1)T - 1 of its text, nothing added; fewer, at
/// least min_length, where the text or the line of ids ends before. A text too short, an id out of
/// range, a line of ids that is too short, any line that is no list of ids and a length beyond
/// n_positions are errors that name file and place; nothing wraps around. A variant permutes each
/// sequence by Fisher-Yates with Philox draws of key (seed, sequence).
Result<TokenSet> read_tokens(const TokenRequest& request, const ModelConfig& model,
                             const std::filesystem::path& model_folder);

}  // namespace lamp::experiments
