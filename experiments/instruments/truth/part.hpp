// The parts of the ground truth of one cell, and what they share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "analysis/truth/end_to_end.hpp"
#include "experiments/instruments/instrument.hpp"

namespace lamp::experiments {

/// Of one cell, while it is evaluated. Parts run in the order of truth.cpp, and later ones read
/// what earlier ones found.
struct TruthOfCell {
  const Pass& pass;
  truth::Question question;
  truth::Background exact, all_low;              // reference; all scores low
  std::vector<truth::Row> rows;                  // those asked for
  std::vector<double> low_kl, high_kl, low_rel;  // (layer, head, query, key), NaN where unknown;
                                                 // empty where not asked for
  std::vector<double> exact_sets, low_sets;      // (layer, head, 2^row_sets): KL of row_sets.cpp
};

class TruthPart {
 public:
  explicit TruthPart(const Recording& recording)
      : asked(*recording.config.truth), config(recording.config), model(recording.model) {}
  virtual ~TruthPart() = default;
  virtual void add_readings(std::vector<Reading<>>& all) = 0;
  [[nodiscard]] virtual std::vector<record::Axis> axes() const { return {}; }
  /// Before a cell that has no truth, and before evaluate(): its readings are empty.
  virtual void clear() = 0;
  /// False where a signal stopped it.
  virtual bool evaluate(TruthOfCell& cell) = 0;

 protected:
  static constexpr Site site = Site::scores;
  [[nodiscard]] std::size_t length() const { return config.tokens.sequence_length; }
  [[nodiscard]] std::size_t heads() const { return model.n_layer * model.n_head; }

  /// Where a row's first entry is, in arrays (layer, head, query, width).
  [[nodiscard]] std::size_t place(const truth::Row& row, std::size_t width) const {
    return ((row.layer.value * model.n_head + row.head.value) * length() + row.query) * width;
  }

  /// Quantities without dimensions, of scores (layer, head, query, key), of rows (layer, head,
  /// query) with one more dimension where `last` names it.
  [[nodiscard]] record::Quantity quantity(std::string path, std::string units,
                                          std::string long_name) const;
  [[nodiscard]] record::Quantity of_scores(std::string path, std::string units,
                                           std::string long_name) const;
  [[nodiscard]] record::Quantity of_rows(std::string path, std::string units, std::string long_name,
                                         std::string last = {}, std::size_t size = 0) const;

  const TruthConfig& asked;
  const Config& config;
  const ModelConfig& model;
};

/// Whether a signal asks to stop.
bool truth_is_stopped();

std::unique_ptr<TruthPart> end_to_end_truth(const Recording& recording);
std::unique_ptr<TruthPart> coarse_truth(const Recording& recording);
std::unique_ptr<TruthPart> local_truth(const Recording& recording);
std::unique_ptr<TruthPart> row_sets_truth(const Recording& recording);
std::unique_ptr<TruthPart> forward_truth(const Recording& recording);
std::unique_ptr<TruthPart> ranked_rules(const Recording& recording);

}  // namespace lamp::experiments
