// What a ranking may look at of the rows of one head, from the reference pass.
#pragma once

#include <span>
#include <vector>

#include "analysis/truth/predictors.hpp"
#include "core/model/ops/read_values.hpp"

namespace lamp::truth {

class HeadEvidence {
 public:
  /// exact: Background::reference(question). Both outlive this.
  HeadEvidence(const Question& question, const Background& exact, Layer layer, Head head);

  /// The row, its errors and where it draws; the rest of the evidence is for the caller to add.
  /// Rows in ascending order of their queries. Valid until the next.
  Evidence of_row(std::size_t query);
  /// The recomputed scores of a row, query + 1.
  [[nodiscard]] std::span<const double> recomputed(std::size_t query) const {
    return recomputed_.row(query).first(query + 1);
  }

 private:
  const Question& question_;
  const Background& exact_;
  Layer layer_;
  Head head_;
  Site softmax_{};
  Matrix<double> recomputed_, bounds_;
  MatrixView<const double> q_, k_;
  ReadValues values_;
  bool has_values_ = false;
  std::vector<double> z_, error_;
};

}  // namespace lamp::truth
