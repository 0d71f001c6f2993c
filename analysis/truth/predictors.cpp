#include "analysis/truth/predictors.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "analysis/not_finite.hpp"
#include "core/base/philox.hpp"
#include "core/selection/lamp.hpp"
#include "core/selection/target.hpp"

namespace lamp::truth {
namespace {

using Priorities = std::span<double>;

/// By the keys that a rule sorts by: they stand in the scratch after it has chosen nothing. A row
/// that the rule refuses comes first as a whole.
void by_keys(const Evidence& e, const char* rule, ErrorWeights weights, Norm norm,
             Priorities priority, SelectionScratch& scratch) {
  const SelectionSpec spec{
      .rule = rule_named(rule), .weights = weights, .norm = norm, .tau = {}, .rate = 0.0};
  scratch.marks.resize(priority.size());
  std::vector<std::uint8_t> marks(priority.size());
  const std::size_t refused =
      spec.rule->mark({spec, targets::softmax, e.row, e.where}, marks, scratch);
  for (std::size_t j = 0; j < priority.size(); ++j)
    priority[j] = refused != 0 ? positive_infinity : static_cast<double>(scratch.keys[j]);
}

/// By the budget from which on a rule's set has the score: 1 for the first, 1/n for the last of n.
void by_sets(const Evidence& e, const char* rule, Priorities priority, SelectionScratch& scratch) {
  const std::size_t n = priority.size();
  SelectionSpec spec{.rule = rule_named(rule), .tau = {}, .rate = 0.0};
  std::vector<std::uint8_t> marks(n), chosen(n);
  const double size = static_cast<double>(n);
  for (std::size_t k = 1; k <= n; ++k) {
    spec.rate = static_cast<double>(k) / size;
    spec.rule->mark({spec, targets::softmax, e.row, e.where}, marks, scratch);
    for (std::size_t j = 0; j < n; ++j)
      if (marks[j] != 0 && chosen[j] == 0)
        chosen[j] = 1, priority[j] = 1.0 - static_cast<double>(k - 1) / size;
  }
}

/// By the smallest of LAMP's smallest sets that has the score: 1 where one score is enough, 1/n
/// where only the whole row has it, 0 where none has. From tau = 0 on, each next set is that of the
/// smallest tau which needs fewer scores, found to the last of tau's 40 bits; tau = 2 needs none.
void by_smallest_sets(const Evidence& e, Priorities priority, SelectionScratch& scratch) {
  constexpr std::uint64_t most = std::uint64_t{2} << 40;
  const std::size_t n = priority.size();
  SelectionSpec spec{.solver = Solver::exact};
  std::vector<std::uint8_t> marks(n);
  const auto size_at = [&](std::uint64_t tau) {
    spec.tau = static_cast<double>(tau) * 0x1p-40;
    return select_lamp(spec, targets::softmax, e.row, marks, scratch);
  };
  const bool refused = size_at(most) != 0;
  std::fill(priority.begin(), priority.end(), refused ? positive_infinity : 0.0);
  if (refused) return;
  std::uint64_t tau = 0;
  for (std::size_t size = size_at(tau); size > 0; size = size_at(tau)) {
    for (std::size_t j = 0; j < n; ++j)
      if (marks[j] != 0) priority[j] = 1.0 - static_cast<double>(size - 1) / static_cast<double>(n);
    std::uint64_t high = most;
    while (high - tau > 1) {
      const std::uint64_t middle = tau + (high - tau) / 2;
      (size_at(middle) < size ? high : tau) = middle;
    }
    tau = high;
  }
}

/// priority_j = f(j).
template <class F>
void by(F&& f, Priorities priority) {
  for (std::size_t j = 0; j < priority.size(); ++j) priority[j] = f(j);
}

}  // namespace

void rank_by_lamp(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch& scratch) {
  by_keys(e, "lamp", ErrorWeights::absolute, Norm::componentwise, p, scratch);
}
void rank_by_lamp_relative(const Evidence& e, std::uint32_t, Priorities p,
                           SelectionScratch& scratch) {
  by_keys(e, "lamp", ErrorWeights::relative, Norm::componentwise, p, scratch);
}
void rank_by_lamp_dot(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch& scratch) {
  by_keys(e, "lamp", ErrorWeights::dot, Norm::componentwise, p, scratch);
}
void rank_by_lamp_normwise1(const Evidence& e, std::uint32_t, Priorities p,
                            SelectionScratch& scratch) {
  by_keys(e, "lamp", ErrorWeights::absolute, Norm::normwise1, p, scratch);
}
void rank_by_lamp_exact(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch& scratch) {
  by_smallest_sets(e, p, scratch);
}
void rank_by_values(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch& scratch) {
  by_keys(e, "value-aware", ErrorWeights::absolute, Norm::componentwise, p, scratch);
}
void rank_by_logit(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch&) {
  by([&](std::size_t j) { return e.row.y[j]; }, p);
}

/// Words of Philox4x32-10 with key (seed, sequence) and counter (j, 2 + repetition, row, (layer 2^9
/// + head) 2^7 + 4 site + 3).
void rank_at_random(const Evidence& e, std::uint32_t repetition, Priorities p, SelectionScratch&) {
  const std::uint32_t place = ((e.where.layer << 9 | e.where.head) << 7) + 4 * e.where.site + 3;
  by(
      [&](std::size_t j) {
        return static_cast<double>(
            philox4x32({static_cast<std::uint32_t>(j), 2 + repetition, e.where.row, place},
                       {e.where.seed, e.where.sequence})[0]);
      },
      p);
}

void rank_by_window(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch& scratch) {
  by_sets(e, "window", p, scratch);
}
void rank_by_block_mean(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch& scratch) {
  by_sets(e, "block-mean", p, scratch);
}
void rank_by_page_bound(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch& scratch) {
  by_sets(e, "page-bound", p, scratch);
}

void rank_by_error(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch&) {
  by([&](std::size_t j) { return std::abs(e.error[j]); }, p);
}
void rank_by_z_error(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch&) {
  by([&](std::size_t j) { return e.row.z[j] * std::abs(e.error[j]); }, p);
}
/// The largest of abs(delta_ij - z_j) over the rows i.
void rank_by_k_error(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch&) {
  by([&](std::size_t j) { return std::max(e.row.z[j], 1.0 - e.row.z[j]) * std::abs(e.error[j]); },
     p);
}

void rank_by_first_order(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch&) {
  by([&](std::size_t j) { return e.derivative[j].half_variance * (e.error[j] * e.error[j]); }, p);
}
void rank_by_first_order_bound(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch&) {
  by([&](std::size_t j) { return e.derivative[j].half_variance * (e.row.w[j] * e.row.w[j]); }, p);
}
void rank_by_first_order_high(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch&) {
  by([&](std::size_t j) { return e.low_derivative[j].kl * e.low_error[j]; }, p);
}
void rank_by_fisher(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch&) {
  by(
      [&](std::size_t j) {
        const double d = e.derivative[j].log_likelihood;
        return d * d * (e.row.w[j] * e.row.w[j]);
      },
      p);
}
void rank_by_fisher_error(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch&) {
  by(
      [&](std::size_t j) {
        const double d = e.derivative[j].log_likelihood;
        return d * d * (e.error[j] * e.error[j]);
      },
      p);
}

void rank_by_one_low(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch&) {
  by([&](std::size_t j) { return e.one_low[j]; }, p);
}
void rank_by_benefit(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch&) {
  by([&](std::size_t j) { return e.benefit[j]; }, p);
}
void rank_by_local(const Evidence& e, std::uint32_t, Priorities p, SelectionScratch&) {
  by([&](std::size_t j) { return e.local[j]; }, p);
}

}  // namespace lamp::truth
