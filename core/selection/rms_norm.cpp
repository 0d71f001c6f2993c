// The target of RMSNorm without its gain, z = y / r, r = sqrt(mean(y^2) + eps). With R = sum y^2 +
// n eps: J_ij = (delta_ij - y_i y_j / R) / r, so that K_ij is b_j for i != j, b_j = |y_j| w_j / R,
// and b_j + a_j for i = j, a_j = w_j / |y_j| - 2 b_j: softmax's form.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/selection/rms_norm.cpp"
#include <hwy/foreach_target.h>  // compiles the rest of this file once for each target

#include <algorithm>
#include <array>

#include "core/base/contract.hpp"
#include "core/selection/eight_rows.hpp"
#include "core/selection/keys-inl.hpp"
#include "core/selection/target.hpp"

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

/// A row where y_j = 0: its error is absolute, and no error of z_j = 0 is small.
HWY_INLINE std::int64_t surplus_of_zero(double w) {
  return w > 0.0 ? clamped_floor(clamped_to) : RowCosts::nothing;
}

/// What all components of a row share.
struct RowOfRms {
  double sum, magnitudes;  // R, and the sum of |y_j|
};

/// c_j of normwise-1, a = |y|.
template <class R>
HWY_INLINE R cost_of_rms(const RowOfRms& row, R y, R a, R w) {
  const R sum(row.sum), magnitudes(row.magnitudes);
  return w * ((R(1.0) - y * y / sum) + a * (magnitudes - a) / sum) / magnitudes;
}

/// Fills the keys of normwise-1.
void normwise_keys_of_rms(const RowOfRms& row, ErrorWeights weights, std::span<const double> y,
                          std::span<const double> given, std::uint64_t* keys, RowCosts& costs) {
  costs.diagonal = 0, costs.surplus = Surplus::zero;
  std::size_t j = 0;
#if LAMP_HAS_VECTOR
  const D64 d;
  KeySum sum;
  auto good = hn::Eq(hn::Zero(d), hn::Zero(d));
  for (; j + hn::Lanes(d) <= y.size(); j += hn::Lanes(d)) {
    const auto x = hn::LoadU(d, y.data() + j);
    const Vector c = cost_of_rms(row, Vector(x), Vector(hn::Abs(x)), weights_at(weights, given, j));
    const Integers key = clamped_key(c);
    hn::StoreU(hn::BitCast(U64(), key), U64(), keys + j);
    sum.add(key);
    good = hn::And(good, hn::Eq(c.v, c.v));
  }
  costs.sum = sum.total(), costs.refused = !hn::AllTrue(d, good);
#endif
  for (; j < y.size(); ++j) {
    const double c = cost_of_rms(row, y[j], std::fabs(y[j]), weight_at(weights, given, j));
    costs.refused = costs.refused || std::isnan(c);
    keys[j] = clamped_key(c);
    costs.sum += keys[j];
  }
}

