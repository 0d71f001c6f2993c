// What a pass keeps of chosen sites: error statistics against the reference, whole error arrays,
// whole activations. Joins taps, analysis and the quantities of a result file.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <vector>

#include "analysis/errors.hpp"
#include "core/model/forward.hpp"
#include "core/record/contents.hpp"

namespace lamp::experiments {

/// [record] of a config.
struct RecordSpec {
  std::vector<Site> errors;
  bool full = false;  // error arrays too
  std::vector<Site> activations;
  [[nodiscard]] bool keeps(Site site) const;  // whether the reference pass must keep the site
};

/// Values of one site of one pass, one matrix a (layer, head), rows token positions.
class SiteValues {
 public:
  SiteValues(const ModelConfig& model, Site site, std::size_t sequence_length);
  void put(const TapPoint& point, MatrixView<const double> x);
  [[nodiscard]] MatrixView<const double> at(const TapPoint& point, std::size_t rows) const;
  /// All of it, (layer, head, query, component), NaN where an entry does not exist.
  [[nodiscard]] std::vector<double> flat() const;

 private:
  [[nodiscard]] std::size_t index(const TapPoint& point) const;
  bool causal_;
  std::size_t heads_;
  std::vector<Matrix<double>> parts_;
};

using SiteValuesMap = std::map<Site, SiteValues>;

/// The quantities of one cell under `spec`, in the order of ErrorRecorder::take; and of the
/// reference.
std::vector<record::Quantity> recorded_quantities(const RecordSpec& spec, const ModelConfig& model,
                                                  std::size_t sequence_length);
std::vector<record::Quantity> recorded_reference_quantities(const RecordSpec& spec,
                                                            const ModelConfig& model,
                                                            std::size_t sequence_length);
std::vector<record::Values> recorded_reference_values(const RecordSpec& spec,
                                                      const SiteValuesMap& reference);
/// Coordinates of the dimension `bin`.
record::Axis bin_axis();

class ErrorRecorder {
 public:
  ErrorRecorder(const RecordSpec& spec, const ModelConfig& model) : spec_(spec), model_(model) {}

  /// Before a pass of `plan`. Without `errors` the cell records none (record.where).
  void begin(const SiteValuesMap& reference, const PrecisionPlan& plan, std::size_t sequence_length,
             bool errors);
  [[nodiscard]] bool wants_local(Site site) const { return errors_ && recorded_.contains(site); }
  void values(const TapPoint& point, MatrixView<const double> x);
  void local(const TapPoint& point, MatrixView<const double> x, MatrixView<const double> reference);
  [[nodiscard]] std::vector<record::Values> take();

 private:
  /// One kind of error (forward or local) at one site.
  struct Errors {
    std::vector<ErrorStatistics> statistics;  // (layer, head)
    std::vector<SiteValues> whole;            // one where spec.full, else none
  };
  struct Recorded {
    Errors forward, local;
  };
  void add(Errors& errors, const TapPoint& point, MatrixView<const double> x,
           MatrixView<const double> reference);

  const RecordSpec& spec_;
  const ModelConfig& model_;
  const SiteValuesMap* reference_ = nullptr;
  bool errors_ = false;
  std::map<Site, Recorded> recorded_;
  SiteValuesMap activations_;
};

}  // namespace lamp::experiments
