// tokenizer.json and a text: core/model/files/tokenizer_json, bpe_builder, pre_tokenizer,
// tokenizer.
#include <algorithm>
#include <filesystem>

#include "tests/fuzz/harness.hpp"
#include "tests/fuzz/tokenizer_laws.hpp"

namespace lamp::fuzz {
namespace {

bool run(std::string_view bytes) {
  const std::vector<std::string_view> parts = parts_of(bytes);
  const std::filesystem::path file = file_with(parts.front(), "tokenizer.json");
  const Result<Tokenizer> tokenizer = Tokenizer::read(scratch());
  std::filesystem::remove(file);  // other harnesses of this process have other files in the folder
  if (!tokenizer) return law_of_message(tokenizer.error().message), false;
  check_text(*tokenizer, parts.size() > 1 ? parts[1] : "");
  return true;
}

const Listed listed({.name = "tokenizer_json", .run = run, .mutate = mutate_parts});

}  // namespace
}  // namespace lamp::fuzz
