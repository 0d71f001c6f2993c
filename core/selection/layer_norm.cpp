// The target of LayerNorm without gain and bias, u = c / s, c = y - mean(y), s^2 = mean(c^2) + eps:
// J_ij = (delta_ij - 1/n) / s - c_i c_j / (n s^3). It has no form of few numbers a row, so the
// componentwise cost of S is the largest of n sums K_ij = |J_ij| w_j / |u_i| over j not in S; no
// matrix is kept. Normwise-1 is a sum of keys, of which sorted u give all in O(n log n).
#include <algorithm>
#include <limits>
#include <numeric>

#include "core/base/contract.hpp"
#include "core/selection/integers.hpp"
#include "core/selection/lamp.hpp"
#include "core/selection/target.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/selection/layer_norm.cpp"
#include <hwy/foreach_target.h>  // compiles the rest of this file once for each target

#include "core/fp/vector-inl.hpp"

#ifndef LAMP_SELECTION_LAYER_NORM_ONCE
#define LAMP_SELECTION_LAYER_NORM_ONCE
namespace lamp {
namespace layer_norm {

/// What J is made of; c and u: n each.
struct Normalised {
  std::span<double> c, u;
  double s = 0.0, on = 0.0, off = 0.0, cubed = 0.0;  // (1 - 1/n)/s, (0 - 1/n)/s, n s^3
};

/// Some components: their c and w.
struct Columns {
  std::span<const double> c, w;
};

}  // namespace layer_norm
}  // namespace lamp
#endif

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

using layer_norm::Columns;
using layer_norm::Normalised;

void normalise(std::span<const double> y, double eps, Normalised& row) {
  const auto n = static_cast<double>(y.size());
  double sum = 0.0, squares = 0.0;
  for (const double x : y) sum += x;
  const double mean = sum / n;
  for (std::size_t j = 0; j < y.size(); ++j) {
    row.c[j] = y[j] - mean;
    squares = mul_add(row.c[j], row.c[j], squares);
  }
  row.s = square_root(squares / n + eps);
  for (std::size_t j = 0; j < y.size(); ++j) row.u[j] = row.c[j] / row.s;
  row.on = (1.0 - 1.0 / n) / row.s, row.off = (0.0 - 1.0 / n) / row.s;
  row.cubed = n * (row.s * row.s * row.s);
}

/// sums[j] = sum_i |J_ij|, i ascending: J is symmetric, bit for bit.
void column_sums(const Normalised& row, std::span<double> sums) {
  const std::size_t n = row.c.size();
  std::size_t j = 0;
#if LAMP_HAS_VECTOR
  const D64 d;
  const std::size_t lanes = hn::Lanes(d);
  const auto cubed = hn::Set(d, row.cubed), on = hn::Set(d, row.on), off = hn::Set(d, row.off);
  for (; j + lanes <= n; j += lanes) {
    const auto c = hn::LoadU(d, row.c.data() + j);
    const auto indices = hn::Iota(d, static_cast<double>(j));
    auto sum = hn::Zero(d);
    for (std::size_t i = 0; i < n; ++i) {
      const auto product = hn::Div(hn::Mul(hn::Set(d, row.c[i]), c), cubed);
      const auto diagonal = hn::Eq(indices, hn::Set(d, static_cast<double>(i)));
      sum = hn::Add(sum, hn::Abs(hn::Sub(hn::IfThenElse(diagonal, on, off), product)));
    }
    hn::StoreU(sum, d, sums.data() + j);
  }
#endif
  for (; j < n; ++j) {
    double sum = 0.0;
    for (std::size_t i = 0; i < n; ++i)
      sum += std::fabs((i == j ? row.on : row.off) - row.c[i] * row.c[j] / row.cubed);
    sums[j] = sum;
  }
}

