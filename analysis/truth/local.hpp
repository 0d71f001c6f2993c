// Local truth of one row of scores (method.md section 7): what softmax, and softmax times values,
// make of a row of which a set S is recomputed and the rest is low, by evaluation.
//
// The sequence of operations is part of the definition, so that any way to compute it gives the
// same bits. All of it is binary64, RNE, one rounding an operation, nothing fused; exp is that of
// core/fp/binary64.hpp; every sum starts at +0 and goes by ascending index.
//
//   M       the largest finite score of both rows
//   e_j     exp(y_j - M), y_j recomputed for j in S, else low; e_ref,j always recomputed
//   s       (sum of e_j, j < floor(n/2)) + (sum of e_j, the rest)
//   z_j     e_j / s;  z_ref,j = e_ref,j / s_ref
//   rel     max over j with z_ref,j > 0 of abs(r_j c - 1), r_j = e_j / e_ref,j, c = s_ref / s
//   l1      sum of abs(dz_j), dz_j = z_j - z_ref,j
//   values  norm2(do) / norm2(o), do = sum of dz_j v_j, o = sum of z_ref,j v_j; 0 where do is 0
//
// A row is a probability only where 2^-1000 <= s < inf; elsewhere (a NaN, +inf, scores that all lie
// 693 below M) every error is infinite, and so it is where it would be NaN. A row without
// components has the errors 0. S = everything has the errors 0 where the reference is a
// probability.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "core/base/matrix.hpp"

namespace lamp::truth {

/// Errors of a mixed row against the row that is recomputed whole; `values` is NaN where the row
/// has no v.
struct RowErrors {
  double rel = std::numeric_limits<double>::infinity(), l1 = rel, values = rel;
};

/// The same for n sets.
struct ErrorLists {
  std::vector<double> rel, l1, values;
};

/// What all sets of one row have in common.
class LocalRow {
 public:
  /// low, high: n scores each, masked entries left out. v: (n, d), contiguous rows that outlive
  /// this; or nothing.
  LocalRow(std::span<const double> low, std::span<const double> high,
           MatrixView<const double> v = {});

  /// Smallest s that is a probability's.
  static constexpr double smallest_sum = 0x1p-1000;

  [[nodiscard]] std::size_t size() const { return z_.size(); }
  /// Whether the recomputed row is a probability; if not, the errors of every set are infinite.
  [[nodiscard]] bool regular() const { return regular_; }
  [[nodiscard]] std::span<const double> e_low() const { return {e_.data(), size()}; }
  [[nodiscard]] std::span<const double> e_reference() const { return {e_.data() + size(), size()}; }
  [[nodiscard]] std::span<const double> z_reference() const { return z_; }
  [[nodiscard]] double sum_reference() const { return sum_; }

  /// selected: n bytes, not 0 where j is in S. O(n d).
  [[nodiscard]] RowErrors errors(std::span<const std::uint8_t> selected) const;
  /// Entry j: the errors with only j low, or only j recomputed. O(n^2 d).
  [[nodiscard]] ErrorLists one_low() const;
  [[nodiscard]] ErrorLists one_high() const;

 private:
  [[nodiscard]] double sum(std::span<const std::uint8_t> selected) const;
  [[nodiscard]] ErrorLists exceptions(bool others_selected) const;

  std::vector<double> e_;  // of the low row, then of the recomputed one
  std::vector<double> z_;
  double sum_ = 0.0, norm_ = 0.0;  // s_ref, norm2(o)
  bool regular_ = false;
  MatrixView<const double> v_;
};

}  // namespace lamp::truth
