// What a function f makes of a row, in integers: the cost of leaving components of y = g(x) low,
// and the sets that LAMP (lamp.hpp) takes. A target is one function f and one row.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "core/fp/elementary.hpp"
#include "core/selection/selection.hpp"
#include "core/selection/wide.hpp"

namespace lamp {

inline constexpr double fixed_point = 0x1p40;  // the unit of every integer here is 2^-40
inline constexpr std::int64_t one = std::int64_t{1} << 40;
/// Keys, kappa and surpluses of every f but softmax are at most this: tau must be below it.
inline constexpr double clamped_to = 0x1p22;

/// What is known of the surpluses a_j of a row.
enum class Surplus : std::uint8_t {
  zero,  // every a_j is 0: the cost is a sum (normwise-1)
  /// a_j falls as the key grows, up to ties, and by at most twice as much and 4: softmax, absolute
  falls,
  any
};

/// The cost of a set S, of a row whose keys b_j are scratch.keys and whose surpluses a_j are
/// scratch.diagonal (not filled where they are zero):
///   cost(S) = max(0, missing + sum of b_j over j not in S) + max(outside, a_j over j not in S),
/// where rows of S count 0 in the second maximum; and 0 where S is everything and nothing is
/// outside, or no row counts.
struct RowCosts {
  static constexpr std::int64_t nothing = std::numeric_limits<std::int64_t>::min();