/// Fills keys and surpluses of the componentwise norm.
void keys_of_rms(const RowOfRms& row, ErrorWeights weights, std::span<const double> y,
                 std::span<const double> given, std::uint64_t* keys, std::int64_t* diagonal,
                 RowCosts& costs) {
  std::size_t j = 0;
#if LAMP_HAS_VECTOR
  const D64 d;
  const I64 integers;
  const auto zero = hn::Zero(d);
  const auto of_zero = hn::Set(integers, surplus_of_zero(1.0)),
             nothing = hn::Set(integers, RowCosts::nothing);
  KeySum sum;
  auto good = hn::Eq(zero, zero);
  auto largest = nothing;
  for (; j + hn::Lanes(d) <= y.size(); j += hn::Lanes(d)) {
    const Vector w = weights_at(weights, given, j), magnitude = hn::Abs(hn::LoadU(d, y.data() + j));
    const Vector b = magnitude * w / Vector(row.sum), a = w / magnitude - Vector(2.0) * b;
    const auto is_zero = hn::Eq(magnitude.v, zero);
    const Integers key = clamped_key(b);
    const Integers surplus = hn::IfThenElse(
        hn::RebindMask(integers, is_zero),
        hn::IfThenElse(hn::RebindMask(integers, hn::Gt(w.v, zero)), of_zero, nothing),
        clamped_floor(a));
    hn::StoreU(hn::BitCast(U64(), key), U64(), keys + j);
    hn::StoreU(surplus, integers, diagonal + j);
    sum.add(key);
    largest = hn::Max(largest, surplus);
    good = hn::And(hn::And(good, hn::Eq(b.v, b.v)), hn::Or(is_zero, hn::Eq(a.v, a.v)));
  }
  costs.sum = sum.total(), costs.refused = !hn::AllTrue(d, good);
  costs.diagonal = hn::GetLane(hn::MaxOfLanes(integers, largest));
#endif
  for (; j < y.size(); ++j) {
    const double w = weight_at(weights, given, j), magnitude = std::fabs(y[j]);
    const double b = magnitude * w / row.sum, a = w / magnitude - 2.0 * b;
    const bool zero_here = magnitude == 0.0;
    costs.refused = costs.refused || std::isnan(b) || (!zero_here && std::isnan(a));
    keys[j] = clamped_key(b);
    diagonal[j] = zero_here ? surplus_of_zero(w) : clamped_floor(a);
    costs.sum += keys[j];
    costs.diagonal = std::max(costs.diagonal, diagonal[j]);
  }
}

/// Sums of some rows, in turns.
template <std::size_t count>
void sums_of(const std::array<const double*, count>& y, std::size_t n, RowSums* sums) {
  std::array<double, count> squares{}, magnitudes{};
  for (std::size_t j = 0; j < n; ++j) {
#pragma GCC unroll 1
    for (std::size_t r = 0; r < count; ++r) {  // in a loop: numbers apart make slow vectors
      const double x = y[r][j];
      squares[r] = mul_add(x, x, squares[r]);
      magnitudes[r] += std::fabs(x);
    }
  }
  for (std::size_t r = 0; r < count; ++r)
    sums[r] = {.squares = squares[r], .magnitudes = magnitudes[r]};
}

RowSums sums_of_row(std::span<const double> y) {
  RowSums sums;
  sums_of<1>({y.data()}, y.size(), &sums);
  return sums;
}

void sums_of_eight(const EightRows& y, std::size_t n, RowSums* sums) { sums_of<8>(y, n, sums); }

RowCosts costs_of_rms(const SelectionSpec& spec, const SelectionRow& row,
                      SelectionScratch& scratch) {
  const std::span<const double> y = row.y, given = given_weights(spec.weights, row);
  const RowSums sums = row.sums ? *row.sums : sums_of_row(y);
  const RowOfRms shared{sums.squares + static_cast<double>(y.size()) * row.eps, sums.magnitudes};
  RowCosts costs;
  if (spec.norm == Norm::normwise1) {
    normwise_keys_of_rms(shared, spec.weights, y, given, scratch.keys.data(), costs);
    return costs;
  }
  keys_of_rms(shared, spec.weights, y, given, scratch.keys.data(), scratch.diagonal.data(), costs);
  costs.counts = y;
  return costs;
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {

HWY_EXPORT(costs_of_rms);
HWY_EXPORT(sums_of_eight);

void sum_rows(std::span<SelectionRow> rows) {
  sum_in_turns(rows, [](const EightRows& y, std::size_t n, RowSums* sums) {
    HWY_DYNAMIC_DISPATCH(sums_of_eight)(y, n, sums);
  });
}

RowCosts rms_norm_costs(const SelectionSpec& spec, const SelectionRow& row,
                        SelectionScratch& scratch) {
  const std::size_t n = row.size();
  expects(row.y.size() == n && (spec.weights == ErrorWeights::absolute ||
                                given_weights(spec.weights, row).size() == n),
          "rms_norm_costs: one y and w for every component");
  scratch.keys.resize(n), scratch.diagonal.resize(n);
  return HWY_DYNAMIC_DISPATCH(costs_of_rms)(spec, row, scratch);
}

}  // namespace lamp
#endif  // HWY_ONCE
