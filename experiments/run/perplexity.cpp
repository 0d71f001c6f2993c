#include "experiments/run/perplexity.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/fp/binary64.hpp"
#include "core/record/summary.hpp"

namespace lamp::experiments {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// exp of the mean of cross_entropy(sequence, point) over `sequences`. cross_entropy: (sequences of
/// the text, points).
double perplexity(const double* cross_entropy, std::size_t points, std::size_t point,
                  const std::vector<std::size_t>& sequences) {
  double sum = 0.0;
  for (const std::size_t s : sequences) sum += cross_entropy[s * points + point];
  return sequences.empty() ? nan
                           : binary64_functions::exp(sum / static_cast<double>(sequences.size()));
}

bool is_done(std::uint8_t status) {
  return status == static_cast<std::uint8_t>(record::CellStatus::done);
}

/// What a result says of cross-entropies.
struct CrossEntropies {
  std::vector<std::string> texts{""};
  std::size_t sequences = 0, points = 0;  // of a text, of the grid
  std::vector<double> reference, runs;    // (text, sequence), (text, sequence, point)
  std::vector<std::uint8_t> reference_status, run_status;
  bool predicts = true;  // sequences of two tokens or more
};

Result<CrossEntropies> read_cross_entropies(const std::filesystem::path& result) {
  Result<record::Numbers> reference = record::read_numbers(result, "/reference/cross_entropy");
  if (!reference) return reference.error();
  Result<record::Numbers> runs = record::read_numbers(result, "/metrics/cross_entropy");
  if (!runs) return runs.error();
  const Result<record::Numbers> by_position =
      record::read_numbers(result, "/reference/cross_entropy_position");
  if (!by_position) return by_position.error();
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
  const std::size_t all = reference->values.size();
  read.sequences = read.texts.empty() ? 0 : all / read.texts.size();
  read.points = all == 0 ? 0 : runs->values.size() / all;
  if (all != read.texts.size() * read.sequences || runs->values.size() != all * read.points ||
      reference_status->size() != all || run_status->size() != runs->values.size())
    return Error{
        ExitCode::bad_data,
        result.string() + ": /metrics/cross_entropy does not fit /reference/cross_entropy"};
  read.reference = std::move(reference->values), read.runs = std::move(runs->values);
  read.reference_status = *std::move(reference_status), read.run_status = *std::move(run_status);
  read.predicts = by_position->shape.empty() || by_position->shape.back() > 1;
  return read;
}

/// Of text t.
Perplexity perplexity_of(const CrossEntropies& all, std::size_t t) {
  const std::size_t first = t * all.sequences;
  std::vector<std::size_t> present;
  for (std::size_t s = 0; s < all.sequences; ++s)
    if (all.predicts && is_done(all.reference_status[first + s])) present.push_back(s);
  Perplexity p{.text = all.texts[t],
               .sequences = present.size(),
               .reference = perplexity(all.reference.data() + first, 1, 0, present),
               .lowest = std::numeric_limits<double>::infinity(),
               .highest = -std::numeric_limits<double>::infinity()};
  for (std::size_t point = 0; point < all.points && !present.empty(); ++point) {
    const auto done = [&](std::size_t s) {
      return is_done(all.run_status[(first + s) * all.points + point]);
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
  if (p.nan == p.points) p.lowest = p.highest = nan;
  return p;
}

}  // namespace

Result<std::vector<Perplexity>> perplexities(const std::filesystem::path& result) {
  const Result<CrossEntropies> all = read_cross_entropies(result);
  if (!all) return all.error();
  std::vector<Perplexity> found;
  for (std::size_t t = 0; t < all->texts.size(); ++t) found.push_back(perplexity_of(*all, t));
  return found;
}

}  // namespace lamp::experiments
