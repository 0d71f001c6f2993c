#include "experiments/run/perplexity.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "analysis/not_finite.hpp"
#include "core/fp/binary64.hpp"
#include "core/record/summary.hpp"
#include "experiments/run/nan_cells.hpp"

namespace lamp::experiments {
namespace {

/// A sequence that is counted, and its share of the mean: its predicted tokens, or 1 where all have
/// as many.
struct Counted {
  std::size_t sequence;
  double weight;
};

/// exp of the mean of cross_entropy(sequence, point) over `sequences`. cross_entropy: (sequences of
/// the text, points).
double perplexity(const double* cross_entropy, std::size_t points, std::size_t point,
                  const std::vector<Counted>& sequences) {
  double sum = 0.0, weights = 0.0;
  for (const auto& [s, weight] : sequences)
    sum += weight * cross_entropy[s * points + point], weights += weight;
  return sequences.empty() ? not_a_number : binary64_functions::exp(sum / weights);
}

bool is_done(std::uint8_t status) {
  return status == static_cast<std::uint8_t>(record::CellStatus::done);
}

/// What a result says of cross-entropies.
struct CrossEntropies {
  std::vector<std::string> texts{""};
  std::vector<std::string> variants{""};  // of a sequence's references
  std::size_t sequences = 0, points = 0;  // of a text, of the grid
  std::vector<std::size_t> reference_of;  // of each point: which of the references is its
  std::vector<double> reference, runs;    // (text, sequence, variant), (text, sequence, point)
  std::vector<std::uint8_t> reference_status, run_status;
  std::vector<double> predicted;  // (text, sequence, variant): the weight of a mean
};

/// Of each reference: its predicted tokens where lengths vary, else 1, or 0 where T = 1.
Result<std::vector<double>> predicted_tokens(const record::StoredFile& result,
                                             SequenceLengths lengths,
                                             const record::Numbers& reference) {
  if (lengths == SequenceLengths::vary) {
    Result<record::Numbers> tokens = record::read_numbers(result, "/reference/length");
    if (!tokens) return tokens.error();
    for (double& n : tokens->values) n -= 1.0;
    return std::move(tokens->values);
  }
  const Result<record::Numbers> by_position =
      record::read_numbers(result, "/reference/cross_entropy_position");
  if (!by_position) return by_position.error();
  const bool predicts = by_position->shape.empty() || by_position->shape.back() > 1;
  return std::vector<double>(reference.values.size(), predicts ? 1.0 : 0.0);
}

/// The axes of the references after [text,] sequence, named in their order.
Result<std::vector<std::string>> variant_names(const record::StoredFile& result,
                                               const record::Numbers& reference, std::size_t lead) {
  std::vector<record::Axis> axes;
  const std::vector<std::size_t> shape(reference.shape.begin() + static_cast<std::ptrdiff_t>(lead),
                                       reference.shape.end());
  std::size_t all = 1;
  for (std::size_t a = 0; a < shape.size(); ++a) {
    Result<record::Axis> axis = record::read_axis(result, "/reference", reference.dims[lead + a]);
    if (!axis) return axis.error();
    if (size(*axis) != shape[a])
      return Error{ExitCode::bad_data, result.path().string() + ": /reference/" + axis->name +
                                           " does not fit /reference/cross_entropy"};
    axes.push_back(*std::move(axis));
    all *= shape[a];
  }
  std::vector<std::string> names;
  for (std::size_t i = 0; i < all; ++i) names.push_back(point_name(axes, index_of(i, shape)));
  return names;
}

/// For each point of the grid, row-major over runs.dims after the first `lead`: the index of its
/// reference, row-major over reference.dims after as many.
std::vector<std::size_t> references_of_points(const record::Numbers& reference,
                                              const record::Numbers& runs, std::size_t lead) {
  std::size_t points = 1;
  for (std::size_t a = lead; a < runs.shape.size(); ++a) points *= runs.shape[a];
  std::vector<std::size_t> all(points, 0);
  for (std::size_t point = 0; point < points; ++point) {
    std::size_t rest = point, stride = 1, axis = reference.dims.size();
    for (std::size_t a = runs.dims.size(); a-- > lead; rest /= runs.shape[a]) {
      if (axis == lead || reference.dims[axis - 1] != runs.dims[a]) continue;
      --axis;
      all[point] += rest % runs.shape[a] * stride;
      stride *= runs.shape[a];
    }
  }
  return all;
}

Result<CrossEntropies> read_cross_entropies(const record::StoredFile& result,
                                            SequenceLengths lengths) {
  Result<record::Numbers> reference = record::read_numbers(result, "/reference/cross_entropy");
  if (!reference) return reference.error();
  Result<record::Numbers> runs = record::read_numbers(result, "/metrics/cross_entropy");
  if (!runs) return runs.error();
  Result<std::vector<double>> predicted = predicted_tokens(result, lengths, *reference);
  if (!predicted) return predicted.error();
  Result<std::vector<std::uint8_t>> reference_status =
      record::read_statuses(result, "/reference/status");
  if (!reference_status) return reference_status.error();
  Result<std::vector<std::uint8_t>> run_status = record::read_statuses(result, "/metrics/status");
  if (!run_status) return run_status.error();
  CrossEntropies read;
  if (!reference->dims.empty() && reference->dims.front() == "text") {
    Result<std::vector<std::string>> names = record::read_labels(result, "/reference/text");
    if (!names) return names.error();
    read.texts = *std::move(names);
  }
  const std::size_t lead = reference->dims.empty() || reference->dims.front() != "text" ? 1 : 2;
  const auto first_sizes = [&](const record::Numbers& of) {
    std::vector<std::size_t> sizes = of.shape;
    sizes.resize(lead);
    return sizes;
  };
  const bool fits = !reference->values.empty() && !runs->values.empty() &&
                    reference->dims.size() >= lead && runs->dims.size() >= reference->dims.size() &&
                    first_sizes(*reference) == first_sizes(*runs);
  if (fits) {
    Result<std::vector<std::string>> names = variant_names(result, *reference, lead);
    if (!names) return names.error();
    read.variants = *std::move(names);
    read.sequences = reference->shape[lead - 1];
    read.reference_of = references_of_points(*reference, *runs, lead);
    read.points = read.reference_of.size();
  }
  const std::size_t all = read.texts.size() * read.sequences;
  if (!fits || reference->values.size() != all * read.variants.size() ||
      runs->values.size() != all * read.points ||
      reference_status->size() != reference->values.size() ||
      predicted->size() != reference->values.size() || run_status->size() != runs->values.size())
    return Error{
        ExitCode::bad_data,
        result.path().string() + ": /metrics/cross_entropy does not fit /reference/cross_entropy"};
  read.reference = std::move(reference->values), read.runs = std::move(runs->values);
  read.reference_status = *std::move(reference_status), read.run_status = *std::move(run_status);
  read.predicted = *std::move(predicted);
  return read;
}

/// Of text t and reference v.
Perplexity perplexity_of(const CrossEntropies& all, std::size_t t, std::size_t v) {
  const std::size_t first = t * all.sequences, variants = all.variants.size();
  std::vector<Counted> present;
  for (std::size_t s = 0; s < all.sequences; ++s)
    if (const std::size_t at = (first + s) * variants + v;
        all.predicted[at] > 0.0 && is_done(all.reference_status[at]))
      present.push_back({s, all.predicted[at]});
  Perplexity p{
      .text = all.texts[t],
      .variant = all.variants[v],
      .sequences = present.size(),
      .reference = perplexity(all.reference.data() + first * variants, variants, v, present),
      .lowest = positive_infinity,
      .highest = -positive_infinity};
  for (std::size_t point = 0; point < all.points && !present.empty(); ++point) {
    if (all.reference_of[point] != v) continue;
    const auto done = [&](const Counted& counted) {
      return is_done(all.run_status[(first + counted.sequence) * all.points + point]);
    };
    if (!std::all_of(present.begin(), present.end(), done)) continue;
    ++p.points;
    const double run = perplexity(all.runs.data() + first * all.points, all.points, point, present);
    if (std::isnan(run)) {
      ++p.nan;
      continue;
    }
    p.lowest = std::min(p.lowest, run);
    p.highest = std::max(p.highest, run);
  }
  if (p.nan == p.points) p.lowest = p.highest = not_a_number;
  return p;
}

}  // namespace

Result<std::vector<Perplexity>> perplexities(const record::StoredFile& result,
                                             SequenceLengths lengths) {
  const Result<CrossEntropies> all = read_cross_entropies(result, lengths);
  if (!all) return all.error();
  std::vector<Perplexity> found;
  for (std::size_t t = 0; t < all->texts.size(); ++t)
    for (std::size_t v = 0; v < all->variants.size(); ++v)
      found.push_back(perplexity_of(*all, t, v));
  return found;
}

}  // namespace lamp::experiments
