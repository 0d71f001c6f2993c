#include "analysis/truth/local.hpp"

#include <algorithm>
#include <cmath>

#include "analysis/not_finite.hpp"
#include "core/base/contract.hpp"
#include "core/fp/binary64.hpp"

namespace lamp::truth {
namespace {

bool is_probability(double s) { return s >= LocalRow::smallest_sum && s < positive_infinity; }

double largest_finite(std::span<const double> x, double largest) {
  for (const double value : x)
    if (std::isfinite(value) && value > largest) largest = value;
  return largest;
}

double nan_is_infinite(double error) { return std::isnan(error) ? positive_infinity : error; }

/// o += weight v_j.
void add_row(std::vector<double>& o, double weight, std::span<const double> v) {
  for (std::size_t c = 0; c < o.size(); ++c) o[c] += weight * v[c];
}

double norm2(std::span<const double> x) {
  double squares = 0.0;
  for (const double value : x) squares += value * value;
  return std::sqrt(squares);
}

}  // namespace

LocalRow::LocalRow(std::span<const double> low, std::span<const double> high,
                   MatrixView<const double> v)
    : e_(2 * low.size()), z_(low.size()), v_(v) {
  const std::size_t n = low.size();
  expects(high.size() == n, "LocalRow: as many recomputed scores as low ones");
  expects(v.cols == 0 || v.rows == n, "LocalRow: one row of v a score");
  const double shift = largest_finite(high, largest_finite(low, -positive_infinity));
  for (std::size_t j = 0; j < n; ++j) e_[j] = low[j] - shift, e_[n + j] = high[j] - shift;
  binary64_functions::exp(e_, e_);
  const std::vector<std::uint8_t> all(n, 1);
  sum_ = sum(all);
  regular_ = is_probability(sum_);
  std::vector<double> o(v.cols);
  for (std::size_t j = 0; j < n; ++j) {
    z_[j] = e_[n + j] / sum_;
    if (v.cols > 0) add_row(o, z_[j], v.row(j));
  }
  norm_ = norm2(o);
}

double LocalRow::sum(std::span<const std::uint8_t> selected) const {
  const std::size_t n = size(), half = n / 2;
  double first = 0.0, rest = 0.0;
  for (std::size_t j = 0; j < half; ++j) first += e_[selected[j] != 0 ? n + j : j];
  for (std::size_t j = half; j < n; ++j) rest += e_[selected[j] != 0 ? n + j : j];
  return first + rest;
}

RowErrors LocalRow::errors(std::span<const std::uint8_t> selected) const {
  const std::size_t n = size();
  expects(selected.size() == n, "LocalRow::errors: one mark a score");
  RowErrors errors;
  const double s = sum(selected);
  if (n == 0 || (regular_ && is_probability(s))) {
    const double c = sum_ / s;
    std::vector<double> difference(v_.cols);
    errors = {.rel = 0.0, .l1 = 0.0, .values = 0.0};
    for (std::size_t j = 0; j < n; ++j) {
      const double e = e_[selected[j] != 0 ? n + j : j], dz = e / s - z_[j];
      if (z_[j] > 0.0)
        errors.rel = std::max(errors.rel, std::abs(e / e_[n + j] * c - 1.0));  // no NaN: c > 0
      errors.l1 += std::abs(dz);
      if (v_.cols > 0) add_row(difference, dz, v_.row(j));
    }
    const double norm = norm2(difference);
    errors.values = norm == 0.0 ? 0.0 : nan_is_infinite(norm / norm_);
  }
  if (v_.cols == 0) errors.values = not_a_number;
  return errors;
}

ErrorLists LocalRow::exceptions(bool others_selected) const {
  const std::size_t n = size();
  ErrorLists lists;
  std::vector<std::uint8_t> selected(n, others_selected ? 1 : 0);
  for (std::size_t j = 0; j < n; ++j) {
    selected[j] ^= 1U;
    const RowErrors one = errors(selected);
    lists.rel.push_back(one.rel), lists.l1.push_back(one.l1), lists.values.push_back(one.values);
    selected[j] ^= 1U;
  }
  return lists;
}

ErrorLists LocalRow::one_low() const { return exceptions(true); }
ErrorLists LocalRow::one_high() const { return exceptions(false); }

}  // namespace lamp::truth
