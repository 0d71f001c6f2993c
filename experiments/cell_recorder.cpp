#include "experiments/cell_recorder.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

namespace lamp::experiments {
namespace {

using record::Quantity;
using record::Values;

/// Cross-entropy has T - 1 values; the last position has nothing to predict.
std::vector<double> padded(std::span<const double> cross_entropy, std::size_t sequence_length) {
  std::vector<double> values(cross_entropy.begin(), cross_entropy.end());
  values.resize(sequence_length, std::numeric_limits<double>::quiet_NaN());
  return values;
}

}  // namespace

std::vector<Quantity> cell_quantities(const CellSpec& spec, const ModelConfig& model,
                                      std::size_t sequence_length) {
  const std::vector<std::string> position{"position"};
  const std::vector<std::size_t> length{sequence_length};
  std::vector<Quantity> quantities{
      {.path = "/metrics/kl",
       .dims = {},
       .shape = {},
       .units = "nat",
       .long_name = "KL(reference || run), mean over positions"},
      {.path = "/metrics/flip_rate",
       .dims = {},
       .shape = {},
       .units = "1",
       .long_name = "share of positions whose argmax differs from the reference's"},
      {.path = "/metrics/cross_entropy",
       .dims = {},
       .shape = {},
       .units = "nat",
       .long_name = "cross-entropy of the next token, mean over positions"},
      {.path = "/metrics/kl_position",
       .dims = position,
       .shape = length,
       .units = "nat",
       .long_name = "KL(reference || run)"},
      {.path = "/metrics/flip_position",
       .dims = position,
       .shape = length,
       .units = "1",
       .long_name = "argmax differs from the reference's",
       .flag_meanings = {"same", "flipped"},
       .prototype = std::vector<std::uint8_t>{}},
      {.path = "/metrics/cross_entropy_position",
       .dims = position,
       .shape = length,
       .units = "nat",
       .long_name =
           "cross-entropy of the next token; NaN at the last position, which predicts none"},
  };
  if (spec.selects_scores)
    quantities.push_back({.path = "/metrics/recompute_rate",
                          .dims = {"layer", "head"},
                          .shape = {model.n_layer, model.n_head},
                          .units = "1",
                          .long_name = "recomputed scores / causal scores"});
  if (spec.continuation)
    for (Quantity& continued : continuation_quantities(*spec.continuation))
      quantities.push_back(std::move(continued));
  const std::vector<Quantity> recorded = recorded_quantities(spec.record, model, sequence_length);
  quantities.insert(quantities.end(), recorded.begin(), recorded.end());
  return quantities;
}

std::vector<Quantity> reference_quantities(const CellSpec& spec, const ModelConfig& model,
                                           std::size_t sequence_length) {
  std::vector<Quantity> quantities{
      {.path = "/reference/tokens",
       .dims = {"position"},
       .shape = {sequence_length},
       .units = "1",
       .long_name = "token ids",
       .prototype = std::vector<std::uint32_t>{}},
      {.path = "/reference/cross_entropy",
       .dims = {},
       .shape = {},
       .units = "nat",
       .long_name = "cross-entropy of the next token, mean over positions"},
      {.path = "/reference/cross_entropy_position",
       .dims = {"position"},
       .shape = {sequence_length},
       .units = "nat",
       .long_name =
           "cross-entropy of the next token; NaN at the last position, which predicts none"},
  };
  if (spec.continuation) quantities.push_back(reference_continuation_quantity(*spec.continuation));
  const std::vector<Quantity> recorded =
      recorded_reference_quantities(spec.record, model, sequence_length);
  quantities.insert(quantities.end(), recorded.begin(), recorded.end());
  return quantities;
}

std::vector<Values> reference_values(const CellSpec& spec, const Reference& reference,
                                     std::span<const TokenId> tokens) {
  const std::span<const double> cross_entropy = reference.distribution.cross_entropy();
  std::vector<Values> values{std::vector<std::uint32_t>(tokens.begin(), tokens.end()),
                             std::vector<double>{mean(cross_entropy)},
                             padded(cross_entropy, tokens.size())};
  if (spec.continuation)
    values.push_back(reference_continuation_values(*spec.continuation, reference.continuation));
  for (Values& recorded : recorded_reference_values(spec.record, reference.sites))
    values.push_back(std::move(recorded));
  return values;
}

ReferenceRecorder::ReferenceRecorder(const CellSpec& spec, const ModelConfig& model,
                                     std::size_t sequence_length)
    : logits_(sequence_length, model.vocab_size) {
  for (const SiteInfo& site : sites)
    if (spec.record.keeps(site.site))
      sites_.insert({site.site, SiteValues(model, site.site, sequence_length)});
}

void ReferenceRecorder::values(const TapPoint& point, MatrixView<const double> x) {
  if (const auto kept = sites_.find(point.site); kept != sites_.end()) kept->second.put(point, x);
  if (point.site != Site::logits) return;
  for (std::size_t i = 0; i < x.rows; ++i)
    std::copy(x.row(i).begin(), x.row(i).end(), logits_.row(point.first_row + i).begin());
}

Reference ReferenceRecorder::take(std::span<const TokenId> tokens) {
  return {ReferenceDistribution(std::move(logits_), tokens), std::move(sites_)};
}

void CellRecorder::begin(const Reference& reference, const PrecisionPlan& plan, bool errors) {
  reference_ = &reference;
  const std::size_t positions = reference.distribution.positions();
  metrics_.resize(positions);
  recomputed_.assign(model_.n_layer * model_.n_head, 0);
  errors_.begin(reference.sites, plan, positions, errors);
}

void CellRecorder::values(const TapPoint& point, MatrixView<const double> x) {
  if (point.site == Site::logits)
    compare(reference_->distribution, point.first_row, x, metrics_, scratch_);
  errors_.values(point, x);
}

void CellRecorder::local(const TapPoint& point, MatrixView<const double> x,
                         MatrixView<const double> reference) {
  errors_.local(point, x, reference);
}

void CellRecorder::selected(const TapPoint& point, std::span<const std::uint8_t> marks) {
  recomputed_[point.layer.value * model_.n_head + point.head.value] +=
      static_cast<std::uint64_t>(std::count(marks.begin(), marks.end(), 1));
}

std::vector<Values> CellRecorder::take() {
  const std::size_t length = reference_->distribution.positions();
  const MeanMetrics mean = means(metrics_);
  std::vector<Values> values{std::vector<double>{mean.kl},
                             std::vector<double>{mean.flip_rate},
                             std::vector<double>{mean.cross_entropy},
                             std::move(metrics_.kl),
                             std::move(metrics_.flip),
                             padded(metrics_.cross_entropy, length)};
  if (spec_.selects_scores) {
    const double causal = static_cast<double>(length * (length + 1) / 2);
    std::vector<double> rate;
    for (const std::uint64_t count : recomputed_)
      rate.push_back(static_cast<double>(count) / causal);
    values.emplace_back(std::move(rate));
  }
  if (spec_.continuation)
    for (Values& continued :
         continuation_values(*spec_.continuation, continuation_, reference_->continuation))
      values.push_back(std::move(continued));
  for (Values& recorded : errors_.take()) values.push_back(std::move(recorded));
  return values;
}

}  // namespace lamp::experiments
