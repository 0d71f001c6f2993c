#include "core/selection/lamp.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "core/base/contract.hpp"
#include "core/base/marks.hpp"
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

/// Whether greedy's set, which is marked, is the exact one; false: not known. The components that a
/// threshold leaves out are neighbours in the order of the keys, b_0 <= b_1 <= ... Greedy leaves
/// out the first L of them, and `slack` of the budget; c is a key that none of these exceeds, and
/// no other falls below. From the p-th on, L of them fit only if
///     sum over i < min(p, L) of (c - b_i) <= slack + a_0 - a_p <= slack + 2 (b_p - b_0) + 4
/// (for p >= L the same with b_p for c: the left side then grows by L - 2 times what the right
/// does). Where four b_i or more are below c/64 and c >= 64, p = 1 asks for slack >= c - 3 c/64 -
/// 4; p > 1 for 1.96 c <= slack + c/32 + 4, or for 3.9 c <= slack + 2 c + 4; and slack <= c - 3
/// c/64.
bool is_exact(const RowCosts& costs, int128 tau, Cut cut, std::span<const std::uint8_t> selected,
              SelectionScratch& scratch) {
  constexpr std::size_t small_ones = 4;
  const std::uint64_t c = cut.key;
  if (c < 64) return false;
  int128 sum = static_cast<int128>(costs.sum);
  for_each_marked(selected, [&](std::size_t j) { sum -= static_cast<int128>(scratch.keys[j]); });
  const int128 slack = tau - costs.missing - std::max<std::int64_t>(0, costs.diagonal) - sum;
  if (slack + static_cast<int128>(3 * (c / 64) + 8) >= static_cast<int128>(c)) return false;
  const std::size_t n = scratch.keys.size();
  scratch.marks.resize(n);
  return n - mark_above(scratch.keys, c / 64 - 1, scratch.marks) >= small_ones;
}

/// The set of all rows that must be in S and do not count there, where it costs at most tau: every
/// other admissible set holds it. The sweep does not see that no row of this one costs B alone.
std::optional<std::size_t> select_uncounted(const RowCosts& costs, int128 tau,
                                            std::span<std::uint8_t> selected,
                                            const SelectionScratch& scratch) {
  if (costs.counts.empty()) return std::nullopt;
  std::size_t size = 0;
  std::int64_t surplus = RowCosts::nothing;
  for (std::size_t j = 0; j < selected.size(); ++j) {
    const std::int64_t a = scratch.diagonal[j];
    selected[j] = costs.counts[j] == 0.0 && a > 0 ? 1 : 0;
    size += selected[j];
    if (selected[j] == 0) surplus = std::max(surplus, a);
  }
  if (left_out(static_cast<int128>(costs.sum), costs) + surplus > tau) return std::nullopt;
  return size;
}

}  // namespace

std::size_t count_of_rate(double rate, std::size_t n) {
  const double count = std::ceil(rate * static_cast<double>(n) - 1e-9);
  return count > 0.0 ? std::min(n, static_cast<std::size_t>(count)) : 0;
}

std::size_t select_by(const RowCosts& costs, const SelectionSpec& spec,
                      std::span<std::uint8_t> selected, SelectionScratch& scratch) {
  const std::size_t n = selected.size();
  if (costs.refused) return mark_every(selected, 1);
  if (spec.rate)
    return mark(scratch.keys, cut_of_size(scratch, count_of_rate(*spec.rate, n)), selected);

  const int128 tau = ceil_tau(*spec.tau);
  const int128 cost_of_none =
      left_out(static_cast<int128>(costs.sum), costs) + std::max(costs.diagonal, costs.outside);
  if (cost_of_none <= tau) return mark_every(selected, 0);
  // A masked row outside of S costs 1 more than B, and no a_j exceeds 1: the exact set is greedy's.
  if (spec.solver == Solver::exact && costs.surplus != Surplus::zero &&
      costs.outside == RowCosts::nothing) {
    if (const auto size = select_uncounted(costs, tau, selected, scratch)) return *size;
    if (costs.surplus == Surplus::falls) {
      const Cut cut = shortest_prefix(costs, tau, scratch);
      const std::size_t size = mark(scratch.keys, cut, selected);
      if (is_exact(costs, tau, cut, selected, scratch)) return size;
    }
    return select_exact(tau - costs.missing, tau, costs.sum, costs.diagonal, selected, scratch);
  }
  return mark(scratch.keys, shortest_prefix(costs, tau, scratch), selected);
}

double cost_by(const RowCosts& costs, std::span<const std::uint8_t> selected,
               const SelectionScratch& scratch) {
  if (costs.refused) return std::numeric_limits<double>::infinity();
  int128 sum = 0;
  std::int64_t surplus = costs.outside;
  bool all = true;
  for (std::size_t j = 0; j < selected.size(); ++j) {
    const bool low = selected[j] == 0;
    if (low) sum += static_cast<int128>(scratch.keys[j]);
    if (low || costs.counts.empty() || costs.counts[j] != 0.0)
      surplus = std::max<std::int64_t>(
          surplus, low && costs.surplus != Surplus::zero ? scratch.diagonal[j] : 0);
    all = all && !low;
  }
  if (surplus == RowCosts::nothing) return 0.0;
  const int128 b = all && costs.outside == RowCosts::nothing ? 0 : left_out(sum, costs);
  return static_cast<double>(b + surplus) / fixed_point;
}

std::size_t select_lamp(const SelectionSpec& spec, const Target& target, const SelectionRow& row,
                        std::span<std::uint8_t> selected, SelectionScratch& scratch) {
  expects(selected.size() == row.size(), "select_lamp: one mark for every component");
  expects(spec.tau.has_value() != spec.rate.has_value(),
          "select_lamp: exactly one of tau and rate");
  return selected.empty() ? 0 : target.select(spec, row, selected, scratch);
}

double cost_of_set(const SelectionSpec& spec, const Target& target, const SelectionRow& row,
                   std::span<const std::uint8_t> selected, SelectionScratch& scratch) {
  expects(selected.size() == row.size(), "cost_of_set: one mark for every component");
  return selected.empty() ? 0.0 : target.cost(spec, row, selected, scratch);
}

double cost_of_set(const SelectionSpec& spec, const Target& target, const SelectionRow& row,
                   std::span<const std::uint8_t> selected) {
  SelectionScratch scratch;
  return cost_of_set(spec, target, row, selected, scratch);
}

}  // namespace lamp
