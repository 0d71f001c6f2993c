// The orders of matrix engines: steps of an engine over all terms, or over contiguous parts of them
// (split-K). They have no text of their own; engine.hpp names the engines of known GPUs.
#pragma once

#include <algorithm>
#include <optional>

#include "core/arith/orders/row.hpp"
#include "core/fp/format.hpp"
#include "core/fp/rounding.hpp"

namespace lamp {

/// How c enters a step of a matrix engine. A pass of the unit is a step of multiterm:N,F with
/// `output` and `rounding`. `fused`: one pass over the step's products and c. `separate`: one pass
/// over the products, then fl(its sum + c). `interleaved`: a pass over the products k with k/2
/// even, one over the others and the first one's sum, then fl(the second one's sum + c).
enum class EngineProtocol : std::uint8_t { fused, separate, interleaved };

/// One step of a matrix engine; engine.hpp has those of known GPUs.
struct EngineStep {
  std::size_t products = 1;       // of a step; the last one takes what is left
  int fraction_bits = 0;          // F
  FloatFormat output = binary32;  // what a pass's sum is rounded to
  Rounding rounding = Rounding::rtz;
  EngineProtocol protocol = EngineProtocol::fused;
  std::optional<int> least_exponent{};  // the clamp: a pass aligns to this exponent where all its
                                        // terms have smaller ones
  friend bool operator==(const EngineStep&, const EngineStep&) = default;
};

/// x plus the terms first .. last - 1 in the engine's steps: what s.engine does, unless an
/// evaluator has a faster way.
template <class Sum>
typename Sum::Value engine_steps(const Sum& s, const EngineStep& step, std::size_t first,
                                 std::size_t last, typename Sum::Value x) {
  using Value = typename Sum::Value;
  const auto every = [](std::size_t) { return true; };
  x = s.start_on_engine(x);
  for (; first < last; first += step.products) {
    const std::size_t end = std::min(last, first + step.products);
    switch (step.protocol) {
      case EngineProtocol::fused:
        x = s.engine_pass(step, first, end, every, x);
        break;
      case EngineProtocol::separate:
        x = s.add(s.engine_pass(step, first, end, every, Value{}), x);
        break;
      case EngineProtocol::interleaved: {
        const auto even_pairs = [](std::size_t k) { return k / 2 % 2 == 0; };
        const auto odd_pairs = [](std::size_t k) { return k / 2 % 2 == 1; };
        const Value half = s.engine_pass(step, first, end, even_pairs, Value{});
        x = s.add(s.engine_pass(step, first, end, odd_pairs, half), x);
        break;
      }
    }
  }
  return x;
}

/// All terms, from c rounded RNE to the format.
struct MatrixEngine {
  EngineStep step{};

  static constexpr OrderRow row{
      .name = {}, .kind = SumKind::steps, .c = CEnters::start, .products = Products::exact};

  template <class Sum>
  typename Sum::Value sum(const Sum& s) const {
    return s.engine(step, 0, s.n, s.c);
  }

  friend bool operator==(const MatrixEngine&, const MatrixEngine&) = default;
};

/// `parts` contiguous parts of ceil(n/S) terms, each the engine's from +0, added in order to +0.
struct SplitEngine {
  EngineStep step{};
  std::size_t parts = 1;
  std::optional<FloatFormat> part{};  // as Split's

  static constexpr OrderRow row{
      .name = {}, .kind = SumKind::steps, .c = CEnters::last, .products = Products::exact};

  template <class Sum>
  typename Sum::Value sum(const Sum& s) const {
    const std::size_t size = (s.n + parts - 1) / parts;
    typename Sum::Value acc{};
    for (std::size_t first = 0; first < s.n; first += size)
      acc = s.add(acc, s.stored(s.engine(step, first, std::min(s.n, first + size), {}), part));
    return acc;
  }

  friend bool operator==(const SplitEngine&, const SplitEngine&) = default;
};

}  // namespace lamp