/// The sum of K_ij = |off - c_i c_j / (n s^3)| w_j / |u_i|, clamped and in integers, over the
/// columns; as if all had i != j.
uint128 sum_of_row(const Normalised& row, std::size_t i, const Columns& columns) {
  const std::size_t n = columns.c.size();
  const double ci = row.c[i], magnitude = std::fabs(row.u[i]);
  uint128 total = 0;
  std::size_t p = 0;
#if LAMP_HAS_VECTOR
  const D64 d;
  const hn::RebindToSigned<D64> integers;
  const std::size_t lanes = hn::Lanes(d);
  const auto low_half = hn::Set(integers, std::int64_t{0xffffffff});
  auto low = hn::Zero(integers), high = hn::Zero(integers);
  for (; p + lanes <= n; p += lanes) {
    const auto product =
        hn::Div(hn::Mul(hn::Set(d, ci), hn::LoadU(d, columns.c.data() + p)), hn::Set(d, row.cubed));
    const auto k = hn::Div(
        hn::Mul(hn::Abs(hn::Sub(hn::Set(d, row.off), product)), hn::LoadU(d, columns.w.data() + p)),
        hn::Set(d, magnitude));
    const auto within =
        hn::IfThenElse(hn::Lt(k, hn::Set(d, clamped_to)), k, hn::Set(d, clamped_to));
    const auto key = hn::ConvertTo(integers, hn::Mul(within, hn::Set(d, fixed_point)));
    low = hn::Add(low, hn::And(key, low_half));
    high = hn::Add(high, hn::ShiftRight<32>(key));
  }
  HWY_ALIGN std::int64_t lows[HWY_MAX_BYTES / 8], highs[HWY_MAX_BYTES / 8];
  hn::StoreU(low, integers, lows), hn::StoreU(high, integers, highs);
  for (std::size_t lane = 0; lane < lanes; ++lane)
    total += (static_cast<uint128>(highs[lane]) << 32) + static_cast<uint128>(lows[lane]);
#endif
  for (; p < n; ++p)
    total +=
        clamped_key(std::fabs(row.off - ci * columns.c[p] / row.cubed) * columns.w[p] / magnitude);
  return total;
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {
namespace {

HWY_EXPORT(normalise);
HWY_EXPORT(column_sums);
HWY_EXPORT(sum_of_row);

using layer_norm::Columns;
using layer_norm::Normalised;

/// The row of one call: scratch.terms holds c, u, and room for the columns of a set.
class Row {
 public:
  Row(const SelectionSpec& spec, const SelectionRow& row, SelectionScratch& scratch)
      : n_(row.size()), scratch_(scratch) {
    const std::span<const double> given = given_weights(spec.weights, row);
    expects(row.y.size() == n_ && (spec.weights == ErrorWeights::absolute || given.size() == n_),
            "layer_norm: one y and w for every component");
    scratch.terms.resize(4 * n_), scratch.weights.resize(n_), scratch.keys.resize(n_);
    for (std::size_t j = 0; j < n_; ++j) scratch.weights[j] = weight_at(spec.weights, given, j);
    const std::span<double> terms = scratch.terms;
    values_.c = terms.first(n_), values_.u = terms.subspan(n_, n_);
    HWY_DYNAMIC_DISPATCH(normalise)(row.y, row.eps, values_);
  }

  /// Fills the keys w_j sum_i |J_ij|; false where a number of the row is NaN.
  bool fill_keys() {
    scratch_.reals.resize(n_);
    HWY_DYNAMIC_DISPATCH(column_sums)(values_, scratch_.reals);
    bool good = true, usual = true;
    for (std::size_t j = 0; j < n_; ++j) {
      const double key = scratch_.weights[j] * scratch_.reals[j], u = std::fabs(values_.u[j]);
      good = good && !std::isnan(key);
      // Where these hold, no K_ij is 0/0, inf/inf or 0 inf unless a key is NaN.
      usual = usual && std::isfinite(scratch_.weights[j]) &&
              (values_.c[j] == 0.0 || (u > 0.0 && std::isfinite(u)));
      scratch_.keys[j] = clamped_key(key);
    }
    return good && (usual || no_cost_is_nan());
  }

  /// Fills the keys of normwise-1 and returns their sum.
  RowCosts normwise_costs() {
    const auto n = static_cast<double>(n_);
    RowCosts costs{.diagonal = 0, .surplus = Surplus::zero};
    const std::span<const double> u = values_.u;
    if (std::any_of(u.begin(), u.end(), [](double x) { return std::isnan(x); })) {
      costs.refused = true;
      return costs;
    }
    double norm = 0.0;
    for (const double x : u) norm += std::fabs(x);
    // sorted ascending, and the sums of the first k of them
    const std::span<double> sorted = std::span(scratch_.terms).subspan(2 * n_, n_);
    scratch_.reals.resize(n_ + 1);
    std::copy(u.begin(), u.end(), sorted.begin());
    std::sort(sorted.begin(), sorted.end());
    scratch_.reals[0] = 0.0;
    for (std::size_t k = 0; k < n_; ++k) scratch_.reals[k + 1] = scratch_.reals[k] + sorted[k];
    const double all = scratch_.reals[n_];
    for (std::size_t j = 0; j < n_; ++j) {
      // 1 + u_i u_j changes its sign once along the sorted u_i
      const bool rises = !(u[j] < 0.0);
      const auto front = std::partition_point(sorted.begin(), sorted.end(),
                                              [&](double x) { return (x * u[j] < -1.0) == rises; });
      const auto k = static_cast<double>(front - sorted.begin());
      const double first = scratch_.reals[static_cast<std::size_t>(front - sorted.begin())];
      const double total = rises ? (n - 2.0 * k) + u[j] * (all - 2.0 * first)
                                 : (2.0 * k - n) + u[j] * (2.0 * first - all);
      const double square = u[j] * u[j];
      const double c = scratch_.weights[j] *
                       (total - std::fabs(1.0 + square) + std::fabs(n - 1.0 - square)) /
                       (n * values_.s * norm);
      costs.refused = costs.refused || std::isnan(c);
      scratch_.keys[j] = clamped_key(c);
      costs.sum += scratch_.keys[j];
    }
    return costs;
  }

  /// Length of the shortest prefix of scratch.order whose rest costs at most tau.
  std::size_t shortest_prefix(int128 tau) {
    gather(scratch_.order);
    scratch_.codes.resize(n_);  // where component i is in the order
    for (std::size_t p = 0; p < n_; ++p) scratch_.codes[scratch_.order[p]] = p;
    std::size_t size = 0;
    for (std::size_t i = 0; i < n_; ++i) {
      if (values_.c[i] == 0.0) continue;
      const std::size_t own = scratch_.codes[i];
      int128 sum = sum_from(i, size, own >= size);
      for (; sum > tau; ++size) sum -= static_cast<int128>(cost(i, scratch_.order[size]));
    }
    return size;
  }

  /// The largest cost that the set leaves to a row.
  int128 cost_of(std::span<const std::uint8_t> selected) {
    scratch_.order.clear();
    for (std::uint32_t j = 0; j < n_; ++j)
      if (selected[j] == 0) scratch_.order.push_back(j);
    gather(scratch_.order);
    int128 largest = 0;
    for (std::size_t i = 0; i < n_; ++i)
      if (values_.c[i] != 0.0) largest = std::max(largest, sum_from(i, 0, selected[i] == 0));
    return largest;
  }

 private:
  [[nodiscard]] double entry(std::size_t i, std::size_t j, double constant) const {
    return std::fabs(constant - values_.c[i] * values_.c[j] / values_.cubed) * scratch_.weights[j] /
           std::fabs(values_.u[i]);
  }
  [[nodiscard]] std::uint64_t cost(std::size_t i, std::size_t j) const {
    return clamped_key(entry(i, j, i == j ? values_.on : values_.off));
  }
  [[nodiscard]] bool no_cost_is_nan() const {
    for (std::size_t i = 0; i < n_; ++i)
      for (std::size_t j = 0; j < n_ && values_.c[i] != 0.0; ++j)
        if (std::isnan(entry(i, j, i == j ? values_.on : values_.off))) return false;
    return true;
  }
  /// c and w of the components in this order.
  void gather(std::span<const std::uint32_t> order) {
    const std::span<double> c = std::span(scratch_.terms).subspan(2 * n_, order.size()),
                            w = std::span(scratch_.terms).subspan(3 * n_, order.size());
    for (std::size_t p = 0; p < order.size(); ++p)
      c[p] = values_.c[order[p]], w[p] = scratch_.weights[order[p]];
    columns_ = {c, w};
  }
  /// The sum of K_ij over the gathered columns from `first` on, among which i itself is or not.
  [[nodiscard]] int128 sum_from(std::size_t i, std::size_t first, bool with_own) const {
    const Columns columns{columns_.c.subspan(first), columns_.w.subspan(first)};
    uint128 sum = HWY_DYNAMIC_DISPATCH(sum_of_row)(values_, i, columns);
    if (with_own) sum += cost(i, i) - static_cast<uint128>(clamped_key(entry(i, i, values_.off)));
    return static_cast<int128>(sum);
  }

  std::size_t n_;
  SelectionScratch& scratch_;
  Normalised values_{};
  Columns columns_{};
};

}  // namespace

std::size_t select_layer_norm(const SelectionSpec& spec, const SelectionRow& row,
                              std::span<std::uint8_t> selected, SelectionScratch& scratch) {
  const std::size_t n = row.size();
  Row values(spec, row, scratch);
  if (spec.norm == Norm::normwise1)
    return select_by(values.normwise_costs(), spec, selected, scratch);
  if (!values.fill_keys()) {
    std::fill(selected.begin(), selected.end(), std::uint8_t{1});
    return n;
  }
  if (spec.rate)
    return mark(scratch.keys, cut_of_size(scratch, count_of_rate(*spec.rate, n)), selected);
  scratch.order.resize(n);
  std::iota(scratch.order.begin(), scratch.order.end(), 0U);
  std::sort(scratch.order.begin(), scratch.order.end(), [&](std::uint32_t i, std::uint32_t j) {
    return scratch.keys[i] != scratch.keys[j] ? scratch.keys[i] > scratch.keys[j] : i < j;
  });
  const std::size_t size = values.shortest_prefix(ceil_tau(*spec.tau));
  std::fill(selected.begin(), selected.end(), std::uint8_t{0});
  for (std::size_t p = 0; p < size; ++p) selected[scratch.order[p]] = 1;
  return size;
}

double cost_of_layer_norm(const SelectionSpec& spec, const SelectionRow& row,
                          std::span<const std::uint8_t> selected, SelectionScratch& scratch) {
  Row values(spec, row, scratch);
  if (spec.norm == Norm::normwise1) return cost_by(values.normwise_costs(), selected, scratch);
  if (!values.fill_keys()) return std::numeric_limits<double>::infinity();
  return static_cast<double>(values.cost_of(selected)) / fixed_point;
}

}  // namespace lamp
#endif  // HWY_ONCE
