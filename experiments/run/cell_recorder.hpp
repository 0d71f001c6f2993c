// What a run records of its cells and references: the instruments of one thread as one tap sink,
// and one list of readings for names and values.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "experiments/instruments/instrument.hpp"

namespace lamp::experiments {

/// One per thread; begin() before each pass, end() and values() after it.
class CellRecorder final : public TapSink {
 public:
  explicit CellRecorder(const Recording& recording,
                        std::span<const InstrumentMaker> makers = all_instruments());

  /// The quantities of every cell, and those recorded once a sequence, of the reference.
  [[nodiscard]] std::vector<record::Quantity> quantities() const;
  [[nodiscard]] std::vector<record::Quantity> reference_quantities() const;
  /// For each of quantities(): whether a cell that records so much has it.
  [[nodiscard]] std::vector<bool> recorded(const Records& records) const;
  /// Coordinates of their dimensions, where those are not 0, 1, ..
  [[nodiscard]] std::vector<record::Axis> axes() const;
  /// Whether the cells are compared with the reference at a site.
  [[nodiscard]] bool needs_reference(Site site) const;

  void begin(const Reference& reference, const PrecisionPlan& plan, const Records& records);
  void values(const TapPoint& point, MatrixView<const double> x) override;
  [[nodiscard]] bool takes_rows_apart(Site site) const override;
  [[nodiscard]] bool wants_local(Site site) const override;
  void local(const TapPoint& point, MatrixView<const double> x,
             MatrixView<const double> reference) override;
  void selected(const TapPoint& point, std::span<const std::uint8_t> marks) override;
  void fell_back(const TapPoint& point, std::size_t rows) override;
  void end(const Pass& pass);
  /// False where a signal stopped end(): the cell then is not recorded.
  [[nodiscard]] bool is_complete() const;
  void end_reference(const Pass& pass, Reference& reference) const;

  /// The values of quantities(), one for one, of the pass since begin().
  [[nodiscard]] std::vector<record::Values> cell_values() const;
  /// The values of reference_quantities(), one for one.
  [[nodiscard]] std::vector<record::Values> reference_values(const Reference& reference) const;

 private:
  [[nodiscard]] const std::vector<Instrument*>& listeners(Site site) const {
    return listeners_[static_cast<std::size_t>(site)];
  }

  std::vector<std::unique_ptr<Instrument>> instruments_;
  std::array<std::vector<Instrument*>, sites.size()> listeners_;
  std::vector<Reading<>> readings_;
  std::vector<Reading<Reference>> reference_readings_;
};

/// Collects the logits of a reference pass, and the sites that the cells are compared at.
class ReferenceRecorder final : public TapSink {
 public:
  /// Of a sequence of `length` tokens.
  ReferenceRecorder(const CellRecorder& cells, const Recording& recording, std::size_t length);
  void values(const TapPoint& point, MatrixView<const double> x) override;
  [[nodiscard]] bool takes_rows_apart(Site) const override { return true; }  // to their own places
  void selected(const TapPoint&, std::span<const std::uint8_t>) override {}
  [[nodiscard]] Reference take(std::span<const TokenId> tokens, Team& team);

 private:
  Matrix<double> logits_;
  SiteValuesMap sites_;
};

}  // namespace lamp::experiments
