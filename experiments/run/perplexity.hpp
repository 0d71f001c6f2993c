// Perplexity of the reference and of the runs, from a file of results: exp of the mean
// cross-entropy of the next token.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/record/stored_file.hpp"

namespace lamp::experiments {

/// Of one text and one reference, over its sequences whose reference is done: exp of the mean
/// cross-entropy over all their predicted tokens, T - 1 of a sequence of T; sequences of one token
/// have none and are not counted. A mean over a NaN (a logit was NaN) is NaN.
struct Perplexity {
  std::string text;     // empty where the result has no dimension `text`
  std::string variant;  // "model.path = gpt2-nano": of the reference; empty where there is one
  std::size_t sequences = 0;  // counted
  double reference =
      0.0;  // NaN where no sequence is counted, or where one of their cross-entropies is
  std::size_t points = 0;              // of the grid with this reference, done in all of these
  std::size_t nan = 0;                 // of those: the run's perplexity is NaN
  double lowest = 0.0, highest = 0.0;  // over the others; NaN where there are none
};

/// Whether sequences have lengths of their own, which then are in /reference/length.
enum class SequenceLengths : std::uint8_t { equal, vary };

/// One entry a text and reference. Errors: as record::read_numbers.
Result<std::vector<Perplexity>> perplexities(const record::StoredFile& result,
                                             SequenceLengths lengths);

}  // namespace lamp::experiments
