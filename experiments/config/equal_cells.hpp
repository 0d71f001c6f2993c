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

/// The config of one cell without what its values cannot depend on: at `none` all of the selection
/// but the rule, at `all` (a rate of 1 is all, but of `random-full-row`) all but what recomputes,
/// and the low arithmetic too unless errors of the site are recorded, which are in its units; the
/// seed where no arithmetic and no rule draws.
Config without_idle_keys(const Config& cell);

/// The same cell with the rule `none`, where that has equal values unless LAMP refuses a row of the
/// pass: rules with LAMP's budget at absolute weights, componentwise, and tau >= 2 or rate 0. For
/// tau >= 2 the cost of the empty set is at most 2. LAMP refuses a row for its z alone, so that one
/// pass of these in which nothing is selected proves all of them equal.
std::optional<Config> if_nothing_is_selected(const Config& cell);

/// Of the rule `largest-logit`, the same cell with the rule `lamp`, whose set a row differs from
/// only where integers of different z tie: absolute weights, componentwise, greedy.
std::optional<Config> if_sets_are_lamps(const Config& cell);

}  // namespace lamp::experiments
