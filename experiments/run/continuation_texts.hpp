// The continuations of a result as text, beside their token ids.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/model/files/tokenizer.hpp"
#include "core/record/merge.hpp"
#include "experiments/run/experiment.hpp"

namespace lamp::experiments {

/// The text of the ids before the first that is negative: none. As UTF-8 without NUL, whatever the
/// tokens are: a byte that is no part of UTF-8, a NUL and an id that the vocabulary has not are
/// U+FFFD each.
std::string text_of_ids(const Tokenizer& tokenizer, std::span<const std::int64_t> ids);

/// What the merge adds to a result with continuations: the prompt, what the reference and what each
/// run goes on with. None where the tokens are ids and no vocabulary of the models can be read, or
/// not one for all. Errors: the tokenizer that the run's texts were read with cannot be read any
/// more, or is another one.
Result<std::vector<record::TextQuantity>> continuation_texts(const Experiment& experiment);

}  // namespace lamp::experiments
