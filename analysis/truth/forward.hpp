// Forward selection (method.md section 7): scores recomputed one after the other, each the one that
// helps most beside those before it. What a ranking that is renewed after every score can reach.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "analysis/truth/end_to_end.hpp"

namespace lamp::truth {

/// One more score recomputed.
struct Step {
  Row row;
  std::uint32_t key = 0;
  double kl = 0.0;  // KL(reference || run), mean over positions, with this one and all before it
};

struct ForwardSelection {
  /// At each step every score of the rows that is still low is evaluated recomputed; the one of
  /// least KL is kept. Of equal ones the first, by row in the list's order, then by key. A NaN is
  /// never chosen; fewer steps where no other score is left.
  std::vector<Step> steps;
  /// Entry k: the KL with the k + 1 scores recomputed that were least at the first step, so without
  /// renewing the ranking; equal ones and NaN as above. As many as there are scores to choose, at
  /// most as many as steps were asked for.
  std::vector<double> single_kl;
};

/// From all scores low. Nothing where `stop` said so. The same bits for any number of threads.
std::optional<ForwardSelection> forward_selection(const Question& question,
                                                  const Background& target,
                                                  std::span<const Row> rows, std::size_t steps,
                                                  std::size_t threads,
                                                  const std::function<bool()>& stop);

/// Bytes of the sets it keeps at a time.
std::size_t bytes_of_sets(const ModelConfig& model, Site site, std::size_t length);

}  // namespace lamp::truth
