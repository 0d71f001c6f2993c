// What one multiply-accumulate is, and in which order a sum of them is taken: data, no code paths
// (method.md sections 2, 3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/fp/format.hpp"
#include "core/fp/rounding.hpp"

namespace lamp {

/// c <- c + a*b as the decisions it consists of.
struct MacSpec {
  std::optional<FloatFormat> operands{};  // absent: as-is. Else a, b are rounded to it once, RNE
  std::optional<FloatFormat> product{};  // absent: exact, one rounding of a*b + c. Else the product
                                         // is rounded to it first, by `rounding`
  std::optional<FloatFormat>
      via{};  // absent: none. Else every sum is rounded RNE to it, then by `rounding` to `format`
  FloatFormat format = binary32;  // where the accumulator lives after the step
  Rounding rounding = Rounding::rne;
  int random_bits = 32;  // r of SR, 1..32

  friend bool operator==(const MacSpec&, const MacSpec&) = default;
};

enum class OrderKind : std::uint8_t {
  sequential,
  reverse,
  blocked,
  pairwise,
  lanes,
  split,
  panels,
  lane_tree,
  numpy_sum,
  kahan,
  neumaier,
  exact,
  tree,
  fused_tree,
  multiterm,
  engine
};

class SummationTree;  // core/arith/orders/tree.hpp

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

/// An order of accumulation by its name and parameters: README.md defines each, order_text.hpp
/// reads and writes them.
struct Order {
  OrderKind kind = OrderKind::sequential;
  std::size_t size = 0;      // B of blocked, pairwise and numpy_sum, L of lanes, S of split, Q of
                             // panels, N of multiterm; S of a split engine
  std::size_t multiple = 0;  // U of panels
  int fraction_bits = 0;     // F of multiterm
  std::shared_ptr<const SummationTree>
      tree{};           // of tree and fused_tree; of lane_tree over its lanes; compared by value
  EngineStep engine{};  // of engine

  /// Split-K on a matrix engine: `size` >= 1 contiguous parts, each the engine's from +0, added in
  /// order to +0, and c last.
  [[nodiscard]] bool splits_engine() const { return kind == OrderKind::engine && size > 0; }
  friend bool operator==(const Order& x, const Order& y);
};

/// Where the random words of stochastic modes come from: the coordinates that a site's outputs
/// share. Part of a run, not of what the arithmetic is.
struct DrawStream {
  std::uint32_t seed = 0, sequence = 0, layer = 0, head = 0, site = 0;
  std::uint32_t first_row = 0;  // of a site that is computed by blocks of rows: the row of the site
                                // that is row 0 of the block
};

/// The arithmetic of a site: how one step rounds, and in which order sums are taken. Two are equal
/// whatever they draw from.
struct Arithmetic {
  MacSpec mac;
  Order order;
  std::optional<MacSpec> block{};  // the arithmetic inside the blocks of blocked:B; absent: mac.
                                   // Other orders do not look at it
  DrawStream draws{};

  friend bool operator==(const Arithmetic& x, const Arithmetic& y) {
    return x.mac == y.mac && x.order == y.order && x.block == y.block;
  }
};

/// The preset `lamp-paper`: exact product, via binary32, PS(mu), RNE, sequential: the reference
/// code of [LAMP].
inline Arithmetic lamp_paper(int mu) {
  return {.mac = {.via = binary32, .format = ps(mu)}, .order = {}};
}
/// Fused multiply-add in `format`, RNE, sequential.
inline Arithmetic fused(const FloatFormat& format) {
  return {.mac = {.format = format}, .order = {}};
}
/// The same with p bits and no exponent limits, functions correctly rounded: the reference mpfr:p.
/// Only core/mpfr evaluates it. 2 <= p <= 10,000.
inline Arithmetic unlimited(int p) {
  constexpr int no_limit =
      1'000'000'000;  // stands for it: beyond any format that a config can name
  return fused({.p = p, .emin = -no_limit, .emax = no_limit});
}
inline bool is_unlimited(const Arithmetic& arithmetic) {
  return arithmetic.mac.format == unlimited(arithmetic.mac.format.p).mac.format;
}

}  // namespace lamp
