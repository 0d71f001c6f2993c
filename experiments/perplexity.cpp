#include "experiments/perplexity.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/fp/binary64.hpp"
#include "core/record/summary.hpp"

namespace lamp::experiments {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// exp of the mean of cross_entropy(sequence, point) over `sequences`. cross_entropy: (sequences of the text, points).
double perplexity(const double* cross_entropy, std::size_t points, std::size_t point, const std::vector<std::size_t>& sequences) {
  double sum = 0.0;
  for (const std::size_t s : sequences) sum += cross_entropy[s * points + point];
  return sequences.empty() ? nan : binary64_functions::exp(sum / static_cast<double>(sequences.size()));
}

}  // namespace

Result<std::vector<Perplexity>> perplexities(const std::filesystem::path& result) {
  const Result<record::Numbers> reference = record::read_numbers(result, "/reference/cross_entropy");
  if (!reference) return reference.error();
  const Result<record::Numbers> runs = record::read_numbers(result, "/metrics/cross_entropy");
  if (!runs) return runs.error();
  std::vector<std::string> texts{""};
  if (!reference->dims.empty() && reference->dims.front() == "text") {
    Result<std::vector<std::string>> names = record::read_labels(result, "/reference/text");
    if (!names) return names.error();
    texts = *std::move(names);
  }
  const std::size_t sequences = texts.empty() ? 0 : reference->values.size() / texts.size();
  const std::size_t points = reference->values.empty() ? 0 : runs->values.size() / reference->values.size();
  if (reference->values.size() != texts.size() * sequences || runs->values.size() != reference->values.size() * points)
    return Error{ExitCode::bad_data, result.string() + ": /metrics/cross_entropy does not fit /reference/cross_entropy"};

  std::vector<Perplexity> found;
  for (std::size_t t = 0; t < texts.size(); ++t) {
    const double* of_reference = reference->values.data() + t * sequences;
    std::vector<std::size_t> present;
    for (std::size_t s = 0; s < sequences; ++s)
      if (!std::isnan(of_reference[s])) present.push_back(s);
    Perplexity p{.text = texts[t],
                 .sequences = present.size(),
                 .reference = perplexity(of_reference, 1, 0, present),
                 .lowest = std::numeric_limits<double>::infinity(),
                 .highest = -std::numeric_limits<double>::infinity()};
    for (std::size_t point = 0; point < points; ++point) {
      const double run = perplexity(runs->values.data() + t * sequences * points, points, point, present);
      if (std::isnan(run)) continue;
      p.lowest = std::min(p.lowest, run);
      p.highest = std::max(p.highest, run);
    }
    if (p.highest < 0.0) p.lowest = p.highest = nan;
    found.push_back(std::move(p));
  }
  return found;
}

}  // namespace lamp::experiments
