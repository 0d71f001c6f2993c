// Perplexity of the reference and of the runs, from a file of results: exp of the mean cross-entropy of the next token.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace lamp::experiments {

/// Of one text, over its sequences whose reference is there: exp of the mean over sequences of their cross-entropies, each a mean
/// over its T - 1 positions. `lowest` and `highest` are over the grid points that are done in all of these sequences; NaN where
/// there is none, or where a next token had no probability left to speak of (logits with NaN).
struct Perplexity {
  std::string text;           // empty where the result has no dimension `text`
  std::size_t sequences = 0;  // counted
  double reference = 0.0, lowest = 0.0, highest = 0.0;
};

/// One entry a text. Errors: as record::read_numbers.
Result<std::vector<Perplexity>> perplexities(const std::filesystem::path& result);

}  // namespace lamp::experiments
