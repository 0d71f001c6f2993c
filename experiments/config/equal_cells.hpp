// Which cells of a grid must have equal values, and by what proof. Two kinds: what a cell's config
// cannot matter for (a rule that selects nothing has no tau), and what the pass itself shows (no
// row was refused, so tau = 2 selected nothing).
#pragma once

#include <optional>

#include "core/base/sha256.hpp"
#include "experiments/config/config.hpp"

namespace lamp::experiments {

/// Whether the arithmetic of that name is one of the config's and rounds stochastically.
bool is_drawn(const Config& config, std::string_view arithmetic);

/// Whether a selection of the cell takes every component of every row, whatever its values: the
/// rule `all`, and a rate of 1 in all layers but of `random-full-row`.
bool takes_all(const Config& cell, const SelectionConfig& selection);

/// The config of one cell without what its values cannot depend on: at `none`, and where a
/// selection takes all, all of it but the rule and what recomputes, and in the second case the low
/// arithmetic too unless errors of the site are recorded, which are in its units; the seed where no
/// arithmetic and no rule draws. A selection with a fallback is left as it is.
Config without_idle_keys(const Config& cell);

/// The same cell with the rule `none`, where that has equal values unless LAMP refuses a row of the
/// pass: rules with LAMP's budget over scores at absolute weights, componentwise, and tau >= 2 or
/// rate 0, in all layers and without a fallback. For
/// tau >= 2 the cost of the empty set is at most 2. LAMP refuses a row for its z alone, so that one
/// pass of these in which nothing is selected proves all of them equal.
std::optional<Config> if_nothing_is_selected(const Config& cell);

/// Of the rule `largest-logit`, the same cell with the rule `lamp`, whose set a row differs from
/// only where integers of different z tie: scores, absolute weights, componentwise, greedy, without
/// budgets of layers or a fallback.
std::optional<Config> if_sets_are_lamps(const Config& cell);

}  // namespace lamp::experiments
