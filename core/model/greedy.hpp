// Greedy decoding: the text that a model goes on with when every next token is the most probable
// one.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "core/model/forward.hpp"

namespace lamp {

/// The lowest index of the largest logit; nothing where one is NaN. As the metrics' argmax. Pre:
/// not empty.
std::optional<TokenId> most_probable(std::span<const double> logits);

/// `count` tokens after `prefix`, each the argmax of the logits after the tokens before it; fewer
/// where logits are NaN, since nothing follows from them. An end of text does not end it. The last
/// token is not read again, so the rows are those of a pass over prefix.size() + count tokens but
/// the last one, bit for bit; of the prefix only the last row's logits are evaluated. Pre: 1 <=
/// prefix.size(), prefix.size() + count <= n_positions, ids < vocab_size.
std::vector<TokenId> greedy_continuation(const Model& model, std::span<const TokenId> prefix,
                                         std::size_t count, const PrecisionPlan& plan,
                                         const PassOptions& options, Workspace& workspace);

}  // namespace lamp
