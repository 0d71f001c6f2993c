// What comes of a changed row: the rest of a network where one row of one head's scores (of a site
// that f follows) takes other values than in a pass that is known. Earlier rows and layers are
// those of the known pass, so only later ones are evaluated: row i of the changed layer, and the
// rows from i on of the layers above. Many changes are evaluated side by side, their rows stacked
// in the same matrix products.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "core/model/buffers.hpp"
#include "core/model/forward.hpp"

namespace lamp {

/// Every value of a pass over a whole sequence of `length` tokens.
class KeptPass final : public TapSink {
 public:
  KeptPass(const ModelConfig& model, std::size_t length);
  void values(const TapPoint& point, MatrixView<const double> x) override;
  void selected(const TapPoint&, std::span<const std::uint8_t>) override {}

  [[nodiscard]] std::size_t length() const { return length_; }
  /// (T, width in all heads); of a causal site (T, T), of one head.
  [[nodiscard]] const Matrix<double>& at(Site site, Layer layer = Layer{},
                                         Head head = Head{}) const {
    return kept_.at(site)[place({.site = site, .layer = layer, .head = head})];
  }
  /// Bytes that it takes.
  static std::size_t bytes(const ModelConfig& model, std::size_t length);

 private:
  [[nodiscard]] std::size_t place(const TapPoint& point) const;
  const ModelConfig& model_;
  std::size_t length_;
  std::map<Site, std::vector<Matrix<double>>> kept_;  // by layer; of a causal site also by head
};

/// In place of row `row` of a head's values: its row + 1 causal entries.
struct ChangedRow {
  Head head{};
  std::size_t row = 0;
  std::span<const double> y;
};

/// The logits of changed passes.
class Suffix {
 public:
  /// The passes are as `base`, which ran under `plan` with `options`, but for one row of the site
  /// `changed`, a causal one that f follows. Pre: the plan selects nothing, or given sets without
  /// shift at `changed` (core/selection/rules/given.hpp); it is not
  /// unlimited(p) and stochastic at causal sites only; no site between `changed` and the end of a
  /// layer reads earlier rows of another one there (a row then changes itself alone in its layer).
  /// added: where there are any, (layer, head) matrices (T, T) that in the layers above a change
  /// are added to the values of `changed`; then `base` is as under a plan with these values added.
  Suffix(const Model& model, const PrecisionPlan& plan, const PassOptions& options,
         const KeptPass& base, Site changed, std::span<const Matrix<double>> added = {});

  /// Is shown logits of change number `change`: rows first_row .. of the sequence. The rows come in
  /// ascending order, those below changes[change].row and those that cannot change are not shown.
  using Show = std::function<void(std::size_t change, std::size_t first_row,
                                  MatrixView<const double> logits)>;
  /// Each change by itself, all in one layer: the bits of forward() with this row in place of its
  /// own. A change in the last layer has logits of its own row only. Throws Stopped as forward()
  /// does.
  void evaluate(Layer layer, std::span<const ChangedRow> changes, const Show& show);

  /// Rows of the stacked matrices that a change takes, at most.
  [[nodiscard]] std::size_t rows_of(Layer layer, std::size_t row) const;

 private:
  /// The rows of one change: those of the sequence from `first` on, in the stack from `offset` on.
  struct Run {
    Head head;
    std::size_t first, rows, offset;
  };

  void change_layer(Layer layer, std::span<const ChangedRow> changes);
  void next_layer(Layer layer);
  void evaluate_site(const SiteRow& row, Layer layer);
  void evaluate_causal(const SiteRow& row, Layer layer, const Run& run, Head head);
  void show_logits(const SiteRow& row, const Show& show);
  [[nodiscard]] MatrixView<const double> stacked_input(const SiteRow& row, std::size_t k,
                                                       Layer layer);
  [[nodiscard]] MatrixView<const double> run_input(const SiteRow& row, std::size_t k, Layer layer,
                                                   const Run& run, Head head);
  void add_to(MatrixView<double> y, const Run& run, const Matrix<double>& added) const;
  void recompute_given(Layer layer, const Run& run, Head head, MatrixView<const double> q,
                       MatrixView<double> y);
  [[nodiscard]] bool is_changed(Site site) const;
  [[nodiscard]] Arithmetic arithmetic_at(const TapPoint& point) const;
  [[nodiscard]] Matrix<double>& buffer(Site site);
  void stack_rows_of_base(const Matrix<double>& from, Matrix<double>& to) const;
  [[nodiscard]] const Matrix<double>& base_stream(std::span<const SiteRow> before,
                                                  Layer layer) const;

  const Model& model_;
  const ModelConfig& config_;
  const PrecisionPlan& plan_;
  const PassOptions& options_;
  const KeptPass& base_;
  std::span<const Matrix<double>> added_;
  std::span<const SiteRow> layer_rows_, last_rows_;  // of the table: the layers', those after them
  std::size_t changed_;                              // index in layer_rows_
  Buffers buffers_;
  std::vector<Run> runs_;
  bool first_layer_ = false;        // the layer of the change is under way
  const SelectionPlan* selection_;  // at `changed`, if any
  Matrix<double> stream_, old_stream_, logits_, recomputed_;
  std::vector<Matrix<double>> outputs_;
  std::array<Matrix<double>, 2> inputs_;  // rows of the base, or earlier ones with a run's
  PackedMatrix keys_;
};

}  // namespace lamp
