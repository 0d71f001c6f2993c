#include "core/mpfr/selection.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "core/base/contract.hpp"
#include "core/fp/format.hpp"
#include "core/mpfr/kappa.hpp"
#include "core/mpfr/operations.hpp"

namespace lamp::mpfr {
namespace {

__extension__ using Wide = __int128;
using Marks = std::vector<std::uint8_t>;
using Numbers = std::vector<double>;

constexpr double infinity = std::numeric_limits<double>::infinity();

/// One operation of binary64 each.
struct Value {
  double x;
  Value(double value) : x(value) {}
  friend Value operator+(Value a, Value b) { return mpfr::add(a.x, b.x, binary64); }
  friend Value operator-(Value a, Value b) { return mpfr::sub(a.x, b.x, binary64); }
  friend Value operator*(Value a, Value b) { return mpfr::mul(a.x, b.x, binary64); }
  friend Value operator/(Value a, Value b) { return mpfr::div(a.x, b.x, binary64); }
  friend Value abs(Value a) { return std::fabs(a.x); }
};

Value sum_of_products(const Numbers& a, const Numbers& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum = mpfr::fma(a[i], b[i], sum, binary64);
  return sum;
}

Value norm1(const Numbers& a) {
  Numbers magnitudes;
  for (const double x : a) magnitudes.push_back(std::fabs(x));
  return sum_of_products(magnitudes, Numbers(a.size(), 1.0));
}

Wide floor_40(double x) { return static_cast<Wide>(std::floor(std::ldexp(x, 40))); }

/// A row as costs[i][j], what component j costs row i where it is left out; a row that counts only
/// where i itself is left out has counts_in_s = 0, one that never does is not there.
struct Table {
  struct Line {
    std::vector<Wide> costs;
    std::size_t own = 0;  // the component that the row is of
    bool counts_in_s = true;
  };
  std::vector<Line> lines;
  std::vector<Wide> keys;       // greedy's order
  std::vector<Wide> surpluses;  // the thresholds of `exact`; empty: a sum, greedy is exact
  bool largest = false;         // the cost is the largest key left out
  bool refused = false;
  std::optional<Wide> from_one{};  // of softmax, absolute: B = max(0, 2^40 - sum of keys in S)
  bool masked = false;             // masked rows cost B + 2^40

  /// An integer of x, clamped; NaN refuses.
  Wide number(Value value) {
    refused = refused || std::isnan(value.x);
    return refused ? 0 : floor_40(std::clamp(value.x, -0x1p22, 0x1p22));
  }
  Wide key(Value value) { return std::max(number(value), Wide{0}); }

