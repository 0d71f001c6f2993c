// What one evaluation of a site takes: seconds of short runs of its own function on random numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "core/model/plan.hpp"
#include "core/selection/selection.hpp"
#include "experiments/commands/sample.hpp"

namespace lamp::experiments {

/// All rows of a pass, or one row of it by itself, which shares the reading of weights with no
/// other.
enum class Rows : std::uint8_t { all, one };

/// An evaluation of a site in one layer and head.
struct SiteUse {
  Site site;
  Arithmetic arithmetic;
  bool binary32_operands;  // every value that it reads is a binary32 number
  Rows rows = Rows::all;
  friend bool operator==(const SiteUse&, const SiteUse&) = default;
};

/// Whether every value that the site reads in a pass is a binary32 number: weights are, and what
/// its inputs' formats hold.
bool reads_binary32(const ModelConfig& model, const SiteRow& row, const PrecisionPlan& plan,
                    Layer layer, Head head);

/// Seconds of evaluations on one thread, measured once each: on samples that take some
/// milliseconds, scaled to the sequence's length.
class SiteCost {
 public:
  struct Lengths {
    std::size_t all;     // rows of a pass
    std::size_t middle;  // keys that a row by itself sees
  };
  /// weight_bytes: of all weights of the model. It must outlive this.
  SiteCost(const ModelConfig& model, Activation activation, Lengths lengths, double weight_bytes);

  /// Of matrix products without the packing of keys, which evaluations share.
  double seconds(const SiteUse& use);
  /// Packing one head's keys.
  double packing(const SiteRow& scores, bool binary32, Rows which);
  /// A selection: choosing and mixing in all rows of a site, in one layer and head (of all heads
  /// at once where f reads their rows side by side), with what f sees of the low rows.
  struct SelectionUse {
    SelectionSpec spec;
    const Target* target;   // what f makes of a row
    Arithmetic arithmetic;  // of f where that is a softmax, of the sum that a norm reads
    friend bool operator==(const SelectionUse&, const SelectionUse&) = default;
  };
  double selection(const SiteRow& row, const SelectionUse& use);

 private:
  double measure(const SiteRow& row, const SiteUse& use);
  [[nodiscard]] double measure_packing(const SiteRow& scores, bool binary32, Rows which) const;
  double measure_selection(const SiteRow& row, const SelectionUse& use);
  double measure_causal_selection(const SiteRow& row, const SelectionUse& use);
  /// Of one multiply-accumulate of a matrix product in fused binary64: bounds, and linear maps.
  double seconds_of_exact_mac();
  /// work(rows, columns), of all columns of an elementwise site 1.
  template <class Work>
  double by_rows(const SiteRow& row, Rows which, std::size_t columns, const Work& work) const;
  /// work(rows, keys) of a causal site.
  template <class Work>
  double by_entries(Rows which, const Work& work) const;
  [[nodiscard]] MatrixView<const double> input(const SiteRow& row, std::size_t k, std::size_t rows,
                                               bool binary32) const;
  MatrixView<double> output(std::size_t rows, std::size_t columns);

  const ModelConfig& model_;
  Activation activation_;
  Lengths lengths_;
  std::size_t square_;  // rows of the causal samples
  SampleWeights weights_;
  OtherWeights others_;
  SampleMatrix x_, y_, activated_;       // (rows of a sample, the widest site)
  SampleMatrix queries_, keys_;          // (square, the widest head)
  SampleMatrix scores_, probabilities_;  // (square, square)
  Matrix<double> output_;
  std::optional<double> exact_mac_;
  std::vector<std::pair<SiteUse, double>> uses_;
  std::vector<std::pair<std::tuple<Site, bool, Rows>, double>> packings_;
  std::vector<std::pair<std::pair<Site, SelectionUse>, double>> selections_;
};

}  // namespace lamp::experiments
