// The target of LayerNorm without gain and bias, u = c / s, c = y - mean(y), s^2 = mean(c^2) + eps:
// J_ij = (delta_ij - 1/n) / s - c_i c_j / (n s^3). It has no form of few numbers a row, so the
// componentwise cost of S is the largest of n sums K_ij = |J_ij| w_j / |u_i| over j not in S; no
// matrix is kept. Normwise-1 is a sum of keys, of which sorted u give all in O(n log n).
#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <vector>

#include "core/base/contract.hpp"
#include "core/selection/eight_rows.hpp"
#include "core/selection/integers.hpp"
#include "core/selection/lamp.hpp"
#include "core/selection/sort.hpp"
#include "core/selection/target.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/selection/layer_norm.cpp"
#include <hwy/foreach_target.h>  // compiles the rest of this file once for each target

#include "core/selection/keys-inl.hpp"

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

/// Where a row's numbers u fall in buckets of (-4, 4), n each: bucket of u, -1/u, and its bucket.
struct Places {
  std::int64_t *own, *of_opposite;
  double* opposite;
};

/// What the keys of normwise-1 are made of, n each: k and P_k of t_j, P_n and n s U.
struct Normwise {
  std::span<const double> u, w, counts, firsts;
  double all = 0.0, divisor = 0.0;
};

}  // namespace layer_norm
}  // namespace lamp
#endif

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

using layer_norm::Columns;
using layer_norm::Normalised;
using layer_norm::Normwise;
using layer_norm::Places;

/// Sums of some rows, in turns.
template <std::size_t count>
void sums_about_mean(const std::array<const double*, count>& y, std::size_t n, RowSums* sums) {
  std::array<double, count> totals{}, means{}, squares{};
  for (std::size_t j = 0; j < n; ++j)
#pragma GCC unroll 1
    for (std::size_t r = 0; r < count; ++r) totals[r] += y[r][j];
  for (std::size_t r = 0; r < count; ++r) means[r] = totals[r] / static_cast<double>(n);
  for (std::size_t j = 0; j < n; ++j)
#pragma GCC unroll 1
    for (std::size_t r = 0; r < count; ++r) {
      const double c = y[r][j] - means[r];
      squares[r] = mul_add(c, c, squares[r]);
    }
  for (std::size_t r = 0; r < count; ++r) sums[r] = {.squares = squares[r], .total = totals[r]};
}

void eight_about_mean(const EightRows& y, std::size_t n, RowSums* sums) {
  sums_about_mean<8>(y, n, sums);
}

