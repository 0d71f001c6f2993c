// What holds of a text and any tokenizer that was accepted; other files of tokenizers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/model/files/text.hpp"
#include "core/model/files/tokenizer.hpp"
#include "tests/fuzz/drivers/json_changes.hpp"
#include "tests/fuzz/harness.hpp"

namespace lamp::fuzz {

/// The ids of a text are of the vocabulary and stand for its bytes.
inline void check_ids(const Tokenizer& tokenizer, std::string_view text, bool special) {
  const Result<std::vector<TokenId>> ids = tokenizer.encode(text, special);
  if (!ids) return law_of_message(ids.error().message);
  law(!first_invalid_utf8(text), "a text that has ids is UTF-8");
  law(ids->size() <= text.size(), "an id stands for a byte or more");
  const Result<std::string> back = tokenizer.decode(*ids);
  law(back.ok() && *back == text, "the ids of a text stand for its bytes");
}

inline void check_text(const Tokenizer& tokenizer, std::string_view text) {
  check_ids(tokenizer, text, false);
  check_ids(tokenizer, text, true);
  const Result<std::vector<TokenId>> ids = tokenizer.encode_documents(text);
  if (!ids) return law_of_message(ids.error().message);
  law(tokenizer.decode(*ids).ok(), "ids of documents are of the vocabulary");
}

/// One part of the input changed: JSON as JSON, a text by a piece of another part.
inline std::string mutate_parts(std::string_view bytes, Random& random) {
  const std::vector<std::string_view> parts = parts_of(bytes);
  const std::size_t changed = random() % parts.size();
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::string part(parts[i]);
    if (i == changed) part = mutated_json(part, random);
    if (i == changed && part == parts[i]) {
      const std::string_view from = parts[random() % parts.size()];
      const std::size_t begin = random() % (from.size() + 1);
      part.insert(random() % (part.size() + 1), from.substr(begin, random() % 12));
    }
    if (i + 1 < parts.size() && (part.empty() || part.back() != '\n')) part += '\n';
    out += part + (i + 1 < parts.size() ? "====\n" : "");
  }
  return out;
}

}  // namespace lamp::fuzz
