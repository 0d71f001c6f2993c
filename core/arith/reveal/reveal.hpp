// The summation tree of a black-box dot product, from its answers alone: terms of +M and -M swallow
// what is added between them. After Xie, Gao, Wang, Xue, "FPRev: Revealing the Order of
// Floating-Point Summation using Numerical Testing" (2025).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/arith/reveal/addition_tree.hpp"
#include "core/base/result.hpp"
#include "core/fp/format.hpp"

namespace lamp {

/// Operands of one dot product, all of one length.
struct DotProduct {
  std::vector<double> a, b;
};

/// Answers dot products, in order; an error where it cannot.
using DotProducts = std::function<Result<std::vector<double>>(std::span<const DotProduct>)>;

/// The numbers of the probes. The products are +M, -M, units u, and zeros; M = large_a large_b, u =
/// unit_a unit_b, powers of two.
struct ProbeScale {
  double large_a = 1.0, large_b = 1.0, unit_a = 1.0, unit_b = 1.0;
  std::size_t units =
      1;  // the most units of one probe: M swallows them all, and their number is exact
  bool marks = false;  // one unit a probe, which is there or not: for accumulators that round
                       // toward one side

  [[nodiscard]] double large() const { return large_a * large_b; }
  [[nodiscard]] double unit() const { return unit_a * unit_b; }
};

/// Scales to try for operands and an accumulator of `format`, or a wider accumulator, best first.
/// `n`: the number of terms.
std::vector<ProbeScale> probe_scales(const FloatFormat& format, std::size_t n);

struct RevealedTree {
  AdditionTree tree;
  ProbeScale scale;
  std::size_t probes = 0;  // dot products asked for, also in scales that did not serve
  std::size_t checks = 0;  // of these, random ones that the tree was checked with
};

inline constexpr std::size_t most_revealed_terms = 4096;

/// Two terms i, j and all others: the units that survive +M at i and -M at j are those outside of
/// the smallest partial sum that has both i and j. One term against all others sorts these into the
/// subtrees that join its own, which are resolved in the same way, all subtrees of a level in one
/// batch: about n log n probes for most trees. The tree is then tested with random probes. The
/// error names probes whose answers no tree gives (code check_failed), or is that of `ask`. Pre: 1
/// <= n <= most_revealed_terms.
Result<RevealedTree> reveal(std::size_t n, const FloatFormat& format, const DotProducts& ask);

}  // namespace lamp
