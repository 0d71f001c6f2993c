// LAMP for softmax, J = diag(z) - z z^T: keys b_j = z_j w_j, diagonal surplus a_j = (1 - 2 z_j)
// w_j; cost(S) = B, the sum over j not in S of b_j, plus the largest a_i over the rows i not in S
// (0 for the rows of S). With absolute weights B is 1 - (sum over S of z), at least 0: the same
// number, but that computed z do not sum to 1.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "core/base/contract.hpp"
#include "core/selection/exact.hpp"
#include "core/selection/integers.hpp"
#include "core/selection/row_integers.hpp"
#include "core/selection/selection.hpp"

namespace lamp {
namespace {

constexpr std::int64_t lowest = std::numeric_limits<std::int64_t>::min();

/// Fills scratch.keys, and scratch.diagonal with the componentwise norm.
RowIntegers to_integers(const SelectionSpec& spec, const SoftmaxRow& row,
                        SelectionScratch& scratch) {
  const std::size_t n = row.z.size();
  const std::span<const double> given = spec.weights == ErrorWeights::dot ? row.w : row.y;
  expects(spec.weights == ErrorWeights::absolute || given.size() == n,
          "select_softmax: one y or w for every z");
  scratch.keys.resize(n);
  if (spec.norm == Norm::componentwise) scratch.diagonal.resize(n);
  return row_integers(spec.weights, spec.norm, row.z.data(), given.data(), n, scratch.keys.data(),
                      scratch.diagonal.data());
}

/// Masked entries count as components with z = 0, w = 1: their rows are never in S and cost a = 1.
bool counts_masked(const SelectionSpec& spec, const SoftmaxRow& row) {
  return spec.mask == Mask::as_zero && spec.norm == Norm::componentwise &&
         row.row_length > row.z.size();
}

/// B of absolute weights is made of what is in S, not of what is left out.
bool counts_from_one(const SelectionSpec& spec) {
  return spec.weights == ErrorWeights::absolute && spec.norm == Norm::componentwise;
}

/// Of a tail whose keys sum to `sum`; missing: 1 - (sum of all keys) where B counts from one, else
/// 0. Pre: 0 <= sum.
int128 left_out(int128 sum, int128 missing) { return std::max<int128>(0, sum + missing); }

std::size_t select_all(std::span<std::uint8_t> selected) {
  std::fill(selected.begin(), selected.end(), std::uint8_t{1});
  return selected.size();
}

}  // namespace

std::string check(const SelectionSpec& spec) {
  if (spec.tau.has_value() == spec.rate.has_value())
    return "tau and rate: exactly one of them must be set";
  if (spec.tau && !(*spec.tau >= 0.0)) return "tau: legal are numbers >= 0";
  if (spec.rate && !(*spec.rate >= 0.0 && *spec.rate <= 1.0))
    return "rate: legal are numbers from 0 to 1";
  if (spec.mask == Mask::as_zero && spec.weights != ErrorWeights::absolute)
    return "mask: \"as-zero\" is legal with weights \"absolute\" only; use \"exclude\"";
  return {};
}

std::size_t count_of_rate(double rate, std::size_t n) {
  const double count = std::ceil(rate * static_cast<double>(n) - 1e-9);
  return count > 0.0 ? std::min(n, static_cast<std::size_t>(count)) : 0;
}

std::size_t select_softmax(const SelectionSpec& spec, const SoftmaxRow& row,
                           std::span<std::uint8_t> selected, SelectionScratch& scratch) {
  const std::size_t n = row.z.size();
  expects(selected.size() == n, "select_softmax: one mark for every z");
  expects(spec.tau.has_value() != spec.rate.has_value(),
          "select_softmax: exactly one of tau and rate");
  if (n == 0) return 0;
  const RowIntegers sums = to_integers(spec, row, scratch);
  if (sums.refused) return select_all(selected);

  if (spec.rate)
    return mark(scratch.keys, cut_of_size(scratch, count_of_rate(*spec.rate, n)), selected);

  const int128 tau = ceil_tau(*spec.tau);
  const bool masked = counts_masked(spec, row);
  const std::int64_t floor_diagonal = masked ? one : 0;
  const int128 sum = static_cast<int128>(sums.sum), missing = counts_from_one(spec) ? one - sum : 0;
  const int128 cost_of_none =
      n == 1 && !masked
          ? 0
          : left_out(sum, missing) + std::max<int128>(sums.diagonal, masked ? one : lowest);
  if (cost_of_none <= tau) {
    std::fill(selected.begin(), selected.end(), std::uint8_t{0});
    return 0;
  }
  if (spec.solver == Solver::exact && spec.norm == Norm::componentwise &&
      !masked)  // masked: every a <= 1, the first threshold: greedy
    return select_exact(tau - missing, tau, sums.sum, sums.diagonal, selected, scratch);

  const Tail empty{.diagonal = floor_diagonal};
  const auto admits = [&](const Tail& tail) {
    return left_out(tail.sum, missing) + tail.diagonal <= tau;
  };
  Cut cut;
  if (spec.norm == Norm::normwise1)
    cut = longest_tail<false>(scratch, empty, sums.diagonal, admits,
                              [](std::size_t) { return std::int64_t{0}; });
  else if (spec.weights == ErrorWeights::absolute)
    cut = longest_tail<false>(scratch, empty, sums.diagonal, admits,
                              [&](std::size_t j) { return scratch.diagonal[j]; });
  else
    cut = longest_tail<true>(scratch, empty, sums.diagonal, admits,
                             [&](std::size_t j) { return scratch.diagonal[j]; });
  return mark(scratch.keys, cut, selected);
}

double cost_softmax(const SelectionSpec& spec, const SoftmaxRow& row,
                    std::span<const std::uint8_t> selected) {
  const std::size_t n = row.z.size();
  expects(selected.size() == n, "cost_softmax: one mark for every z");
  SelectionScratch scratch;
  if (n == 0) return 0.0;
  if (to_integers(spec, row, scratch).refused) return std::numeric_limits<double>::infinity();
  const bool masked = counts_masked(spec, row);
  if (n == 1 && !masked) return 0.0;
  int128 sum = 0, kept = 0;
  std::int64_t surplus = masked ? one : lowest;
  bool all = true;
  for (std::size_t j = 0; j < n; ++j) {
    if (spec.norm == Norm::normwise1 || selected[j] != 0)
      surplus = std::max<std::int64_t>(surplus, 0);
    else
      surplus = std::max(surplus, scratch.diagonal[j]);
    (selected[j] == 0 ? sum : kept) += static_cast<int128>(scratch.keys[j]);
    all = all && selected[j] != 0;
  }
  if (counts_from_one(spec)) sum = all && !masked ? 0 : std::max<int128>(0, one - kept);
  return static_cast<double>(sum + surplus) / fixed_point;
}

}  // namespace lamp
