// Orders and data for tests of sums: every kind of order, and terms that make a wrong association,
// start or rounding visible.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "core/arith/orders/order_text.hpp"
#include "tests/support/random.hpp"

namespace lamp::test {

inline Order order_of(const std::string& text) { return parse_order(text).value(); }

/// A random tree over terms: nodes of two to four children.
inline std::string random_tree(Random& random, std::size_t n) {
  std::vector<std::string> parts(n);
  for (std::size_t k = 0; k < n; ++k) parts[k] = std::to_string(k);
  for (std::size_t k = n; k > 1; --k)
    std::swap(parts[k - 1], parts[random.below(static_cast<std::uint32_t>(k))]);
  while (parts.size() > 1) {
    const std::size_t children = std::min(parts.size(), std::size_t{2} + random.below(3));
    const std::size_t at = random.below(static_cast<std::uint32_t>(parts.size() - children + 1));
    std::string node = "(" + parts[at];
    for (std::size_t i = 1; i < children; ++i) node.append(" ").append(parts[at + i]);
    parts[at] = node.append(")");
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at + 1),
                parts.begin() + static_cast<std::ptrdiff_t>(at + children));
  }
  return "tree:" + parts.front();
}

/// Every kind of order, for sums of n terms.
inline std::vector<std::string> order_texts(Random& random, std::size_t n) {
  std::vector<std::string> texts{"sequential",
                                 "reverse",
                                 "blocked:1",
                                 "blocked:4",
                                 "blocked:32",
                                 "pairwise:1",
                                 "pairwise:2",
                                 "pairwise:8",
                                 "lanes:1",
                                 "lanes:4",
                                 "lanes:16",
                                 "split:1",
                                 "split:4",
                                 "split:7",
                                 "kahan",
                                 "panels:8,4",
                                 "panels:3,2",
                                 "panels:64,8",
                                 "lane-tree:(0 1 (2 3))",
                                 "lane-tree:(1 (0 2))",
                                 "numpy-sum:8192",
                                 "numpy-sum:20",
                                 "neumaier",
                                 "exact",
                                 "multiterm:4,23",
                                 "multiterm:8,24",
                                 "multiterm:16,25",
                                 "multiterm:1,3",
                                 "multiterm:32,0",
                                 "multiterm:5,5000"};
  if (n > 0) texts.push_back(random_tree(random, n));
  if (n > 0) texts.push_back("fused-" + random_tree(random, n));
  return texts;
}

enum class Terms { ordinary, ties, cancelling, subnormal, huge, all_exponents, zeros, special };
constexpr Terms all_terms[] = {Terms::ordinary,  Terms::ties,   Terms::cancelling,
                               Terms::subnormal, Terms::huge,   Terms::all_exponents,
                               Terms::zeros,     Terms::special};

struct Operands {
  std::vector<double> x, y;
};

inline Operands operands(Random& random, Terms kind, std::size_t n) {
  constexpr double inf = std::numeric_limits<double>::infinity(),
                   nan = std::numeric_limits<double>::quiet_NaN();
  Operands o{std::vector<double>(n), std::vector<double>(n)};
  const auto fill = [&](auto&& draw) {
    for (std::size_t k = 0; k < n; ++k) o.x[k] = draw(), o.y[k] = draw();
  };
  switch (kind) {
    case Terms::ordinary:
      fill([&] { return random.with_exponent(-6, 4, 24); });
      break;
    case Terms::ties:
      fill([&] { return random.with_exponent(-3, 3, random.between(1, 4)); });
      break;
    case Terms::cancelling:  // each term again, negated, somewhere else
      fill([&] { return random.with_exponent(-8, 8, random.between(1, 24)); });
      for (std::size_t k = 0; k + 1 < n; k += 2) {
        const std::size_t other = random.below(static_cast<std::uint32_t>(n));
        o.x[other] = -o.x[k], o.y[other] = o.y[k];
      }
      break;
    case Terms::subnormal:
      fill([&] { return random.with_exponent(-76, -58, random.between(1, 24)); });
      break;
    case Terms::huge:
      fill([&] { return random.with_exponent(58, 65, random.between(1, 24)); });
      break;
    case Terms::all_exponents:
      fill([&] { return random.with_exponent(-1074, 1023, random.between(1, 53)); });
      break;
    case Terms::zeros:
      fill([&] { return random.below(2) == 0 ? 0.0 : random.below(2) == 0 ? -0.0 : -1.0; });
      break;
    case Terms::special: {
      constexpr double values[] = {
          0.0,     -0.0, inf, -inf, nan, 0x1p-149, -0x1p-149, 0x1.fffffep+127, -0x1.fffffep+127,
          0x1p-126};
      const std::uint32_t kinds =
          random.below(3) == 0 ? 10 : 4;  // NaN swallows everything: not always
      fill([&] {
        return random.below(6) != 0 ? random.with_exponent(-4, 4, 8) : values[random.below(kinds)];
      });
      break;
    }
  }
  return o;
}

}  // namespace lamp::test
