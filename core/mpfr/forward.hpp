// The forward pass a second time, on MPFR and without selection: the same table of sites, every one
// by core/mpfr/steps.hpp, values from one to the next in the pass's own numbers. In p <= 53 bits a
// twin of core/model/forward.hpp, for tests; in `unlimited(p)` the reference mpfr:p.
#pragma once

#include <span>
#include <vector>

#include "core/base/matrix.hpp"
#include "core/model/forward.hpp"
#include "core/mpfr/number.hpp"

namespace lamp::mpfr {

/// What later rows need of the rows before, as EarlierRows::values.
struct KeysValues {
  std::vector<std::vector<Matrix<Number>>> layers;
};

/// As lamp::forward, bit for bit where p <= 24 at every site with a function. Pre: the plan selects
/// nothing, no arithmetic is unlimited.
void forward(const Model& model, std::span<const TokenId> tokens, const PrecisionPlan& plan,
             const PassOptions& options, TapSink& sink);

/// As lamp::forward_from; taps see the values rounded to binary64, RNE. The keys and values join
/// earlier.unlimited. Pre: the plan is unlimited everywhere and selects nothing.
void forward_unlimited(const Model& model, EarlierRows& earlier, std::span<const TokenId> tokens,
                       const PrecisionPlan& plan, const PassOptions& options, TapSink& sink);

}  // namespace lamp::mpfr