void normalise(const SelectionRow& of, Normalised& row) {
  const std::span<const double> y = of.y;
  RowSums sums;
  if (of.sums)
    sums = *of.sums;
  else
    sums_about_mean<1>({y.data()}, y.size(), &sums);
  const auto n = static_cast<double>(y.size());
  const double mean = sums.total / n;
  row.s = square_root(sums.squares / n + of.eps);
  for (std::size_t j = 0; j < y.size(); ++j) {
    row.c[j] = y[j] - mean;
    row.u[j] = row.c[j] / row.s;
  }
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

/// Buckets that divide (-4, 4); the first and the last hold what is beyond. 0 of NaN.
template <class R>
HWY_INLINE R bucket(R u, R last) {
  const R place = (u + R(4.0)) * ((last + R(1.0)) * R(0.125));
  return select(place > R(0.0), select(place < last, place, last), R(0.0));
}
HWY_INLINE double opposite_of(double u) { return -1.0 / (u + 0.0); }  // -0 is as 0

void places_of_row(std::span<const double> u, double last, const Places& places) {
  std::size_t j = 0;
#if LAMP_HAS_VECTOR
  const D64 d;
  const auto put = [&](Vector place, std::int64_t* to)
                       HWY_ATTR { hn::StoreU(hn::ConvertTo(I64(), place.v), I64(), to + j); };
  for (; j + hn::Lanes(d) <= u.size(); j += hn::Lanes(d)) {
    const Vector x = hn::LoadU(d, u.data() + j), opposite = Vector(-1.0) / (x + Vector(0.0));
    hn::StoreU(opposite.v, d, places.opposite + j);
    put(bucket(x, Vector(last)), places.own);
    put(bucket(opposite, Vector(last)), places.of_opposite);
  }
#endif
  for (; j < u.size(); ++j) {
    places.opposite[j] = opposite_of(u[j]);
    places.own[j] = static_cast<std::int64_t>(bucket(u[j], last));
    places.of_opposite[j] = static_cast<std::int64_t>(bucket(places.opposite[j], last));
  }
}

HWY_INLINE double magnitude_of(double x) { return std::fabs(x); }
#if LAMP_HAS_VECTOR
HWY_INLINE Vector magnitude_of(Vector x) { return hn::Abs(x.v); }
#endif

/// c_j.
template <class R>
HWY_INLINE R normwise_cost(const Normwise& row, R u, R w, R k, R first) {
  const R n(static_cast<double>(row.u.size())), all(row.all), two(2.0), one(1.0);
  const R total = select(u < R(0.0), (two * k - n) + u * (two * first - all),
                         (n - two * k) + u * (all - two * first));
  const R square = u * u;
  return w * (total - magnitude_of(one + square) + magnitude_of(n - one - square)) / R(row.divisor);
}

/// Fills the keys of normwise-1.
void normwise_keys(const Normwise& row, std::span<std::uint64_t> keys, RowCosts& costs) {
  const std::size_t n = row.u.size();
  std::size_t j = 0;
#if LAMP_HAS_VECTOR
  const D64 d;
  KeySum sum;
  auto good = hn::Eq(hn::Zero(d), hn::Zero(d));
  const auto at = [&](std::span<const double> x)
                      HWY_ATTR { return Vector(hn::LoadU(d, x.data() + j)); };
  for (; j + hn::Lanes(d) <= n; j += hn::Lanes(d)) {
    const Vector c = normwise_cost(row, at(row.u), at(row.w), at(row.counts), at(row.firsts));
    const Integers key = clamped_key(c);
    hn::StoreU(hn::BitCast(U64(), key), U64(), keys.data() + j);
    sum.add(key);
    good = hn::And(good, hn::Eq(c.v, c.v));
  }
  costs.sum = sum.total(), costs.refused = !hn::AllTrue(d, good);
#endif
  for (; j < n; ++j) {
    const double c = normwise_cost(row, row.u[j], row.w[j], row.counts[j], row.firsts[j]);
    costs.refused = costs.refused || std::isnan(c);
    keys[j] = clamped_key(c);
    costs.sum += keys[j];
  }
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {
namespace {

HWY_EXPORT(normalise);
HWY_EXPORT(eight_about_mean);
HWY_EXPORT(column_sums);
HWY_EXPORT(sum_of_row);
HWY_EXPORT(places_of_row);
HWY_EXPORT(normwise_keys);

using layer_norm::Columns;
using layer_norm::Normalised;
using layer_norm::Places;

/// The numbers u of a row in ascending order, the sums P_k of the first k, and where a number falls
/// among them: by buckets of equal width, most of which hold few, since the mean square is 1.
class SortedRow {
 public:
  SortedRow(std::span<const double> u, SelectionScratch& scratch) : u_(u) {
    const std::size_t n = u.size();
    scratch.places.resize(4 * n + 1), scratch.reals.resize(3 * n + 3);
    std::int64_t* starts = scratch.places.data();  // how many numbers lie in buckets below
    double* sorted = scratch.reals.data() + 1;     // with an infinity at both ends
    double* sums = sorted + n + 1;
    places_ = {starts + 2 * n + 1, starts + 3 * n + 1, sums + n + 1};
    starts_ = starts, sorted_ = sorted, sums_ = sums;

    HWY_DYNAMIC_DISPATCH(places_of_row)(u, static_cast<double>(2 * n - 1), places_);
    std::fill_n(starts, 2 * n + 1, 0);
    for (std::size_t j = 0; j < n; ++j) {
      norm1_ += std::fabs(u[j]);
      ++starts[places_.own[j] + 1];
    }
    if (!std::isfinite(norm1_)) return;
    constexpr double infinity = std::numeric_limits<double>::infinity();
    sorted[-1] = -infinity, sorted[n] = infinity;
    std::ranges::copy(u, sorted);
    sort_ascending({sorted, n});
    double sum = sums[0] = 0.0;
    std::int64_t start = 0;
    for (std::size_t k = 0; k < n; ++k) {
      sums[k + 1] = sum += sorted[k];
      starts[2 * k + 1] = start += starts[2 * k + 1];
      starts[2 * k + 2] = start += starts[2 * k + 2];
    }
  }

  [[nodiscard]] double norm1() const { return norm1_; }  // of the row, its index ascending

  /// P_k. Pre: norm1() is finite.
  [[nodiscard]] double sum(std::int64_t k) const { return sums_[k]; }
  [[nodiscard]] double sum() const { return sums_[u_.size()]; }

  /// k: how many of the values x, from the lowest on, have another sign of 1 + x u_j than the
  /// others above: x u < -1 for u >= 0, not x u < -1 for u < 0. Pre: norm1() is finite.
  [[nodiscard]] std::int64_t change_of_sign(std::size_t j) const {
    const double u = u_[j], opposite = places_.opposite[j];
    std::int64_t k = starts_[places_.of_opposite[j]];
    for (int step = 0; step < 4; ++step)  // no branch, since none would be foreseen
      k += sorted_[k] < opposite ? 1 : 0;
    const auto before = [u](double x) { return (x * u < -1.0) != (u < 0.0); };  // of infinity: no
    while (before(sorted_[k])) ++k;
    while (static_cast<int>(k != 0) & static_cast<int>(!before(sorted_[k - 1])))
      --k;  // -1/u was rounded
    return k;
  }

 private:
  std::span<const double> u_;
  Places places_{};
  const std::int64_t* starts_;
  const double *sorted_, *sums_;
  double norm1_ = 0.0;
};

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
    HWY_DYNAMIC_DISPATCH(normalise)(row, values_);
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
    RowCosts costs{.diagonal = 0, .surplus = Surplus::zero};
    const SortedRow sorted(values_.u, scratch_);
    if (!std::isfinite(sorted.norm1())) {  // a NaN, or s = 0
      costs.refused = true;
      return costs;
    }
    const std::span<double> counts = std::span(scratch_.terms).subspan(2 * n_, n_),
                            firsts = std::span(scratch_.terms).subspan(3 * n_, n_);
    for (std::size_t j = 0; j < n_; ++j) {
      const std::int64_t k = sorted.change_of_sign(j);
      counts[j] = static_cast<double>(k), firsts[j] = sorted.sum(k);
    }
    HWY_DYNAMIC_DISPATCH(normwise_keys)
    ({values_.u, scratch_.weights, counts, firsts, sorted.sum(),
      static_cast<double>(n_) * values_.s * sorted.norm1()},
     scratch_.keys, costs);
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

void sum_rows_about_mean(std::span<SelectionRow> rows) {
  sum_in_turns(rows, [](const EightRows& y, std::size_t n, RowSums* sums) {
    HWY_DYNAMIC_DISPATCH(eight_about_mean)(y, n, sums);
  });
}

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
