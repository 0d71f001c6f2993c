// The selection rules: LAMP, and those it is compared with. A rule is one function and one row.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/base/contract.hpp"
#include "core/base/names.hpp"

namespace lamp {

struct DrawCoordinates;
struct SelectionRow;
struct SelectionScratch;
struct SelectionSpec;
struct Target;

/// What a rule looks at: one row, the selection that was asked for, what f makes of the row, and
/// where its random words come from.
struct RuleInput {
  const SelectionSpec& spec;
  const Target& target;
  const SelectionRow& row;
  const DrawCoordinates& where;
};

/// Marks each component of the row, 0 or 1, and returns the number of ones.
/// Pre: one mark for each component of row.z.
using RuleFunction = std::size_t (*)(const RuleInput& input, std::span<std::uint8_t> selected,
                                     SelectionScratch& scratch);

/// What a rule ranks the components of a row by before the row is there (SelectionRow::ranking).
enum class LookAhead : std::uint8_t {
  none,
  layer_before,  // f of the same row in the layer before; in the first layer nothing
  row_before,    // f of the row before; in the first row nothing
  first_terms    // the first SelectionSpec::terms terms of each inner product
};

/// What sets a rule apart from one that looks at z, y and w, with LAMP's budget or none.
struct RuleTraits {
  /// Takes as many components of a row as LAMP does, whatever they are. Where it is not said, no
  /// cell of a grid is taken to be equal to another for it.
  bool budget_of_lamp = false;
  /// Draws nothing: reads no RuleInput::where. Where it is not said, cells of two seeds are never
  /// taken to be equal.
  bool deterministic = false;
  bool reads_keys = false;    // SelectionRow::q and k
  bool by_place = false;      // takes components for keys in the order of the text
  bool full_row = false;      // counts masked entries too: SelectionRow::row_length
  bool reads_values = false;  // SelectionRow::v or column_norms: what comes after f
  bool own_cost = false;      // and its sets are smallest ones for it: norm and solver are LAMP's
  LookAhead ahead = LookAhead::none;
  bool knows_pass = false;  // SelectionSpec::priorities, found by other passes over the same tokens
};

struct Rule {
  std::string_view name;
  RuleFunction mark;
  RuleTraits traits{};
};

std::size_t mark_by_lamp(const RuleInput&, std::span<std::uint8_t>, SelectionScratch&);
std::size_t mark_at_random(const RuleInput&, std::span<std::uint8_t>, SelectionScratch&);
std::size_t mark_in_full_row(const RuleInput&, std::span<std::uint8_t>, SelectionScratch&);
std::size_t mark_largest_logits(const RuleInput&, std::span<std::uint8_t>, SelectionScratch&);
std::size_t mark_window(const RuleInput&, std::span<std::uint8_t>, SelectionScratch&);
std::size_t mark_by_block_mean(const RuleInput&, std::span<std::uint8_t>, SelectionScratch&);
std::size_t mark_by_page_bound(const RuleInput&, std::span<std::uint8_t>, SelectionScratch&);
std::size_t mark_by_ranking(const RuleInput&, std::span<std::uint8_t>, SelectionScratch&);
std::size_t mark_by_key_mean(const RuleInput&, std::span<std::uint8_t>, SelectionScratch&);
std::size_t mark_by_values(const RuleInput&, std::span<std::uint8_t>, SelectionScratch&);
std::size_t mark_by_priority(const RuleInput&, std::span<std::uint8_t>, SelectionScratch&);
std::size_t mark_none(const RuleInput&, std::span<std::uint8_t>, SelectionScratch&);
std::size_t mark_all(const RuleInput&, std::span<std::uint8_t>, SelectionScratch&);

inline constexpr RuleTraits of_priorities{
    .budget_of_lamp = true, .deterministic = true, .knows_pass = true};

constexpr RuleTraits of_ranking(LookAhead ahead) {
  return {.budget_of_lamp = true, .deterministic = true, .ahead = ahead};
}

/// Every rule, in the order in which messages list them.
inline constexpr std::array rules{
    Rule{"lamp", mark_by_lamp, {.budget_of_lamp = true, .deterministic = true}},
    Rule{"random", mark_at_random, {.budget_of_lamp = true}},
    Rule{"none", mark_none, {.deterministic = true}},
    Rule{"all", mark_all, {.deterministic = true}},
    Rule{"random-full-row", mark_in_full_row, {.budget_of_lamp = true, .full_row = true}},
    Rule{"largest-logit", mark_largest_logits, {.budget_of_lamp = true, .deterministic = true}},
    Rule{"window", mark_window, {.budget_of_lamp = true, .deterministic = true, .by_place = true}},
    Rule{"block-mean",
         mark_by_block_mean,
         {.budget_of_lamp = true, .deterministic = true, .by_place = true}},
    Rule{"page-bound",
         mark_by_page_bound,
         {.budget_of_lamp = true, .deterministic = true, .reads_keys = true}},
    Rule{"value-aware",
         mark_by_values,
         {.deterministic = true, .reads_values = true, .own_cost = true}},
    Rule{"previous-layer", mark_by_ranking, of_ranking(LookAhead::layer_before)},
    Rule{"previous-token", mark_by_ranking, of_ranking(LookAhead::row_before)},
    Rule{"first-terms", mark_by_ranking, of_ranking(LookAhead::first_terms)},
    Rule{"key-mean",
         mark_by_key_mean,
         {.budget_of_lamp = true, .deterministic = true, .reads_keys = true}},
    Rule{"fisher", mark_by_priority, of_priorities},
    Rule{"truth:local", mark_by_priority, of_priorities},
    Rule{"truth:one-low", mark_by_priority, of_priorities},
    Rule{"truth:one-high", mark_by_priority, of_priorities},
};

/// The same as names of values.
inline constexpr std::array rule_names = [] {
  std::array<NamedValue<const Rule*>, rules.size()> names{};
  for (std::size_t i = 0; i < rules.size(); ++i) names[i] = {rules[i].name, &rules[i]};
  return names;
}();

/// The rule of this name. Pre: the table has it.
constexpr const Rule* rule_named(std::string_view name) {
  for (const Rule& rule : rules)
    if (rule.name == name) return &rule;
  contract_violated("rule_named: a rule of the table");
}

}  // namespace lamp