  [[nodiscard]] Wide cost(const Marks& s) const {
    const bool all = std::find(s.begin(), s.end(), 0) == s.end();
    Wide left = 0, kept = 0, worst = 0, most = 0;
    for (std::size_t j = 0; j < s.size(); ++j) {
      (s[j] != 0 ? kept : left) += keys[j];
      if (s[j] == 0) most = std::max(most, keys[j]);
    }
    if (largest) return most;
    if (from_one) left = std::max(Wide{0}, *from_one - kept);
    if (masked) return left + floor_40(1.0);
    if (all) return 0;
    if (lines.empty()) return surpluses.empty() ? left : 0;
    bool first = true;
    for (const Line& line : lines) {
      if (s[line.own] != 0 && !line.counts_in_s) continue;
      Wide here = 0;
      if (line.costs.empty()) {  // B, and for i not in S also a_i
        here = left + (s[line.own] != 0 ? Wide{0} : surpluses[line.own]);
      } else {
        for (std::size_t j = 0; j < s.size(); ++j) here += s[j] != 0 ? Wide{0} : line.costs[j];
      }
      worst = first ? here : std::max(worst, here);
      first = false;
    }
    return worst;
  }
};

Numbers weights_of(const SelectionSpec& spec, const SelectionRow& row) {
  const std::size_t n = row.size();
  Numbers w(n, 1.0);
  for (std::size_t j = 0; j < n; ++j) {
    if (spec.weights == ErrorWeights::relative)
      w[j] = std::fabs(row.g.empty() ? row.y[j] : row.g[j]);
    if (spec.weights == ErrorWeights::dot) w[j] = row.w[j];
  }
  return w;
}

Table softmax(const SelectionSpec& spec, const SelectionRow& row) {
  Table table;
  const Numbers w = weights_of(spec, row);
  const std::size_t n = row.size();
  const bool normwise = spec.norm == Norm::normwise1;
  for (std::size_t j = 0; j < n; ++j) {
    const Value z = row.z[j];
    const Value b = normwise ? Value(2.0) * z * (Value(1.0) - z) * w[j] : z * w[j];
    const Value a = normwise ? Value(0.0) : (Value(1.0) - Value(2.0) * z) * w[j];
    for (const Value& value : {z, a, b})
      table.refused = table.refused || !(std::fabs(value.x) < 0x1p22);
    table.refused = table.refused || z.x < 0.0 || b.x < 0.0;
    table.keys.push_back(table.number(b));
    if (!normwise) table.surpluses.push_back(table.number(a));
    if (!normwise) table.lines.push_back({{}, j});
  }
  if (!normwise && spec.weights == ErrorWeights::absolute) table.from_one = floor_40(1.0);
  table.masked = !normwise && spec.mask == Mask::as_zero && row.row_length > n;
  if (n == 1 && !table.masked)
    table.keys = {0}, table.lines.clear(), table.surpluses.clear(), table.from_one.reset();
  return table;
}

Table rms_norm(const SelectionSpec& spec, const SelectionRow& row) {
  Table table;
  const Numbers w = weights_of(spec, row), y(row.y.begin(), row.y.end());
  const std::size_t n = y.size();
  const Value sum = sum_of_products(y, y) + Value(static_cast<double>(n)) * row.eps;
  const Value norm = norm1(y);
  for (std::size_t j = 0; j < n; ++j) {
    const Value v = y[j], magnitude = abs(v), weight = w[j];
    if (spec.norm == Norm::normwise1) {
      const Value c =
          weight * ((Value(1.0) - v * v / sum) + magnitude * (norm - magnitude) / sum) / norm;
      table.keys.push_back(table.key(c));
      continue;
    }
    const Value b = magnitude * weight / sum;
    table.keys.push_back(table.key(b));
    const bool zero = y[j] == 0.0;
    if (!zero) {
      table.surpluses.push_back(table.number(weight / magnitude - Value(2.0) * b));
    } else {
      table.surpluses.push_back(floor_40(0x1p22));
      if (!(w[j] > 0.0)) table.surpluses.back() = -floor_40(0x1p22);
    }
    if (!zero || w[j] > 0.0) table.lines.push_back({{}, j, !zero});
  }
  return table;
}

Table layer_norm(const SelectionSpec& spec, const SelectionRow& row) {
  Table table;
  const Numbers w = weights_of(spec, row), y(row.y.begin(), row.y.end());
  const std::size_t n = y.size();
  const Value count = static_cast<double>(n);
  const Value mean = sum_of_products(y, Numbers(n, 1.0)) / count;
  Numbers c, u;
  for (const double x : y) c.push_back((Value(x) - mean).x);
  const Value s = mpfr::sqrt((sum_of_products(c, c) / count + row.eps).x, binary64);
  for (const double x : c) u.push_back((Value(x) / s).x);
  if (spec.norm == Norm::normwise1) {
    const Value norm = norm1(u);
    Numbers sorted = u;
    table.refused = std::any_of(u.begin(), u.end(), [](double x) { return std::isnan(x); });
    if (!table.refused) std::sort(sorted.begin(), sorted.end());
    for (std::size_t j = 0; j < n; ++j) {
      const Value v = u[j];
      // The terms 1 + u_i u_j of the one sign come first in the sorted u_i, the others after them.
      const bool rises = !(u[j] < 0.0);
      std::size_t k = 0;
      while (k < n && ((Value(sorted[k]) * v).x < -1.0) == rises) ++k;
      const Value front = sum_of_products(
                      Numbers(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(k)),
                      Numbers(k, 1.0)),
                  all = sum_of_products(sorted, Numbers(n, 1.0));
      const Value in_front = static_cast<double>(2 * k);
      const Value total = rises ? (count - in_front) + v * (all - Value(2.0) * front)
                                : (in_front - count) + v * (Value(2.0) * front - all);
      const Value square = v * v;
      table.keys.push_back(table.key(
          Value(w[j]) * (total - abs(Value(1.0) + square) + abs(count - Value(1.0) - square)) /
          (count * s * norm)));
    }
    return table;
  }
  const auto jacobian = [&](std::size_t i, std::size_t j) {
    const Value delta = i == j ? 1.0 : 0.0;
    return (delta - Value(1.0) / count) / s - Value(c[i]) * c[j] / (count * (s * s * s));
  };
  for (std::size_t j = 0; j < n; ++j) {
    Value sum = 0.0;
    for (std::size_t i = 0; i < n; ++i) sum = sum + abs(jacobian(i, j));
    table.keys.push_back(table.key(Value(w[j]) * sum));
  }
  for (std::size_t i = 0; i < n; ++i) {
    if (c[i] == 0.0) continue;
    Table::Line line{{}, i};
    for (std::size_t j = 0; j < n; ++j)
      line.costs.push_back(table.number(abs(jacobian(i, j)) * w[j] / abs(Value(u[i]))));
    table.lines.push_back(line);
  }
  // Where no row counts, nothing costs anything: a table without lines is a sum unless it has
  // surpluses.
  table.surpluses.assign(n, 0);
  return table;
}

Table linear_map(const SelectionSpec& spec, const SelectionRow& row) {
  Table table;
  const Numbers w = weights_of(spec, row);
  for (std::size_t j = 0; j < row.size(); ++j) {
    table.keys.push_back(table.key(Value(w[j]) * row.columns[j] / row.norm1));
    table.refused = table.refused || std::isnan(row.y[j]);
  }
  return table;
}

Table activation(Function phi, const SelectionSpec& spec, const SelectionRow& row) {
  Table table;
  table.largest = true;
  const Numbers w = weights_of(spec, row);
  const bool own = spec.weights == ErrorWeights::relative && row.g.empty();
  for (std::size_t j = 0; j < row.size(); ++j)
    table.keys.push_back(
        table.number(own ? relative_kappa(phi, row.y[j]) : kappa(phi, row.y[j], w[j])));
  return table;
}

Table table_of(std::string_view function, const SelectionSpec& spec, const SelectionRow& row) {
  if (function == "softmax") return softmax(spec, row);
  if (function == "rmsnorm") return rms_norm(spec, row);
  if (function == "layernorm") return layer_norm(spec, row);
  if (function == "linear") return linear_map(spec, row);
  if (function == "gelu_tanh") return activation(Function::gelu_tanh, spec, row);
  if (function == "gelu_erf") return activation(Function::gelu_erf, spec, row);
  if (function == "silu") return activation(Function::silu, spec, row);
  expects(function == "relu", "mpfr::select: a function of the list");
  return activation(Function::relu, spec, row);
}

std::size_t size_of(const Marks& s) {
  return static_cast<std::size_t>(std::count(s.begin(), s.end(), 1));
}

/// The threshold rule of method.md: for each t among the a, ascending, as many as possible are left
/// out; before it, the set of what can be in S only, with no row that counts there.
Marks exact(const Table& table, Wide tau, const std::vector<std::size_t>& order) {
  const std::size_t n = order.size();
  Marks best(n, 0);
  for (const Table::Line& line : table.lines)
    if (!line.counts_in_s) best[line.own] = 1;
  if (table.cost(best) <= tau) return best;
  best.assign(n, 1);
  std::vector<Wide> thresholds = table.surpluses;
  if (table.masked)
    for (Wide& t : thresholds) t = std::max(t, floor_40(1.0));
  std::sort(thresholds.begin(), thresholds.end());
  for (const Wide t : thresholds) {
    Marks s(n, 1);
    for (auto j = order.rbegin(); j != order.rend(); ++j) {
      if (table.surpluses[*j] > t) continue;
      s[*j] = 0;
      Wide left = 0, kept = 0;
      for (std::size_t i = 0; i < n; ++i) (s[i] != 0 ? kept : left) += table.keys[i];
      if (table.from_one) left = std::max(Wide{0}, *table.from_one - kept);
      if (left <= tau - std::max(t, Wide{0})) continue;
      s[*j] = 1;
      break;
    }
    if (size_of(s) < size_of(best)) best = s;
  }
  return best;
}

}  // namespace

Selected select(std::string_view function, const SelectionSpec& spec, const SelectionRow& row) {
  const std::size_t n = row.size();
  if (n == 0) return {};
  const Table table = table_of(function, spec, row);
  if (table.refused) return {Marks(n, 1), infinity};
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t i, std::size_t j) { return table.keys[i] > table.keys[j]; });
  Marks s(n, 0);
  if (spec.rate) {
    const double count = std::ceil(*spec.rate * static_cast<double>(n) - 1e-9);
    for (std::size_t k = 0; k < n && static_cast<double>(k) < count; ++k) s[order[k]] = 1;
    return {s, static_cast<double>(table.cost(s)) / 0x1p40};
  }
  const auto tau = static_cast<Wide>(std::ceil(std::min(std::ldexp(*spec.tau, 40), 0x1p100)));
  if (spec.solver == Solver::exact && !table.surpluses.empty() && !table.lines.empty()) {
    s = exact(table, tau, order);
  } else {
    for (std::size_t k = 0; k < n && table.cost(s) > tau; ++k) s[order[k]] = 1;
  }
  return {s, static_cast<double>(table.cost(s)) / 0x1p40};
}

double cost_of_set(std::string_view function, const SelectionSpec& spec, const SelectionRow& row,
                   const std::vector<std::uint8_t>& marks) {
  if (marks.empty()) return 0.0;
  const Table table = table_of(function, spec, row);
  return table.refused ? infinity : static_cast<double>(table.cost(marks)) / 0x1p40;
}

}  // namespace lamp::mpfr
