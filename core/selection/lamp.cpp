#include "core/selection/lamp.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "core/base/contract.hpp"
#include "core/selection/exact.hpp"
#include "core/selection/integers.hpp"

namespace lamp {
namespace {

/// B of a set, where the keys outside of it sum to `sum`.
int128 left_out(int128 sum, const RowCosts& costs) {
  return std::max<int128>(0, sum + costs.missing);
}

std::size_t mark_every(std::span<std::uint8_t> selected, std::uint8_t mark) {
  std::fill(selected.begin(), selected.end(), mark);
  return mark == 0 ? 0 : selected.size();
}

/// The shortest prefix of the keys, descending, whose rest costs at most tau.
Cut shortest_prefix(const RowCosts& costs, int128 tau, SelectionScratch& scratch) {
  const Tail empty{.diagonal = std::max<std::int64_t>(0, costs.outside)};
  const auto admits = [&](const Tail& tail) {
    return left_out(tail.sum, costs) + tail.diagonal <= tau;
  };
  const auto diagonal_at = [&](std::size_t j) { return scratch.diagonal[j]; };
  switch (costs.surplus) {
    case Surplus::zero:
      return longest_tail<false>(scratch, empty, costs.diagonal, admits,
                                 [](std::size_t) { return std::int64_t{0}; });
    case Surplus::falls:
      return longest_tail<false>(scratch, empty, costs.diagonal, admits, diagonal_at);
    case Surplus::any:
      return longest_tail<true>(scratch, empty, costs.diagonal, admits, diagonal_at);
  }
  contract_violated("select_lamp: a surplus of the list");
}

}  // namespace

std::size_t count_of_rate(double rate, std::size_t n) {
  const double count = std::ceil(rate * static_cast<double>(n) - 1e-9);
  return count > 0.0 ? std::min(n, static_cast<std::size_t>(count)) : 0;
}

std::size_t select_lamp(const SelectionSpec& spec, const Target& target, const SelectionRow& row,
                        std::span<std::uint8_t> selected, SelectionScratch& scratch) {
  const std::size_t n = row.z.size();
  expects(selected.size() == n, "select_lamp: one mark for every z");
  expects(spec.tau.has_value() != spec.rate.has_value(),
          "select_lamp: exactly one of tau and rate");
  if (n == 0) return 0;
  const RowCosts costs = target.costs(spec, row, scratch);
  if (costs.refused) return mark_every(selected, 1);
  if (spec.rate)
    return mark(scratch.keys, cut_of_size(scratch, count_of_rate(*spec.rate, n)), selected);

  const int128 tau = ceil_tau(*spec.tau);
  const int128 cost_of_none =
      left_out(static_cast<int128>(costs.sum), costs) + std::max(costs.diagonal, costs.outside);
  if (cost_of_none <= tau) return mark_every(selected, 0);
  // A masked row outside of S costs 1 more than B, and no a_j exceeds 1: the exact set is greedy's.
  if (spec.solver == Solver::exact && costs.surplus != Surplus::zero &&
      costs.outside == RowCosts::nothing)
    return select_exact(tau - costs.missing, tau, costs.sum, costs.diagonal, selected, scratch);
  return mark(scratch.keys, shortest_prefix(costs, tau, scratch), selected);
}

double cost_of_set(const SelectionSpec& spec, const Target& target, const SelectionRow& row,
                   std::span<const std::uint8_t> selected) {
  const std::size_t n = row.z.size();
  expects(selected.size() == n, "cost_of_set: one mark for every z");
  SelectionScratch scratch;
  if (n == 0) return 0.0;
  const RowCosts costs = target.costs(spec, row, scratch);
  if (costs.refused) return std::numeric_limits<double>::infinity();
  int128 sum = 0;
  std::int64_t surplus = costs.outside;
  bool all = true;
  for (std::size_t j = 0; j < n; ++j) {
    const bool low = selected[j] == 0;
    if (low) sum += static_cast<int128>(scratch.keys[j]);
    surplus = std::max<std::int64_t>(
        surplus, low && costs.surplus != Surplus::zero ? scratch.diagonal[j] : 0);
    all = all && !low;
  }
  const int128 b = all && costs.outside == RowCosts::nothing ? 0 : left_out(sum, costs);
  return static_cast<double>(b + surplus) / fixed_point;
}

}  // namespace lamp
