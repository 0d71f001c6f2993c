// LAMP for softmax, J = diag(z) - z z^T: keys b_j = z_j w_j, diagonal surplus a_j = (1 - 2 z_j) w_j; cost(S) = sum over j not in S of
// b_j, plus the largest a_i over the rows i not in S (0 for the rows of S).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "core/base/contract.hpp"
#include "core/lamp/integers.hpp"
#include "core/lamp/selection.hpp"

namespace lamp {
namespace {

constexpr std::int64_t lowest = std::numeric_limits<std::int64_t>::min();

bool acceptable(double x) { return x >= 0.0 && x < refused_from; }

/// What the row as a whole amounts to; `refused`: a value is NaN, negative, or too large, and the whole row is selected.
struct RowSums {
  int128 sum = 0;
  std::int64_t diagonal = lowest;
  bool refused = false;
};

/// Fills scratch.keys, and scratch.diagonal where the weights differ from one component to the next.
RowSums to_integers(const SelectionSpec& spec, const SoftmaxRow& row, SelectionScratch& scratch) {
  const std::size_t n = row.z.size();
  scratch.keys.resize(n);
  RowSums sums;
  uint128 sum = 0;
  bool accepted = true;
  if (spec.weights == ErrorWeights::absolute && spec.norm == Norm::componentwise) {
    double smallest = refused_from;
    for (std::size_t j = 0; j < n; ++j) {
      const double z = row.z[j];
      const bool good = acceptable(z);
      accepted = accepted && good;
      smallest = std::min(smallest, z);
      const std::int64_t key = to_fixed(good ? z : 0.0);
      scratch.keys[j] = static_cast<std::uint64_t>(key);
      sum += static_cast<std::uint64_t>(key);
    }
    if (accepted) sums.diagonal = to_fixed(1.0 - 2.0 * smallest);  // a decreases with z
  } else {
    const bool surplus = spec.norm == Norm::componentwise;
    if (surplus) scratch.diagonal.resize(n);
    const std::span<const double> given = spec.weights == ErrorWeights::dot ? row.w : row.y;
    expects(spec.weights == ErrorWeights::absolute || given.size() == n, "select_softmax: one y or w for every z");
    for (std::size_t j = 0; j < n; ++j) {
      const double z = row.z[j];
      const double w = spec.weights == ErrorWeights::absolute ? 1.0 : (spec.weights == ErrorWeights::dot ? given[j] : std::abs(given[j]));
      const double a = (1.0 - 2.0 * z) * w, b = surplus ? z * w : 2.0 * z * (1.0 - z) * w;
      const bool good = acceptable(z) && acceptable(b) && (!surplus || acceptable(std::abs(a)));
      accepted = accepted && good;
      const std::int64_t key = to_fixed(good ? b : 0.0);
      scratch.keys[j] = static_cast<std::uint64_t>(key);
      sum += static_cast<std::uint64_t>(key);
      if (surplus) {
        scratch.diagonal[j] = to_fixed(good ? a : 0.0);
        sums.diagonal = std::max(sums.diagonal, scratch.diagonal[j]);
      }
    }
    if (!surplus) sums.diagonal = 0;
  }
  sums.sum = static_cast<int128>(sum);
  sums.refused = !accepted;
  return sums;
}

/// Masked entries count as components with z = 0, w = 1: their rows are never in S and cost a = 1.
bool counts_masked(const SelectionSpec& spec, const SoftmaxRow& row) {
  return spec.mask == Mask::as_zero && spec.norm == Norm::componentwise && row.row_length > row.z.size();
}

/// longest_tail with the narrowest sums that hold the row's.
template <bool with_diagonal, class Admits, class DiagonalAt>
Cut tail_of(SelectionScratch& scratch, const RowSums& sums, const Tail& empty, const Admits& admits, const DiagonalAt& diagonal_at) {
  return sums.sum <= std::numeric_limits<std::uint64_t>::max()
             ? longest_tail<with_diagonal, std::uint64_t>(scratch, empty, sums.diagonal, admits, diagonal_at)
             : longest_tail<with_diagonal, uint128>(scratch, empty, sums.diagonal, admits, diagonal_at);
}

std::size_t select_all(std::span<std::uint8_t> selected) {
  std::fill(selected.begin(), selected.end(), std::uint8_t{1});
  return selected.size();
}

/// A smallest set: for each threshold t among the a, ascending, what has a > t is in S, and of the rest as many as possible are left
/// out, smallest key first, higher index first among equals. The first t that leaves out most. A tree of partial sums over the
/// order of the keys makes each step O(log n).
std::size_t select_exact(int128 tau, std::int64_t floor_diagonal, std::span<std::uint8_t> selected, SelectionScratch& scratch) {
  const std::size_t n = scratch.keys.size();
  const std::vector<std::uint64_t>& keys = scratch.keys;
  const std::vector<std::int64_t>& diagonal = scratch.diagonal;
  std::vector<std::uint32_t>& order = scratch.order;  // order of leaving out
  order.resize(n);
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [&](std::uint32_t i, std::uint32_t j) { return keys[i] != keys[j] ? keys[i] < keys[j] : i > j; });
  std::vector<std::uint32_t> by_diagonal(n);  // places in `order`
  std::iota(by_diagonal.begin(), by_diagonal.end(), 0U);
  std::sort(by_diagonal.begin(), by_diagonal.end(),
            [&](std::uint32_t i, std::uint32_t j) { return diagonal[order[i]] < diagonal[order[j]]; });

