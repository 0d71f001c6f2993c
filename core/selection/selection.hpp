// LAMP's choice for one row: which components of y = g(x) to recompute so that f(y) is accurate.
// Pure functions of one row, decided in integers (method.md section 6), so that any algorithm gives
// the same set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/names.hpp"

namespace lamp {

enum class ErrorWeights : std::uint8_t { absolute, relative, dot };
enum class Norm : std::uint8_t { componentwise, normwise1 };
enum class Solver : std::uint8_t { greedy, exact };
enum class Mask : std::uint8_t { exclude, as_zero };
enum class Rule : std::uint8_t { lamp, random, random_full_row, largest_logit, none, all, truth };

inline constexpr std::array<NamedValue<ErrorWeights>, 3> error_weights_names{
    {{"absolute", ErrorWeights::absolute},
     {"relative", ErrorWeights::relative},
     {"dot", ErrorWeights::dot}}};
inline constexpr std::array<NamedValue<Norm>, 2> norm_names{
    {{"componentwise", Norm::componentwise}, {"normwise1", Norm::normwise1}}};
inline constexpr std::array<NamedValue<Solver>, 2> solver_names{
    {{"greedy", Solver::greedy}, {"exact", Solver::exact}}};
inline constexpr std::array<NamedValue<Mask>, 2> mask_names{
    {{"exclude", Mask::exclude}, {"as-zero", Mask::as_zero}}};
inline constexpr std::array<NamedValue<Rule>, 7> rule_names{
    {{"lamp", Rule::lamp},
     {"random", Rule::random},
     {"none", Rule::none},
     {"all", Rule::all},
     {"random-full-row", Rule::random_full_row},
     {"largest-logit", Rule::largest_logit},
     {"truth", Rule::truth}}};
static_assert(names_all(error_weights_names) && names_all(norm_names) && names_all(solver_names) &&
              names_all(mask_names) && names_all(rule_names));

/// How a set is chosen; exactly one of tau and rate is set for the rules that need a budget.
struct SelectionSpec {
  Rule rule = Rule::lamp;
  ErrorWeights weights = ErrorWeights::absolute;
  Norm norm = Norm::componentwise;
  Solver solver = Solver::greedy;
  Mask mask = Mask::exclude;
  std::optional<double> tau = 1.5;
  std::optional<double> rate{};
  friend bool operator==(const SelectionSpec&, const SelectionSpec&) = default;
};

/// Why a spec cannot be used, as the end of an error line ("..., legal are ..."); empty where it
/// can.
std::string check(const SelectionSpec& spec);

/// Reusable memory of the selection functions; one per thread.
struct SelectionScratch {
  std::vector<std::uint64_t> keys, low, high;
  std::vector<std::int64_t> diagonal, low_diagonal, high_diagonal;
  struct Ranked {
    std::int64_t value;
    std::uint32_t index;
  };
  std::vector<std::uint32_t> order;
  std::vector<std::uint64_t> codes;
  std::vector<Ranked> thresholds, admitted;
  std::vector<std::uint8_t> marks;
};

/// One row of a softmax as the rules see it. All spans have n = z.size() causal entries, or are
/// empty where unused.
struct SoftmaxRow {
  std::span<const double> z;    // the softmax of the low row
  std::span<const double> y{};  // the low row itself: weights `relative`, rule `largest_logit`
  std::span<const double> w{};  // weights `dot`: the a-priori bound of each inner product, >= 0
  std::size_t row_length = 0;   // T, the length of the row with its masked entries: mask `as_zero`,
                                // rule `random_full_row`
};

/// Marks in `selected` (one byte per component, 0 or 1) the set that LAMP recomputes, by tau or by
/// rate; returns its size. The whole row where z, or a value made of it, is NaN, negative, or 2^22
/// and more. spec.rule is not looked at. Pre: check(spec) is empty; selected.size() == z.size().
/// Source: method.md section 6; for absolute weights and the greedy solver, Budzinskiy et al.,
/// arXiv 2601.21623.
std::size_t select_softmax(const SelectionSpec& spec, const SoftmaxRow& row,
                           std::span<std::uint8_t> selected, SelectionScratch& scratch);

inline std::size_t select_softmax(const SelectionSpec& spec, std::span<const double> z,
                                  std::span<const double> y, std::size_t row_length,
                                  std::span<std::uint8_t> selected, SelectionScratch& scratch) {
  return select_softmax(spec, SoftmaxRow{.z = z, .y = y, .row_length = row_length}, selected,
                        scratch);
}

/// cost(S) of a set under the same integers, as a binary64 number (for `calc` and tests); infinite
/// where the row is refused.
double cost_softmax(const SelectionSpec& spec, const SoftmaxRow& row,
                    std::span<const std::uint8_t> selected);

inline double cost_softmax(const SelectionSpec& spec, std::span<const double> z,
                           std::span<const double> y, std::size_t row_length,
                           std::span<const std::uint8_t> selected) {
  return cost_softmax(spec, SoftmaxRow{.z = z, .y = y, .row_length = row_length}, selected);
}

/// k = ceil(r n - 1e-9), within 0..n: how many components a rate selects.
std::size_t count_of_rate(double rate, std::size_t n);

/// Coordinates of a random draw: two rows that differ in any of them draw independently.
/// layer < 2^16, head < 2^9, site < 2^5 (the draw id of the recomputed site).
struct DrawCoordinates {
  std::uint32_t seed = 0, sequence = 0, layer = 0, head = 0, row = 0, site = 0;
};

/// Marks `count` of selected.size() components, every subset of that size equally likely.
/// Words come from Philox4x32-10 with key (seed, sequence) and counter (block, 0, row, (layer 2^9 +
/// head) 2^7 + site 4 + 3), block = 0, 1, ..: the layout of stochastic rounding, whose draws are
/// numbered 0..2, so the two never meet.
void select_random(std::size_t count, const DrawCoordinates& where,
                   std::span<std::uint8_t> selected, SelectionScratch& scratch);

/// Marks the `count` largest of y, ties lower index first. Pre: no NaN in y, or count is 0 or
/// y.size().
void select_largest(std::size_t count, std::span<const double> y, std::span<std::uint8_t> selected,
                    SelectionScratch& scratch);

/// Any rule but `truth` on one row; returns the number of marks. The random rules and
/// `largest_logit` take the budget that LAMP takes on the same row; `random_full_row` spreads it
/// over all row_length entries and loses what falls on masked ones.
std::size_t select_row(const SelectionSpec& spec, const SoftmaxRow& row,
                       const DrawCoordinates& where, std::span<std::uint8_t> selected,
                       SelectionScratch& scratch);

}  // namespace lamp
