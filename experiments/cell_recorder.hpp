// What a cell records: the quantities of a result file, and the tap sink that computes their values
// during a pass.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "analysis/metrics.hpp"
#include "core/model/forward.hpp"
#include "core/record/contents.hpp"
#include "experiments/continuation.hpp"
#include "experiments/error_recorder.hpp"

namespace lamp::experiments {

/// What the cells of an experiment record.
struct CellSpec {
  bool selects_scores = false;
  RecordSpec record;
  std::optional<ContinuationConfig> continuation{};
};

/// The quantities of every cell, in the order in which CellRecorder::take gives them.
std::vector<record::Quantity> cell_quantities(const CellSpec& spec, const ModelConfig& model,
                                              std::size_t sequence_length);

/// The quantities recorded once a sequence, of the reference pass.
std::vector<record::Quantity> reference_quantities(const CellSpec& spec, const ModelConfig& model,
                                                   std::size_t sequence_length);

/// What the passes of one sequence are compared with.
struct Reference {
  ReferenceDistribution distribution;
  SiteValuesMap sites;                  // those that the spec keeps
  std::vector<TokenId> continuation{};  // empty without one in the spec
};

std::vector<record::Values> reference_values(const CellSpec& spec, const Reference& reference,
                                             std::span<const TokenId> tokens);

/// Collects the logits of a reference pass, and the sites that the cells are compared at.
class ReferenceRecorder final : public TapSink {
 public:
  ReferenceRecorder(const CellSpec& spec, const ModelConfig& model, std::size_t sequence_length);
  void values(const TapPoint& point, MatrixView<const double> x) override;
  void selected(const TapPoint&, std::span<const std::uint8_t>) override {}
  [[nodiscard]] Reference take(std::span<const TokenId> tokens);

 private:
  Matrix<double> logits_;
  SiteValuesMap sites_;
};

/// Metrics of one pass against the reference, how much each head recomputed, and the errors of the
/// sites in the spec. One per thread; begin() before each pass.
class CellRecorder final : public TapSink {
 public:
  CellRecorder(const CellSpec& spec, const ModelConfig& model)
      : spec_(spec), model_(model), errors_(spec.record, model) {}

  void begin(const Reference& reference, const PrecisionPlan& plan, bool errors);
  void values(const TapPoint& point, MatrixView<const double> x) override;
  [[nodiscard]] bool wants_local(Site site) const override { return errors_.wants_local(site); }
  void local(const TapPoint& point, MatrixView<const double> x,
             MatrixView<const double> reference) override;
  void selected(const TapPoint& point, std::span<const std::uint8_t> marks) override;
  /// Where the spec has a continuation: what this cell generated.
  void continuation(std::vector<TokenId> tokens) { continuation_ = std::move(tokens); }
  /// Values parallel to cell_quantities, of the pass since begin().
  [[nodiscard]] std::vector<record::Values> take();

 private:
  const CellSpec& spec_;
  const ModelConfig& model_;
  const Reference* reference_ = nullptr;
  PositionMetrics metrics_;
  MetricsScratch scratch_{};
  std::vector<std::uint64_t> recomputed_;  // (layer, head)
  std::vector<TokenId> continuation_;
  ErrorRecorder errors_;
};

}  // namespace lamp::experiments
