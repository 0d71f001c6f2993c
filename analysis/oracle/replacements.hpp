// What one score by itself does to the logits, for many scores: how far KL differences of binary64
// runs are to be believed is measured with this at 200 bits.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

#include "analysis/oracle/losses.hpp"
#include "analysis/oracle/pass.hpp"

namespace lamp::oracle {

/// A score and the value it gets instead of its own.
template <class S>
struct Replacement {
  Score score;
  S value;
};

/// For each replacement, alone, the mean over positions of KL(ref || run); the run is `base` with
/// it and is evaluated only where it differs from base. base_change: what made `base`, if anything
/// did (all scores low, say); it is called again in each run, before the replacement. Each thread
/// holds a pass; their number changes no bit.
template <class S, class BaseChange = decltype(no_change)>
std::vector<S> kl_of_each(const Weights<Number<S>>& weights, const Pass<S>& base,
                          const Matrix<S>& reference_logits,
                          const std::vector<Replacement<S>>& replacements, std::size_t threads,
                          const BaseChange& base_change = no_change) {
  std::vector<S> out(replacements.size(), S(0));
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t r = next++; r < replacements.size(); r = next++) {
      const auto& [score, value] = replacements[r];
      const auto one = replace(score, value);
      const Pass<S> run = rerun(weights, base, score, [&](const HeadScores<S>& at) {
        base_change(at);
        one(at);
      });
      out[r] = mean_kl(reference_logits, run.logits);
    }
  };
  std::vector<std::jthread> others;
  for (std::size_t i = 1; i < std::min(threads, replacements.size()); ++i)
    others.emplace_back([&] {
      work();
      mpfr_free_cache2(MPFR_FREE_LOCAL_CACHE);  // its constants, of Real, are the thread's own
    });
  work();
  others.clear();  // joins them
  return out;
}

}  // namespace lamp::oracle