  struct Node {
    int128 sum = 0;
    std::size_t count = 0;
  };
  std::vector<Node> tree(n + 1);  // Fenwick
  std::size_t top = 1;
  while (2 * top <= n) top *= 2;
  const auto most_left_out = [&](int128 budget) {
    std::size_t place = 0, count = 0;
    for (std::size_t step = top; step > 0; step /= 2)
      if (place + step <= n && tree[place + step].sum <= budget) {
        place += step;
        budget -= tree[place].sum;
        count += tree[place].count;
      }
    return count;
  };

  std::size_t best = 0;
  std::int64_t best_threshold = lowest;
  for (std::size_t i = 0; i < n;) {
    const std::int64_t threshold = diagonal[order[by_diagonal[i]]];
    for (; i < n && diagonal[order[by_diagonal[i]]] == threshold; ++i)
      for (std::size_t place = by_diagonal[i] + 1; place <= n; place += place & (~place + 1)) {
        tree[place].sum += static_cast<int128>(keys[order[by_diagonal[i]]]);
        ++tree[place].count;
      }
    const int128 budget = tau - std::max(threshold, floor_diagonal);
    if (budget < 0) break;  // it only falls from here
    const std::size_t count = most_left_out(budget);
    if (count > best) best = count, best_threshold = threshold;
  }

  select_all(selected);
  std::size_t left = best;
  for (std::size_t i = 0; left > 0; ++i)
    if (diagonal[order[i]] <= best_threshold) selected[order[i]] = 0, --left;
  return n - best;
}

}  // namespace

std::string check(const SelectionSpec& spec) {
  if (spec.tau.has_value() == spec.rate.has_value()) return "tau and rate: exactly one of them must be set";
  if (spec.tau && !(*spec.tau >= 0.0)) return "tau: legal are numbers >= 0";
  if (spec.rate && !(*spec.rate >= 0.0 && *spec.rate <= 1.0)) return "rate: legal are numbers from 0 to 1";
  if (spec.mask == Mask::as_zero && spec.weights != ErrorWeights::absolute)
    return "mask: \"as-zero\" is legal with weights \"absolute\" only; use \"exclude\"";
  return {};
}

std::size_t count_of_rate(double rate, std::size_t n) {
  const double count = std::ceil(rate * static_cast<double>(n) - 1e-9);
  return count > 0.0 ? std::min(n, static_cast<std::size_t>(count)) : 0;
}

std::size_t select_softmax(const SelectionSpec& spec, const SoftmaxRow& row, std::span<std::uint8_t> selected, SelectionScratch& scratch) {
  const std::size_t n = row.z.size();
  expects(selected.size() == n, "select_softmax: one mark for every z");
  expects(spec.tau.has_value() != spec.rate.has_value(), "select_softmax: exactly one of tau and rate");
  if (n == 0) return 0;
  const RowSums sums = to_integers(spec, row, scratch);
  if (sums.refused) return select_all(selected);

  if (spec.rate) return mark(scratch.keys, cut_of_size(scratch, count_of_rate(*spec.rate, n)), selected);

  const int128 tau = ceil_tau(*spec.tau);
  const bool masked = counts_masked(spec, row);
  const std::int64_t floor_diagonal = masked ? one : 0;
  const int128 cost_of_none = n == 1 && !masked ? 0 : sums.sum + std::max(sums.diagonal, masked ? one : lowest);
  if (cost_of_none <= tau) {
    std::fill(selected.begin(), selected.end(), std::uint8_t{0});
    return 0;
  }
  const bool absolute = spec.weights == ErrorWeights::absolute && spec.norm == Norm::componentwise;
  if (spec.solver == Solver::exact && spec.norm == Norm::componentwise) {
    if (absolute) {
      scratch.diagonal.resize(n);
      for (std::size_t j = 0; j < n; ++j) scratch.diagonal[j] = to_fixed(1.0 - 2.0 * row.z[j]);
    }
    return select_exact(tau, floor_diagonal, selected, scratch);
  }

  const Tail empty{.diagonal = floor_diagonal};
  const auto admits = [&](const Tail& tail) { return tail.sum + tail.diagonal <= tau; };
  Cut cut;
  if (absolute)
    cut = tail_of<false>(scratch, sums, empty, admits, [&](std::size_t j) { return to_fixed(1.0 - 2.0 * row.z[j]); });
  else if (spec.norm == Norm::normwise1)
    cut = tail_of<false>(scratch, sums, empty, admits, [](std::size_t) { return std::int64_t{0}; });
  else
    cut = tail_of<true>(scratch, sums, empty, admits, [&](std::size_t j) { return scratch.diagonal[j]; });
  return mark(scratch.keys, cut, selected);
}

double cost_softmax(const SelectionSpec& spec, const SoftmaxRow& row, std::span<const std::uint8_t> selected) {
  const std::size_t n = row.z.size();
  expects(selected.size() == n, "cost_softmax: one mark for every z");
  SelectionScratch scratch;
  if (n == 0) return 0.0;
  if (to_integers(spec, row, scratch).refused) return std::numeric_limits<double>::infinity();
  const bool masked = counts_masked(spec, row);
  if (n == 1 && !masked) return 0.0;
  int128 sum = 0;
  std::int64_t surplus = masked ? one : lowest;
  for (std::size_t j = 0; j < n; ++j) {
    if (spec.norm == Norm::normwise1 || selected[j] != 0)
      surplus = std::max<std::int64_t>(surplus, 0);
    else
      surplus = std::max(surplus, spec.weights == ErrorWeights::absolute ? to_fixed(1.0 - 2.0 * row.z[j]) : scratch.diagonal[j]);
    if (selected[j] == 0) sum += static_cast<int128>(scratch.keys[j]);
  }
  return static_cast<double>(sum + surplus) / fixed_point;
}

}  // namespace lamp
