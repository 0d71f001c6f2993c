// What a cell records: the quantities of a result file, and the tap sink that computes their values during a pass.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "analysis/metrics.hpp"
#include "core/model/forward.hpp"
#include "core/record/contents.hpp"

namespace lamp::experiments {

/// The quantities of every cell, in the order in which CellRecorder::values gives them.
std::vector<record::Quantity> cell_quantities(const ModelConfig& model, std::size_t sequence_length, bool selects_scores);

/// The quantities recorded once a sequence, of the reference pass.
std::vector<record::Quantity> reference_quantities(std::size_t sequence_length);
std::vector<record::Values> reference_values(const ReferenceDistribution& reference, std::span<const TokenId> tokens);

/// Collects the logits of a reference pass.
class ReferenceRecorder final : public TapSink {
 public:
  ReferenceRecorder(std::size_t sequence_length, std::size_t vocab_size) : logits_(sequence_length, vocab_size) {}
  void values(const TapPoint& point, MatrixView<const double> x) override;
  void selected(const TapPoint&, std::span<const std::uint8_t>) override {}
  [[nodiscard]] Matrix<double> take_logits() { return std::move(logits_); }

 private:
  Matrix<double> logits_;
};

/// Metrics of one pass against the reference, and how much each head recomputed. One per thread; begin() before each pass.
class CellRecorder final : public TapSink {
 public:
  CellRecorder(const ModelConfig& model, bool selects_scores) : model_(model), selects_scores_(selects_scores) {}

  void begin(const ReferenceDistribution& reference);
  void values(const TapPoint& point, MatrixView<const double> x) override;
  void selected(const TapPoint& point, std::span<const std::uint8_t> marks) override;
  /// Values parallel to cell_quantities, of the pass since begin().
  [[nodiscard]] std::vector<record::Values> take();

 private:
  const ModelConfig& model_;
  bool selects_scores_;
  const ReferenceDistribution* reference_ = nullptr;
  PositionMetrics metrics_;
  MetricsScratch scratch_{};
  std::vector<std::uint64_t> recomputed_;  // (layer, head)
};

}  // namespace lamp::experiments
