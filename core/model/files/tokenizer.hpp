// GPT-2's byte-level BPE (Radford et al. 2019) and what came of it: text <-> token ids, from
// tokenizer.json, or vocab.json and merges.txt.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/index.hpp"
#include "core/base/result.hpp"
#include "core/base/sha256.hpp"

namespace lamp {

class Tokenizer {
 public:
  /// Reads tokenizer.json of an HF folder, or vocab.json and merges.txt, or the metadata of a GGUF,
  /// and validates them: ids 0..n-1 without gap or duplicate, both halves and the result of every
  /// merge in the vocabulary.
  static Result<Tokenizer> read(const std::filesystem::path& folder);

  /// Ids of a UTF-8 text. With `special`, each special token that stands in it (`<|endoftext|>`,
  /// ..) becomes its id; without, it is plain text. Nothing is added. A byte for which the
  /// vocabulary has no token is an error naming its place.
  [[nodiscard]] Result<std::vector<TokenId>> encode(std::string_view text,
                                                    bool special = false) const;
  /// Ids of a text of documents: a line `<|endoftext|>`, with the newlines around it, becomes one
  /// end-of-text id.
  [[nodiscard]] Result<std::vector<TokenId>> encode_documents(std::string_view text) const;
  /// Bytes of the ids (a valid UTF-8 text where they came from one). An id out of range is an error
  /// naming its place.
  [[nodiscard]] Result<std::string> decode(std::span<const TokenId> ids) const;

  [[nodiscard]] std::size_t vocab_size() const;
  [[nodiscard]] std::optional<TokenId> end_of_text() const;
  [[nodiscard]] const Digest& content() const;  // of vocabulary and merges

 private:
  struct Tables;
  std::shared_ptr<const Tables> tables_;
};

}  // namespace lamp
