// LAMP selection (method.md section 6): which components of y = g(x) to recompute so that z = f(y)
// is accurate. What a selection is, as data, and the two questions that the pass and `calc` ask.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/matrix.hpp"
#include "core/base/names.hpp"
#include "core/selection/rules/rule.hpp"

namespace lamp {

/// w_j of the error model abs(dy_j) <= eps w_j: 1, abs(y_j), or the a-priori bound of the inner
/// product that y_j is.
enum class ErrorWeights : std::uint8_t { absolute, relative, dot };
/// What the cost of a set bounds, to first order and in units of eps: the largest relative error of
/// a component of z, or the 1-norm of the error of z.
enum class Norm : std::uint8_t { componentwise, normwise1 };
/// `greedy`: the shortest set in descending order of keys that costs at most tau, as in the paper;
/// `exact`: a smallest set of all.
enum class Solver : std::uint8_t { greedy, exact };
/// Masked entries of a causal row are no components, or are components with z = 0.
enum class Mask : std::uint8_t { exclude, as_zero };

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
static_assert(names_all(error_weights_names) && names_all(norm_names) && names_all(solver_names) &&
              names_all(mask_names));

struct GivenPriorities;
struct GivenSets;
class OwnRule;

/// How a set is chosen; exactly one of tau and rate is set, which only the rules with a budget
/// read.
struct SelectionSpec {
  const Rule* rule = rule_named("lamp");
  ErrorWeights weights = ErrorWeights::absolute;
  Norm norm = Norm::componentwise;
  Solver solver = Solver::greedy;
  Mask mask = Mask::exclude;
  std::optional<double> tau = 1.5;
  std::optional<double> rate{};
  std::size_t terms = 16;            // of the rule first-terms
  const GivenSets* given = nullptr;  // of the rule given_sets (rules/given.hpp): not owned
  const GivenPriorities* priorities = nullptr;  // of the rules that know the pass: not owned
  OwnRule* own = nullptr;                       // of the rule own_rule (rules/own.hpp): not owned
  friend bool operator==(const SelectionSpec&, const SelectionSpec&) = default;
};

/// Why a spec cannot be used, as the end of an error line ("..., legal are ..."); empty where it
/// can.
std::string check(const SelectionSpec& spec);

/// Reusable memory of the selection functions; one per thread.
struct SelectionScratch {
  std::vector<std::uint64_t> keys, low, high;
  std::vector<std::int64_t> diagonal, low_diagonal, high_diagonal, places;
  struct Ranked {
    std::int64_t value;
    std::uint32_t index;
  };
  std::vector<std::uint32_t> order;
  std::vector<std::uint64_t> codes, words;
  std::vector<Ranked> thresholds, admitted;
  std::vector<std::uint8_t> marks;
  std::vector<double> reals, weights, terms;
  /// The cut of the row before, where the search in the next one starts: rows are alike. No set
  /// depends on it.
  std::uint64_t likely_cut = 0;
  /// Of all rows since somebody last cleared it: whether any component was selected, and whether
  /// any set of `largest-logit` was not LAMP's.
  struct Seen {
    bool selected = false, unlike_lamp = false;
  } seen{};
};

/// Sums over a row y, its index ascending from +0. RMSNorm's: of y^2, fused, and of |y|.
/// LayerNorm's: of y, and of the squares of y less its mean, fused.
struct RowSums {
  double squares = 0.0, magnitudes = 0.0, total = 0.0;
};

/// One row of y = g(x) and z = f(y) as targets and rules see it. All spans have n = size() causal
/// entries, or are empty where unused.
struct SelectionRow {
  /// Softmax: f of the low row. Rule value-aware at an activation: what the linear map after it
  /// reads.
  std::span<const double> z{};
  std::span<const double> y{};  // the low row itself, or the residual sum that the low row is in
  std::span<const double> g{};  // where y is a sum: the low row, which `relative` weighs; empty: y
  std::span<const double> w{};  // weights `dot`: the a-priori bound of each inner product, >= 0
  double eps = 0.0;             // of a norm
  std::optional<RowSums> sums{};  // of y, where Target::prepare has filled them in
  /// A linear map z = W y: sum_i abs(W_ij) for each j, and the 1-norm of z.
  std::span<const double> columns{};
  double norm1 = 0.0;
  /// Rule value-aware at an activation, and the linear map W after it: the 2-norm of each column of
  /// W, and of W z (only with tau).
  std::span<const double> column_norms{};
  double norm2 = 0.0;
  std::size_t row_length = 0;   // T, the length of the row with its masked entries: mask `as_zero`,
                                // rule `random-full-row`
  std::span<const double> q{};  // rules that read keys: the query, (d),
  MatrixView<const double> k{};       // and the keys, (n, d): y_j is q . k_j / sqrt d
  std::span<const double> ranking{};  // rules that look ahead: the larger, the sooner recomputed
  MatrixView<const double> v{};  // rules that read values: (width, n), column j is v_j of f(y) V

  [[nodiscard]] std::size_t size() const { return y.empty() ? z.size() : y.size(); }
};

/// Coordinates of a random draw: two rows that differ in any of them draw independently.
/// layer < 2^16, head < 2^9, site < 2^5 (the draw id of the recomputed site).
struct DrawCoordinates {
  std::uint32_t seed = 0, sequence = 0, layer = 0, head = 0, row = 0, site = 0;
};

struct Target;  // target.hpp: what f makes of a row

/// Marks in `selected` (one byte per component, 0 or 1) what spec.rule recomputes of one row;
/// returns the number of marks. Pre: check(spec, target) is empty; selected.size() == row.size().
std::size_t select_row(const SelectionSpec& spec, const Target& target, const SelectionRow& row,
                       const DrawCoordinates& where, std::span<std::uint8_t> selected,
                       SelectionScratch& scratch);

/// The same of rows that follow each other, the first at `first`: selected[i] are the marks of
/// rows[i].
void select_rows(const SelectionSpec& spec, const Target& target,
                 std::span<const SelectionRow> rows, const DrawCoordinates& first,
                 std::span<const std::span<std::uint8_t>> selected, SelectionScratch& scratch);

}  // namespace lamp
