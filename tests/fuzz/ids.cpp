// Lists of token ids, one a line (tokens.source = "ids"): experiments/config/tokens.
#include <string>

#include "experiments/config/tokens.hpp"
#include "tests/fuzz/harness.hpp"

namespace lamp::fuzz {
namespace {

using experiments::TokenSequence;
using experiments::TokenSet;

constexpr std::size_t vocabulary = 50'000, positions = 64;

/// What is asked of a file.
struct Asked {
  std::size_t length = 0, least = 0, count = 0, offset = 0;
};

Result<TokenSet> read(const std::filesystem::path& file, const Asked& asked) {
  ModelConfig model;
  model.vocab_size = vocabulary;
  model.n_positions = positions;
  return experiments::read_tokens({.from_ids = true,
                                   .paths = {file},
                                   .sequence_length = asked.length,
                                   .sequences = asked.count,
                                   .offset = asked.offset,
                                   .min_length = asked.least},
                                  model, file.parent_path());
}

/// The sequences as a file of ids.
std::string file_of(const TokenSet& set) {
  std::string text;
  for (const TokenSequence& sequence : set.sequences) {
    text += '[';
    for (const TokenId id : sequence.ids)
      text += (text.back() == '[' ? "" : ",") + std::to_string(id);
    text += "]\n";
  }
  return text;
}

bool accepts(const std::filesystem::path& file, const Asked& asked) {
  const Result<TokenSet> set = read(file, asked);
  if (!set) return law_of_message(set.error().message), false;
  law(set->sequences.size() == asked.count, "there are as many sequences as asked for");
  for (const TokenSequence& sequence : set->sequences) {
    law(asked.least <= sequence.ids.size() && sequence.ids.size() <= asked.length,
        "a sequence has a length asked for");
    for (const TokenId id : sequence.ids) law(id < vocabulary, "ids are of the vocabulary");
  }
  const Asked whole{.length = asked.length, .least = asked.least, .count = asked.count};
  const Result<TokenSet> again = read(file_with(file_of(*set), "again.jsonl"), whole);
  law(again.ok() && again->sequences.size() == asked.count,
      "sequences can be written and read again");
  for (std::size_t i = 0; i < asked.count; ++i)
    law(again->sequences[i].ids == set->sequences[i].ids &&
            again->sequences[i].id == set->sequences[i].id,
        "what is read again is the same");
  return true;
}

bool run(std::string_view bytes) {
  const std::filesystem::path file = file_with(bytes, "ids.jsonl");
  const bool two = accepts(file, {.length = 4, .least = 4, .count = 2}),
             one = accepts(file, {.length = 1, .least = 1, .count = 1, .offset = 2}),
             others = accepts(file, {.length = 6, .least = 2, .count = 3, .offset = 1});
  return two || one || others;
}

const Listed listed({.name = "ids", .run = run});

}  // namespace
}  // namespace lamp::fuzz