  uint128 sum = 0;                  // of all keys
  int128 missing = 0;               // what B lacks where it is counted from the keys in S
  std::int64_t diagonal = nothing;  // the largest a_j; 0 where all are zero
  std::int64_t outside = nothing;   // the largest a of rows that are never in S (masked entries)
  Surplus surplus = Surplus::any;
  bool refused = false;  // NaN, or of softmax a value that is too large: the whole row is selected
  /// Where it is given: row j does not count in S where counts[j] is 0. Its key is 0, and its
  /// surplus is `nothing` or, where it must be in S, 2^62.
  std::span<const double> counts{};
};

struct Target {
  std::string_view function;  // f
  /// Marks the set that LAMP takes, by tau or by rate; returns its size. Pre: the row is not empty.
  std::size_t (*select)(const SelectionSpec&, const SelectionRow&, std::span<std::uint8_t>,
                        SelectionScratch&);
  /// cost(S) of a set; infinite where the row is refused. Pre: the row is not empty.
  double (*cost)(const SelectionSpec&, const SelectionRow&, std::span<const std::uint8_t>,
                 SelectionScratch&);
  /// What it refuses of a spec that is in itself fine, as `check` says it; null: nothing.
  std::string (*refusal)(const SelectionSpec&) = nullptr;
  /// Of an activation: fills scratch.keys with floor(kappa_j 2^40); false where one is NaN.
  bool (*kappas)(const SelectionSpec&, const SelectionRow&, SelectionScratch&) = nullptr;
  /// Fills in what is faster known of several rows at a time; null: nothing. Optional: `select` and
  /// `cost` of a row without it have the same bits. Pre: rows are of one length.
  void (*prepare)(std::span<SelectionRow> rows) = nullptr;
};

/// What select_lamp does with a row of this form (lamp.cpp), and cost_of_set.
std::size_t select_by(const RowCosts&, const SelectionSpec&, std::span<std::uint8_t>,
                      SelectionScratch&);
double cost_by(const RowCosts&, std::span<const std::uint8_t>, const SelectionScratch&);

/// Fills scratch.keys and scratch.diagonal.
using CostFunction = RowCosts(const SelectionSpec&, const SelectionRow&, SelectionScratch&);
CostFunction softmax_costs, rms_norm_costs, linear_map_costs;

template <CostFunction costs>
std::size_t select_of(const SelectionSpec& spec, const SelectionRow& row,
                      std::span<std::uint8_t> selected, SelectionScratch& scratch) {
  return select_by(costs(spec, row, scratch), spec, selected, scratch);
}
template <CostFunction costs>
double cost_of(const SelectionSpec& spec, const SelectionRow& row,
               std::span<const std::uint8_t> selected, SelectionScratch& scratch) {
  return cost_by(costs(spec, row, scratch), selected, scratch);
}

/// Preparations of RMSNorm and LayerNorm: fill in `sums`. Pre: rows are of one length.
void sum_rows(std::span<SelectionRow> rows);
void sum_rows_about_mean(std::span<SelectionRow> rows);

std::size_t select_layer_norm(const SelectionSpec&, const SelectionRow&, std::span<std::uint8_t>,
                              SelectionScratch&);
double cost_of_layer_norm(const SelectionSpec&, const SelectionRow&, std::span<const std::uint8_t>,
                          SelectionScratch&);

template <Function phi>
std::size_t select_activation(const SelectionSpec&, const SelectionRow&, std::span<std::uint8_t>,
                              SelectionScratch&);
template <Function phi>
double cost_of_activation(const SelectionSpec&, const SelectionRow&, std::span<const std::uint8_t>,
                          SelectionScratch&);
template <Function phi>
bool kappas_of_activation(const SelectionSpec&, const SelectionRow&, SelectionScratch&);

std::string refusal_of_norm(const SelectionSpec&);
std::string refusal_of_layer_norm(const SelectionSpec&);
std::string refusal_of_activation(const SelectionSpec&);
std::string refusal_of_linear_map(const SelectionSpec&);

namespace targets {
template <Function phi>
constexpr Target activation(std::string_view name) {
  return {name, select_activation<phi>, cost_of_activation<phi>, refusal_of_activation,
          kappas_of_activation<phi>};
}

inline constexpr Target softmax{"softmax", select_of<softmax_costs>, cost_of<softmax_costs>};
inline constexpr Target rms_norm{.function = "rmsnorm",
                                 .select = select_of<rms_norm_costs>,
                                 .cost = cost_of<rms_norm_costs>,
                                 .refusal = refusal_of_norm,
                                 .prepare = sum_rows};
inline constexpr Target layer_norm{.function = "layernorm",
                                   .select = select_layer_norm,
                                   .cost = cost_of_layer_norm,
                                   .refusal = refusal_of_layer_norm,
                                   .prepare = sum_rows_about_mean};
inline constexpr Target gelu_tanh = activation<Function::gelu_tanh>("gelu_tanh");
inline constexpr Target gelu_erf = activation<Function::gelu_erf>("gelu_erf");
inline constexpr Target silu = activation<Function::silu>("silu");
inline constexpr Target relu = activation<Function::relu>("relu");
inline constexpr Target linear_map{"linear", select_of<linear_map_costs>, cost_of<linear_map_costs>,
                                   refusal_of_linear_map};
}  // namespace targets

/// Every target, by f.
inline constexpr std::array all_targets{
    &targets::softmax,  &targets::rms_norm, &targets::layer_norm, &targets::gelu_tanh,
    &targets::gelu_erf, &targets::silu,     &targets::relu,       &targets::linear_map};

/// Why a spec cannot be used, by itself or with this f, as the end of an error line; empty where it
/// can.
std::string check(const SelectionSpec& spec, const Target& target);

/// The numbers that w_j is made of: the bound (`dot`), or what `relative` takes the magnitude of.
/// Empty for `absolute`.
inline std::span<const double> given_weights(ErrorWeights weights, const SelectionRow& row) {
  if (weights == ErrorWeights::absolute) return {};
  if (weights == ErrorWeights::dot) return row.w;
  return row.g.empty() ? row.y : row.g;
}

/// w_j of component j.
inline double weight_at(ErrorWeights weights, std::span<const double> given, std::size_t j) {
  if (weights == ErrorWeights::absolute) return 1.0;
  return weights == ErrorWeights::dot ? given[j] : std::fabs(given[j]);
}

/// floor(x 2^40) of x clamped to +-2^22; of NaN, which refuses the row, 2^62.
inline std::int64_t clamped_floor(double x) {
  const double within = x < clamped_to ? (x > -clamped_to ? x : -clamped_to) : clamped_to;
  return static_cast<std::int64_t>(std::floor(within * fixed_point));
}

/// The same of a key, a sum of magnitudes: below 0 by rounding alone, which counts 0.
inline std::uint64_t clamped_key(double x) {
  return x > 0.0 ? static_cast<std::uint64_t>(clamped_floor(x)) : 0;
}

}  // namespace lamp
