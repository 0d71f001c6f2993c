// vocab.json, merges.txt and a text, which may be followed by added_tokens.json:
// core/model/files/tokenizer_tables, bpe_builder, tokenizer.
#include <algorithm>
#include <filesystem>

#include "tests/fuzz/harness.hpp"
#include "tests/fuzz/tokenizer_laws.hpp"

namespace lamp::fuzz {
namespace {

bool run(std::string_view bytes) {
  const std::vector<std::string_view> parts = parts_of(bytes);
  const auto part = [&](std::size_t i) { return i < parts.size() ? parts[i] : std::string_view(); };
  file_with(part(0), "vocab.json");
  file_with(part(1), "merges.txt");
  std::filesystem::remove(scratch() / "added_tokens.json");
  if (parts.size() > 3) file_with(parts[3], "added_tokens.json");
  const Result<Tokenizer> tokenizer = Tokenizer::read(scratch());
  if (!tokenizer) return law_of_message(tokenizer.error().message), false;
  check_text(*tokenizer, part(2));
  return true;
}

const Listed listed({.name = "two_tokenizer_files", .run = run, .mutate = mutate_parts});

}  // namespace
}  // namespace lamp::fuzz
