#include "core/mpfr/orders.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "core/base/overloaded.hpp"
#include "core/mpfr/arithmetic.hpp"
#include "core/mpfr/exact_sums.hpp"

namespace lamp::mpfr {
namespace {

using Operation = Program::Operation;
using Result = Program::Result;
using Terms = std::vector<std::size_t>;

Terms first_terms(std::size_t n) {
  Terms terms(n);
  std::iota(terms.begin(), terms.end(), std::size_t{0});
  return terms;
}

/// One multiply-accumulate per term, from what `start` has.
Result chain(Program& p, Result start, const Terms& terms, Operation step = Operation::mac) {
  for (const std::size_t k : terms) start = p.put(step, start, static_cast<Result>(k));
  return start;
}

/// The terms by groups: group_of(k) says which.
template <class GroupOf>
std::vector<Terms> grouped(std::size_t n, std::size_t groups, GroupOf&& group_of) {
  std::vector<Terms> lists(groups);
  for (std::size_t k = 0; k < n; ++k) lists[group_of(k)].push_back(k);
  return lists;
}

/// Sums of the groups that have terms, each from +0, `rounded` to the program's part or as they
/// are, added to +0 as they come.
Result groups_in_order(Program& p, const std::vector<Terms>& groups, Operation step,
                       bool rounded = false) {
  Result sum = p.put(Operation::zero);
  for (const Terms& group : groups) {
    if (group.empty()) continue;
    Result part = chain(p, p.put(Operation::zero), group, step);
    if (rounded) part = p.put(Operation::to_part, part);
    sum = p.put(Operation::add, sum, part);
  }
  return sum;
}

Result halves(Program& p, const Terms& terms, std::size_t size) {
  if (terms.size() <= size) return chain(p, p.put(Operation::zero), terms);
  const auto middle = terms.begin() + static_cast<std::ptrdiff_t>(terms.size() / 2);
  const Result left = halves(p, Terms(terms.begin(), middle), size);
  const Result right = halves(p, Terms(middle, terms.end()), size);
  return p.put(Operation::add, left, right);
}

Result folded_lanes(Program& p, const std::vector<Terms>& groups) {
  std::vector<Result> sums;
  for (const Terms& group : groups) sums.push_back(chain(p, p.put(Operation::zero), group));
  while (sums.size() > 1) {  // the upper half onto the lower
    const std::size_t half = sums.size() / 2;
    for (std::size_t l = 0; l < half; ++l) sums[l] = p.put(Operation::add, sums[l], sums[l + half]);
    sums.resize(half);
  }
  return sums.front();
}

Result product(Program& p, std::size_t k) {
  return p.put(Operation::mac, p.put(Operation::zero), static_cast<Result>(k));
}

Result compensated(Program& p, std::size_t n) {
  Result s = p.put(Operation::zero), e = p.put(Operation::zero);
  for (std::size_t k = 0; k < n; ++k) {
    const Result pk = product(p, k);
    const Result y = p.put(Operation::sub, pk, e);
    const Result t = p.put(Operation::add, s, y);
    const Result t_minus_s = p.put(Operation::sub, t, s);
    e = p.put(Operation::sub, t_minus_s, y);
    s = t;
  }
  return s;
}

Result compensated_both_ways(Program& p, std::size_t n) {
  Result s = p.put(Operation::zero), e = p.put(Operation::zero);
  for (std::size_t k = 0; k < n; ++k) {
    const Result pk = product(p, k);
    const Result t = p.put(Operation::add, s, pk);
    const Result larger = p.put(Operation::larger, s, pk);
    const Result smaller = p.put(Operation::smaller, s, pk);
    const Result lost = p.put(Operation::add, p.put(Operation::sub, larger, t), smaller);
    e = p.put(Operation::add, e, lost);
    s = t;
  }
  return p.put(Operation::add, s, e);
}

/// The parts of panels:Q,U, in numbers of terms.
std::vector<std::size_t> panel_lengths(std::size_t n, std::size_t q, std::size_t u) {
  std::vector<std::size_t> lengths;
  while (n > 0) {
    std::size_t length = n;
    if (n >= 2 * q) {
      length = q;
    } else if (n > q) {
      length = n / 2;
      while (length % u != 0) ++length;
      length = std::min(length, n);
    }
    lengths.push_back(length);
    n -= length;
  }
  return lengths;
}

/// Products rounded alone, added one by one to `sum` where it is there.
Result products_in_order(Program& p, std::optional<Result> sum, const Terms& terms) {
  for (const std::size_t k : terms) {
    const Result term = product(p, k);
    sum = sum ? p.put(Operation::add, *sum, term) : term;
  }
  return *sum;
}

/// What numpy's pairwise_sum adds: fewer than 8 in order; up to 128 in r[0] .. r[7] and a rest;
/// else two such sums.
Result numpy_pairwise(Program& p, const Terms& terms) {
  const std::size_t n = terms.size();
  const auto part = [&](std::size_t first, std::size_t last) {
    return Terms(terms.begin() + static_cast<std::ptrdiff_t>(first),
                 terms.begin() + static_cast<std::ptrdiff_t>(last));
  };
  if (n < 8) return products_in_order(p, std::nullopt, terms);
  if (n > 128) {
    std::size_t half = n / 2;
    half -= half % 8;
    const Result left = numpy_pairwise(p, part(0, half));
    return p.put(Operation::add, left, numpy_pairwise(p, part(half, n)));
  }
  const std::size_t rest = n - n % 8;
  std::vector<Result> r;
  for (const Terms& lane : grouped(rest, 8, [](std::size_t i) { return i % 8; })) {
    Terms of_lane;
    for (const std::size_t i : lane) of_lane.push_back(terms[i]);
    r.push_back(products_in_order(p, std::nullopt, of_lane));
  }
  const Result r01 = p.put(Operation::add, r[0], r[1]), r23 = p.put(Operation::add, r[2], r[3]);
  const Result r45 = p.put(Operation::add, r[4], r[5]), r67 = p.put(Operation::add, r[6], r[7]);
  const Result low = p.put(Operation::add, r01, r23), high = p.put(Operation::add, r45, r67);
  return products_in_order(p, p.put(Operation::add, low, high), part(rest, n));
}

/// numpy.sum: a buffer of `size` terms after the other, added to +0.
Result numpy_sum(Program& p, std::size_t n, std::size_t size) {
  Result sum = p.put(Operation::zero);
  for (const Terms& buffer :
       grouped(n, n / size + (n % size != 0 ? 1 : 0), [=](std::size_t k) { return k / size; })) {
    const Result part = numpy_pairwise(p, buffer);
    sum = p.put(Operation::add, sum, part);
  }
  return sum;
}

Result fused(Program& p, const SummationTree& tree) {
  std::vector<std::optional<Result>> open(1);  // the sum so far of every node that is open
  for (const std::uint32_t token : tree.tokens()) {
    if (token == SummationTree::open) {
      open.emplace_back();
    } else if (token == SummationTree::close) {
      const Result sum = *open.back();
      open.pop_back();
      open.back() = open.back() ? p.put(Operation::add, *open.back(), sum) : sum;
    } else {
      if (!open.back()) open.back() = p.put(Operation::zero);
      open.back() = p.put(Operation::mac, *open.back(), token);
    }
  }
  return *open.front();
}

/// A tree over what leaf(token) gives for each of its leaves, asked for as they come.
template <class Leaf>
Result of_tree(Program& p, const SummationTree& tree, const Leaf& leaf) {
  std::vector<std::optional<Result>> open(
      1);  // the children so far, added, of every node that is open
  for (const std::uint32_t token : tree.tokens()) {
    if (token == SummationTree::open) {
      open.emplace_back();
      continue;
    }
    Result child = 0;
    if (token == SummationTree::close) {
      child = *open.back();
      open.pop_back();
    } else {
      child = leaf(token);
    }
    open.back() = open.back() ? p.put(Operation::add, *open.back(), child) : child;
  }
  return *open.front();
}

// The programs: an overload for each struct of the catalog, from +0 where c is added last. Pre: n >
// 0.

Result sum_of(Program& p, const Blocked& order, std::size_t n) {
  const std::size_t size = order.size, blocks = n / size + (n % size != 0 ? 1 : 0);
  return groups_in_order(p, grouped(n, blocks, [=](std::size_t k) { return k / size; }),
                         Operation::block_mac);
}

Result sum_of(Program& p, const Split& order, std::size_t n) {
  const std::size_t length = n / order.parts + (n % order.parts != 0 ? 1 : 0);  // of a part
  if (order.part) p.set_part(*order.part);
  return groups_in_order(p, grouped(n, n, [=](std::size_t k) { return k / length; }),
                         Operation::mac, order.part.has_value());
}

Result sum_of(Program& p, const Pairwise& order, std::size_t n) {
  return halves(p, first_terms(n), order.size);
}

Result sum_of(Program& p, const Lanes& order, std::size_t n) {
  return folded_lanes(p, grouped(n, order.count, [&](std::size_t k) { return k % order.count; }));
}

Result sum_of(Program& p, const Panels& order, std::size_t n) {
  std::vector<Terms> parts;
  std::size_t k = 0;
  for (const std::size_t length : panel_lengths(n, order.size, order.multiple)) {
    parts.emplace_back(length);
    std::iota(parts.back().begin(), parts.back().end(), k);
    k += length;
  }
  return groups_in_order(p, parts, Operation::mac);
}

Result sum_of(Program& p, const LaneTree& order, std::size_t n) {
  std::vector<Result> lanes;
  const std::size_t count = order.lanes.terms();
  for (const Terms& lane : grouped(n, count, [=](std::size_t k) { return k % count; }))
    lanes.push_back(chain(p, p.put(Operation::zero), lane));
  return of_tree(p, order.lanes, [&](std::uint32_t lane) { return lanes[lane]; });
}

Result sum_of(Program& p, const NumpySum& order, std::size_t n) {
  return numpy_sum(p, n, order.buffer);
}

Result sum_of(Program& p, const Kahan&, std::size_t n) { return compensated(p, n); }

Result sum_of(Program& p, const Neumaier&, std::size_t n) { return compensated_both_ways(p, n); }

Result sum_of(Program& p, const Tree& order, std::size_t n) {
  expects(order.tree.terms() == n, "mpfr dot: a tree of n terms");
  return of_tree(p, order.tree, [&](std::uint32_t k) { return product(p, k); });
}

Result sum_of(Program& p, const FusedTree& order, std::size_t n) {
  expects(order.tree.terms() == n, "mpfr dot: a tree of n terms");
  return fused(p, order.tree);
}

/// Orders that end with c.
template <class O>
Result sum_with_c(Program& p, const O& order, std::size_t n, double c) {
  const Result sum = n == 0 ? p.put(Operation::zero) : sum_of(p, order, n);
  return c != 0.0 || std::signbit(c) ? p.put(Operation::add, sum, p.put(Operation::c)) : sum;
}

// And those that start with it.
Result sum_with_c(Program& p, const Sequential&, std::size_t n, double) {
  return chain(p, p.put(Operation::c), first_terms(n));
}
Result sum_with_c(Program& p, const Reverse&, std::size_t n, double) {
  Terms terms = first_terms(n);
  std::reverse(terms.begin(), terms.end());
  return chain(p, p.put(Operation::c), terms);
}

}  // namespace

double MpfrArithmetic::dot_of_rounded(const Order& order, const std::optional<MacSpec>& block,
                                      std::span<const double> x, std::span<const double> y,
                                      double c) const {
  expects(x.size() == y.size(), "mpfr dot: x.size() == y.size()");
  return std::visit(
      Overloaded{[&](const Exact&) { return exact_dot(spec_, x, y, c, step()); },
                 [&](const Multiterm& o) { return multiterm_dot(o, x, y, c); },
                 [&](const MatrixEngine& o) { return engine_dot(spec_, o.step, x, y, c); },
                 [&](const SplitEngine& o) { return split_engine_dot(o, x, y, c); },
                 [&](const auto& o) {
                   Program p;
                   const Result sum = sum_with_c(p, o, x.size(), c);
                   return run(p, sum, block, x, y, c);
                 }},
      order);
}

}  // namespace lamp::mpfr
