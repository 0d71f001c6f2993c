#include "core/mpfr/orders.hpp"

#include <gmp.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <numeric>
#include <optional>

#include "core/arith/orders/tree.hpp"
#include "core/mpfr/operations.hpp"
#include "core/mpfr/rounding.hpp"

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

/// Sums of the groups that have terms, each from +0, added to +0 as they come.
Result groups_in_order(Program& p, const std::vector<Terms>& groups, Operation step) {
  Result sum = p.put(Operation::zero);
  for (const Terms& group : groups) {
    if (group.empty()) continue;
    const Result part = chain(p, p.put(Operation::zero), group, step);
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

/// An integer of GMP with an owner.
struct Integer {
  Integer() { mpz_init(value); }
  ~Integer() { mpz_clear(value); }
  Integer(const Integer&) = delete;
  Integer& operator=(const Integer&) = delete;
  mpz_t value;
};

double to_operands(const MacSpec& mac, double x) {
  return mac.operands ? mpfr::round(x, *mac.operands, Rounding::rne) : x;
}

/// Exact products of the operands.
std::deque<Number> products(const MacSpec& mac, std::span<const double> x,
                            std::span<const double> y) {
  std::deque<Number> list;
  for (std::size_t k = 0; k < x.size(); ++k) {
    const Number a = Number::exactly(to_operands(mac, x[k])),
                 b = Number::exactly(to_operands(mac, y[k]));
    mpfr_mul(list.emplace_back(106).get(), a.get(), b.get(), MPFR_RNDN);
  }
  return list;
}

/// floor(log2 |x|) of a finite nonzero x, at least emin of a format.
long exponent(double x, const std::optional<FloatFormat>& format) {
  int e = 0;
  std::frexp(x, &e);
  return std::max<long>(e - 1, format ? format->emin : std::numeric_limits<int>::min());
}

/// sum += x 2^scale, truncated toward zero to an integer.
void add_truncated(Integer& sum, const Number& x, long scale) {
  Integer term;
  const long shift = mpfr_get_z_2exp(term.value, x.get()) + scale;
  if (shift >= 0)
    mpz_mul_2exp(term.value, term.value, static_cast<mp_bitcnt_t>(shift));
  else
    mpz_tdiv_q_2exp(term.value, term.value, static_cast<mp_bitcnt_t>(-shift));
  mpz_add(sum.value, sum.value, term.value);
}

/// What rounding toward zero or to odd would keep at xmax is an overflow where the rounded
/// magnitude, its exponent unbounded, is above.
bool engine_overflows(const Number& x, const FloatFormat& format, Rounding mode) {
  Number bound(working_precision), distance(working_precision);
  mpfr_set_d(bound.get(), xmax(format), MPFR_RNDN);
  mpfr_set_si_2exp(distance.get(), 1, format.emax - format.p + 1, MPFR_RNDN);
  mpfr_add(distance.get(), bound.get(), distance.get(), MPFR_RNDN);  // the number after xmax
  if (mpfr_cmpabs(x.get(), distance.get()) >= 0) return true;
  const bool xmax_is_even = format.top_codes_lost % 2 != 0;
  return mode == Rounding::rto && xmax_is_even && mpfr_cmpabs(x.get(), bound.get()) > 0;
}

double round_as_engine(const Integer& sum, long scale, const FloatFormat& format, Rounding mode,
                       Draw draw) {
  if (mpz_sgn(sum.value) == 0) return mpfr::round(0.0, format, mode, draw);
  Number x(static_cast<mpfr_prec_t>(mpz_sizeinbase(sum.value, 2)) + working_precision);
  mpfr_set_z_2exp(x.get(), sum.value, scale, MPFR_RNDN);
  const bool negative = mpz_sgn(sum.value) < 0;
  if (!(negative && format.is_unsigned) &&
      engine_overflows(x, format, mode)) {  // RNE's overflow is the format's own
    mpfr_set_si_2exp(x.get(), negative ? -1 : 1, 3000, MPFR_RNDN);
    return to_format(x, format, Rounding::rne);
  }
  return to_format(x, format, mode, draw);
}

/// The sum of what is zero, infinite or NaN decides where one of it is infinite or NaN.
std::optional<double> special_sum(const std::deque<Number>& products, double c) {
  double sum = std::isfinite(c) ? 0.0 : c;
  for (const Number& p : products)
    if (mpfr_number_p(p.get()) == 0) sum += mpfr_get_d(p.get(), MPFR_RNDN);
  return sum == 0.0 ? std::nullopt : std::optional(sum);
}

/// Orders that end with c: their sum from +0. Pre: n > 0.
Result sum_without_c(Program& p, const Order& order, std::size_t n) {
  const std::size_t size = order.size;
  switch (order.kind) {
    case OrderKind::blocked: {
      const std::size_t blocks = n / size + (n % size != 0 ? 1 : 0);
      return groups_in_order(p, grouped(n, blocks, [=](std::size_t k) { return k / size; }),
                             Operation::block_mac);
    }
    case OrderKind::split: {
      const std::size_t length = n / size + (n % size != 0 ? 1 : 0);  // of a part
      return groups_in_order(p, grouped(n, n, [=](std::size_t k) { return k / length; }),
                             Operation::mac);
    }
    case OrderKind::pairwise:
      return halves(p, first_terms(n), size);
    case OrderKind::lanes:
      return folded_lanes(p, grouped(n, size, [=](std::size_t k) { return k % size; }));
    case OrderKind::panels: {
      std::vector<Terms> parts;
      std::size_t k = 0;
      for (const std::size_t length : panel_lengths(n, size, order.multiple)) {
        parts.emplace_back(length);
        std::iota(parts.back().begin(), parts.back().end(), k);
        k += length;
      }
      return groups_in_order(p, parts, Operation::mac);
    }
    case OrderKind::lane_tree: {
      std::vector<Result> lanes;
      const std::size_t count = order.tree->terms();
      for (const Terms& lane : grouped(n, count, [=](std::size_t k) { return k % count; }))
        lanes.push_back(chain(p, p.put(Operation::zero), lane));
      return of_tree(p, *order.tree, [&](std::uint32_t lane) { return lanes[lane]; });
    }
    case OrderKind::numpy_sum:
      return numpy_sum(p, n, size);
    case OrderKind::kahan:
      return compensated(p, n);
    case OrderKind::neumaier:
      return compensated_both_ways(p, n);
    case OrderKind::tree:
      expects(order.tree->terms() == n, "mpfr::program: a tree of n terms");
      return of_tree(p, *order.tree, [&](std::uint32_t k) { return product(p, k); });
    case OrderKind::fused_tree:
      expects(order.tree->terms() == n, "mpfr::program: a tree of n terms");
      return fused(p, *order.tree);
    case OrderKind::sequential:
    case OrderKind::reverse:
      break;  // start with c: program
    case OrderKind::exact:
    case OrderKind::multiterm:
    case OrderKind::engine:
      break;  // no programs: MpfrArithmetic::dot
  }
  contract_violated("mpfr::program: an order of additions");
}

}  // namespace

Program program(const Order& order, std::size_t n, double c) {
  Program p;
  const auto from_c = [&](const Terms& terms) { chain(p, p.put(Operation::c), terms); };
  if (order.kind == OrderKind::sequential) return from_c(first_terms(n)), p;
  if (order.kind == OrderKind::reverse) {
    Terms terms = first_terms(n);
    std::reverse(terms.begin(), terms.end());
    return from_c(terms), p;
  }
  Result sum = n == 0 ? p.put(Operation::zero) : sum_without_c(p, order, n);
  if (c != 0.0 || std::signbit(c)) sum = p.put(Operation::add, sum, p.put(Operation::c));
  p.set_result(sum);
  return p;
}

double exact_dot(const MacSpec& mac, std::span<const double> x, std::span<const double> y, double c,
                 Draw draw) {
  const ExponentRange range = ExponentRange::wide();
  std::deque<Number> terms = products(mac, x, y);
  mpfr_set_d(terms.emplace_back(53).get(), c, MPFR_RNDN);
  std::vector<mpfr_ptr> pointers;
  for (Number& term : terms) pointers.push_back(term.get());
  Number r(working_precision);
  round_to_odd(r, mpfr_sum(r.get(), pointers.data(), pointers.size(), MPFR_RNDZ));
  if (!mac.via && mac.rounding == Rounding::rtn &&
      mpfr_zero_p(r.get()) != 0)  // the sign of an exact zero
    mpfr_sum(r.get(), pointers.data(), pointers.size(), MPFR_RNDD);
  if (!mac.via) return to_format(r, mac.format, mac.rounding, draw);
  return mpfr::round(to_format(r, *mac.via, Rounding::rne), mac.format, mac.rounding, draw);
}

double multiterm_step(const MacSpec& mac, int fraction_bits, std::span<const double> x,
                      std::span<const double> y, double c, Draw draw,
                      std::optional<int> least_exponent) {
  const ExponentRange range = ExponentRange::wide();
  const std::deque<Number> terms = products(mac, x, y);
  if (const std::optional<double> sum = special_sum(terms, c))
    return mpfr::round(*sum, mac.format, mac.rounding, draw);
  long largest = std::numeric_limits<int>::min();
  if (c != 0.0) largest = exponent(c, mac.format);
  for (std::size_t k = 0; k < terms.size(); ++k) {
    if (mpfr_zero_p(terms[k].get()) != 0) continue;
    largest = std::max(largest, exponent(to_operands(mac, x[k]), mac.operands) +
                                    exponent(to_operands(mac, y[k]), mac.operands));
  }
  if (least_exponent && largest < *least_exponent) largest = *least_exponent;
  Integer sum;
  const long scale = largest - fraction_bits;
  if (c != 0.0) add_truncated(sum, Number::exactly(c), -scale);
  for (const Number& term : terms)
    if (mpfr_zero_p(term.get()) == 0) add_truncated(sum, term, -scale);
  return round_as_engine(sum, scale, mac.format, mac.rounding, draw);
}

double engine_dot(const MacSpec& mac, const EngineStep& step, std::span<const double> x,
                  std::span<const double> y, double c) {
  const MacSpec pass{.operands = mac.operands, .format = step.output, .rounding = step.rounding};
  using Values = std::vector<double>;
  const auto run = [&](const Values& left, const Values& right, double from) {
    return multiterm_step(pass, step.fraction_bits, left, right, from, {}, step.least_exponent);
  };
  double sum = mpfr::round(c, mac.format, Rounding::rne);
  while (!x.empty()) {
    const std::size_t count = std::min(step.products, x.size());
    const Values left(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(count));
    const Values right(y.begin(), y.begin() + static_cast<std::ptrdiff_t>(count));
    x = x.subspan(count), y = y.subspan(count);
    if (step.protocol == EngineProtocol::fused) {
      sum = run(left, right, sum);
    } else if (step.protocol == EngineProtocol::separate) {
      sum = mpfr::add(run(left, right, 0.0), sum, mac.format, Rounding::rne);
    } else {
      Values lefts[2], rights[2];  // of the pairs with even and with odd number
      for (std::size_t k = 0; k < count; ++k)
        lefts[k >> 1 & 1].push_back(left[k]), rights[k >> 1 & 1].push_back(right[k]);
      const double half = run(lefts[0], rights[0], 0.0);
      sum = mpfr::add(run(lefts[1], rights[1], half), sum, mac.format, Rounding::rne);
    }
  }
  return sum;
}

}  // namespace lamp::mpfr
