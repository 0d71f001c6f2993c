// The components whose errors move what comes after f most (ours): |dy_j| <= eps w_j moves the
// vector o by at most eps times a key, and LAMP's cost is that of f alone.
// Scores: o = sum_j z_j v_j, z = softmax(y): d o = sum_j z_j (v_j - o) dy_j, key z_j norm2(v_j - o)
// w_j. Activations: o = W z, z_j = phi(y_j), or Llama's phi(y_j) u_j: d o = sum_j W_:j z_j
// (phi'(y_j)/phi(y_j)) dy_j, key kappa_j |z_j| norm2(W_:j).
// Costs are relative to norm2(o). A sum of keys has no smaller set of the same cost than the
// largest ones.
#include <algorithm>
#include <cmath>

#include "core/base/contract.hpp"
#include "core/selection/distances.hpp"
#include "core/selection/integers.hpp"
#include "core/selection/lamp.hpp"
#include "core/selection/row_integers.hpp"

namespace lamp {
namespace {

/// Fills scratch.keys with floor(key 2^40); false where a value is NaN, negative or too large.
bool fill_keys(const RuleInput& input, std::span<const double> distances,
               SelectionScratch& scratch) {
  const ErrorWeights weights = input.spec.weights;
  const SelectionRow& row = input.row;
  const std::span<const double> given = given_weights(weights, row);
  const std::size_t n = row.z.size();
  scratch.keys.resize(n);
  bool good = true;
  for (std::size_t j = 0; j < n; ++j) {
    const double z = row.z[j], key = z * distances[j] * weight_at(weights, given, j);
    const bool fine = z >= 0.0 && z < refused_from && key >= 0.0 && key < refused_from;
    scratch.keys[j] = fine ? static_cast<std::uint64_t>(key * fixed_point) : 0;
    good = good && fine;
  }
  return good;
}

/// By tau relative to norm, or by rate.
std::size_t mark_largest(const SelectionSpec& spec, double norm, std::span<std::uint8_t> selected,
                         SelectionScratch& scratch) {
  if (spec.rate)
    return mark(scratch.keys, cut_of_size(scratch, count_of_rate(*spec.rate, selected.size())),
                selected);
  const int128 most = ceil_tau(*spec.tau * norm);
  return mark(scratch.keys,
              longest_tail<false>(
                  scratch, Tail{.diagonal = 0}, 0,
                  [&](const Tail& left_out) { return left_out.sum <= most; },
                  [](std::size_t) { return std::int64_t{0}; }),
              selected);
}

std::size_t mark_whole(std::span<std::uint8_t> selected) {
  std::fill(selected.begin(), selected.end(), std::uint8_t{1});
  return selected.size();
}

/// kappa_j as LAMP has it, in units of 2^-40. Where z_j is 0 the key is 0, whatever kappa_j.
std::size_t mark_activation(const RuleInput& input, std::span<std::uint8_t> selected,
                            SelectionScratch& scratch) {
  const SelectionRow& row = input.row;
  const std::size_t n = row.y.size();
  expects(row.z.size() == n && row.column_norms.size() == n,
          "mark_by_values: one z and one column for every y");
  if (n == 0) return 0;
  if (!input.target.kappas(input.spec, row, scratch)) return mark_whole(selected);
  for (std::size_t j = 0; j < n; ++j) {
    const double kappa = static_cast<double>(scratch.keys[j]) / fixed_point,
                 key = kappa * std::fabs(row.z[j]) * row.column_norms[j];
    if (std::isnan(key)) return mark_whole(selected);
    scratch.keys[j] = clamped_key(key);
  }
  if (input.spec.tau && !std::isfinite(row.norm2)) return mark_whole(selected);
  return mark_largest(input.spec, row.norm2, selected, scratch);
}

}  // namespace

std::size_t mark_by_values(const RuleInput& input, std::span<std::uint8_t> selected,
                           SelectionScratch& scratch) {
  if (input.target.kappas != nullptr) return mark_activation(input, selected, scratch);
  const SelectionSpec& spec = input.spec;
  const SelectionRow& row = input.row;
  const std::size_t n = row.z.size(), width = row.v.rows;
  expects(row.v.cols == n, "mark_by_values: one value for every z");
  expects(spec.weights == ErrorWeights::absolute || given_weights(spec.weights, row).size() == n,
          "mark_by_values: one y or w for every z");
  if (n == 0) return 0;
  scratch.reals.resize(width + n);
  const std::span<double> o = std::span(scratch.reals).first(width),
                          distances = std::span(scratch.reals).last(n);
  const double norm = distances_to_output(row.z, row.v, o, distances);
  if (!fill_keys(input, distances, scratch) || !std::isfinite(norm)) return mark_whole(selected);
  if (n == 1) scratch.keys[0] = 0;  // softmax of one number is 1
  return mark_largest(spec, norm, selected, scratch);
}

}  // namespace lamp
