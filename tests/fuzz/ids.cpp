// Lists of token ids, one a line (tokens.source = "ids"): experiments/config/tokens.
#include <string>

#include "experiments/config/tokens.hpp"
#include "tests/fuzz/harness.hpp"

namespace lamp::fuzz {
namespace {

using experiments::TokenSequence;
using experiments::TokenSet;

constexpr std::size_t vocabulary = 50'000, positions = 64;

Result<TokenSet> read(const std::filesystem::path& file, std::size_t length, std::size_t count,
                      std::size_t offset) {
  ModelConfig model;
  model.vocab_size = vocabulary;
  model.n_positions = positions;
  return experiments::read_tokens({.from_ids = true,
                                   .paths = {file},
                                   .sequence_length = length,
                                   .sequences = count,
                                   .offset = offset},
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

bool accepts(const std::filesystem::path& file, std::size_t length, std::size_t count,
             std::size_t offset) {
  const Result<TokenSet> set = read(file, length, count, offset);
  if (!set) return law_of_message(set.error().message), false;
  law(set->sequences.size() == count, "there are as many sequences as asked for");
  for (const TokenSequence& sequence : set->sequences) {
    law(sequence.ids.size() == length, "a sequence has the length asked for");
    for (const TokenId id : sequence.ids) law(id < vocabulary, "ids are of the vocabulary");
  }
  const Result<TokenSet> again = read(file_with(file_of(*set), "again.jsonl"), length, count, 0);
  law(again.ok() && again->sequences.size() == count, "sequences can be written and read again");
  for (std::size_t i = 0; i < count; ++i)
    law(again->sequences[i].ids == set->sequences[i].ids &&
            again->sequences[i].id == set->sequences[i].id,
        "what is read again is the same");
  return true;
}

bool run(std::string_view bytes) {
  const std::filesystem::path file = file_with(bytes, "ids.jsonl");
  const bool two = accepts(file, 4, 2, 0), one = accepts(file, 1, 1, 2);
  return two || one;
}

const Listed listed({.name = "ids", .run = run});

}  // namespace
}  // namespace lamp::fuzz
