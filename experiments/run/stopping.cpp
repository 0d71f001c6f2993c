#include "experiments/run/stopping.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <utility>

#include "analysis/not_finite.hpp"
#include "core/fp/binary64.hpp"
#include "core/record/shard.hpp"
#include "experiments/config/shuffle.hpp"
#include "experiments/run/experiment.hpp"
#include "experiments/run/nan_cells.hpp"

namespace lamp::experiments {
namespace {

using binary64_functions::exp;

/// When each of `count` sequences comes.
std::vector<std::size_t> random_ranks(std::size_t count, std::uint32_t seed) {
  std::vector<std::size_t> order(count), ranks(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  shuffle(order, ShuffleStream::sequences, seed, 0);
  for (std::size_t rank = 0; rank < count; ++rank) ranks[order[rank]] = rank;
  return ranks;
}

/// The grid points in order with those coordinates replaced that `baseline` names.
std::vector<std::size_t> baseline_of(const Config& config, const Grid& grid) {
  std::vector<std::size_t> points;
  for (const Cell& cell : grid.cells) {
    std::size_t point = 0;
    for (std::size_t a = 0; a < config.grid.size(); ++a) {
      const std::vector<Coordinate>& values = config.grid[a].values;
      std::size_t at = cell.index[a];
      for (const GridAxis& named : config.stop->baseline)
        if (named.key == config.grid[a].key)
          at = static_cast<std::size_t>(
              std::find(values.begin(), values.end(), named.values.front()) - values.begin());
      point = point * values.size() + at;
    }
    points.push_back(point);
  }
  return points;
}

/// Of exp(log_ratio): the further end, as a share.
double relative_error_of_ratio(const MeanInterval& log_ratio) {
  return exp(log_ratio.half_width) - 1.0;
}

bool is_known(double mean, double error, double asked) {
  return std::isnan(mean) || error <= asked;
}

std::string percent(double share) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g %%", 100.0 * share);
  return text.data();
}

}  // namespace

Stopping::Stopping(const Config& config, const Grid& grid)
    : config_(config),
      grid_(grid),
      stop_(*config.stop),
      rounds_(round_ends(stop_.min_sequences, config.tokens.sequences)),
      ranks_(random_ranks(config.tokens.sequences, config.seed)),
      baseline_(baseline_of(config, grid)),
      values_(config.tokens.paths.size() * grid.cells.size()) {}

void Stopping::add(const TokenSequence& sequence, const FinishedCells& cells,
                   const std::vector<record::Quantity>& quantities) {
  const std::string path = "/metrics/" + std::string(name_in(stop_metric_names, stop_.metric));
  const auto at = static_cast<std::size_t>(
      std::find_if(quantities.begin(), quantities.end(),
                   [&](const record::Quantity& q) { return q.path == path; }) -
      quantities.begin());
  for (std::size_t point = 0; point < grid_.cells.size(); ++point) {
    if (grid_.cells[point].variant != sequence.variant) continue;
    const auto cell = cells.find(grid_.cells[point].id);
    if (cell == cells.end()) continue;
    std::vector<std::optional<double>>& of_cell =
        values_[sequence.text * grid_.cells.size() + point];
    const std::size_t rank = ranks_[sequence.index];
    of_cell.resize(std::max(of_cell.size(), rank + 1));
    of_cell[rank] = std::get<std::vector<double>>(cell->second.values[at]).front();
  }
}

void Stopping::look(std::size_t sequences) {
  sequences_ = sequences;
  const double quantile =
      sequences > 1 ? t_quantile(stop_.confidence, sequences - 1) : not_a_number;
  const auto first = [&](std::size_t cell) {  // nothing where one is missing
    std::vector<double> values;
    for (std::size_t rank = 0; rank < sequences; ++rank) {
      if (rank >= values_[cell].size() || !values_[cell][rank]) return std::vector<double>();
      values.push_back(*values_[cell][rank]);
    }
    return values;
  };
  known_.clear();
  for (std::size_t cell = 0; cell < values_.size(); ++cell) {
    const std::size_t points = grid_.cells.size(), text = cell / points;
    const std::vector<double> own = first(cell),
                              base = compares() ? first(text * points + baseline_[cell % points])
                                                : std::vector<double>();
    std::vector<double> logarithms;
    for (std::size_t s = 0; s < std::min(own.size(), base.size()); ++s)
      logarithms.push_back(binary64_functions::log(own[s]) - binary64_functions::log(base[s]));
    known_.push_back({.mean = t_interval(own, quantile),
                      .log_ratio = t_interval(logarithms, quantile),
                      .complete = !own.empty() && (!compares() || !base.empty())});
  }
}

std::size_t Stopping::means() const { return known_.size() * (compares() ? 2 : 1); }

std::size_t Stopping::unknown() const {
  std::size_t count = 0;
  for (const Known& known : known_) {
    if (!known.complete) {
      count += compares() ? 2 : 1;
      continue;
    }
    if (!is_known(known.mean.mean, known.mean.relative_error(), stop_.relative_error)) ++count;
    if (compares() && !is_known(known.log_ratio.mean, relative_error_of_ratio(known.log_ratio),
                                stop_.relative_error))
      ++count;
  }
  return count;
}

std::string Stopping::place(std::size_t cell) const {
  const std::size_t points = grid_.cells.size();
  const std::string point = point_name(grid_.axes, grid_.cells[cell % points].index);
  return "text " + text_names(config_)[cell / points] + (point.empty() ? "" : ", " + point);
}

std::string Stopping::in_words() const {
  std::size_t worst = 0;
  double error = -1.0;
  for (std::size_t cell = 0; cell < known_.size(); ++cell) {
    const double own = known_[cell].mean.relative_error();
    const double ratio =
        compares() ? relative_error_of_ratio(known_[cell].log_ratio) : not_a_number;
    for (const double each : {own, ratio})
      if (each > error) error = each, worst = cell;
  }
  const std::string what = compares() ? "means and ratios" : "means";
  std::string words = std::to_string(sequences_) + " sequences of each text: ";
  if (unknown() == 0)
    words += "all " + std::to_string(means()) + " " + what + " known to ";
  else
    words += std::to_string(unknown()) + " of " + std::to_string(means()) + " " + what +
             " not known to ";
  words += percent(stop_.relative_error);
  if (error > 0.0) words += ", the widest " + percent(error) + " (" + place(worst) + ")";
  return words;
}

std::vector<record::PointQuantity> Stopping::recorded() const {
  const std::string metric(name_in(stop_metric_names, stop_.metric));
  const std::string confidence = percent(stop_.confidence) + " t interval";
  const std::string units = stop_.metric == StopMetric::flip_rate ? "1" : "nat";
  std::vector<record::PointQuantity> all;
  const auto numbers = [&](const std::string& name, const std::string& of, const std::string& what,
                           const auto& value) {
    std::vector<double> values;
    for (const Known& known : known_) values.push_back(value(known));
    all.push_back(
        {{.path = "/stop/" + name, .dims = {}, .shape = {}, .units = of, .long_name = what},
         std::move(values)});
  };
  all.push_back(
      {{.path = "/stop/count",
        .dims = {},
        .shape = {},
        .units = "1",
        .long_name = "sequences of the means",
        .prototype = std::vector<std::uint32_t>{}},
       std::vector<std::uint32_t>(known_.size(), static_cast<std::uint32_t>(sequences_))});
  const auto mean = [](const Known& k) { return k.mean.mean; };
  numbers("mean", units, "mean of " + metric + " over sequences", mean);
  numbers("low", units, "lower end of its " + confidence,
          [](const Known& k) { return k.mean.mean - k.mean.half_width; });
  numbers("high", units, "upper end of its " + confidence,
          [](const Known& k) { return k.mean.mean + k.mean.half_width; });
  numbers("relative_error", "1", "half of the interval as a share of the mean",
          [](const Known& k) { return k.mean.relative_error(); });
  if (!compares()) return all;
  const std::string ratio = metric + " / " + metric + " of the baseline";
  numbers("ratio", "1", "geometric mean of " + ratio + " over sequences",
          [](const Known& k) { return exp(k.log_ratio.mean); });
  numbers("ratio_low", "1", "lower end of its " + confidence + ", of the logarithm",
          [](const Known& k) { return exp(k.log_ratio.mean - k.log_ratio.half_width); });
  numbers("ratio_high", "1", "upper end of its " + confidence + ", of the logarithm",
          [](const Known& k) { return exp(k.log_ratio.mean + k.log_ratio.half_width); });
  numbers("ratio_relative_error", "1", "upper end as a multiple of the ratio, less 1",
          [](const Known& k) { return relative_error_of_ratio(k.log_ratio); });
  return all;
}

Result<Reached> reached(const Config& config, const Grid& grid,
                        const std::vector<TokenSequence>& sequences,
                        std::span<const RunFolder> folders) {
  if (!config.stop) return Reached{.sequences = config.tokens.sequences};
  Reached so_far{.stopping = std::optional<Stopping>(std::in_place, config, grid)};
  std::size_t begin = 0;
  for (const std::size_t end : so_far.stopping->rounds()) {
    bool complete = true;
    for (const TokenSequence& sequence : sequences) {
      if (!so_far.stopping->is_among(sequence, begin, end)) continue;
      FinishedCells cells;
      for (const RunFolder& folder : folders) {
        Result<record::Shard> shard = record::read_shard(folder.shard(sequence.index, sequence.id));
        if (!shard && shard.error().code != ExitCode::missing_input &&
            shard.error().code != ExitCode::bad_data)  // what is damaged is computed anew
          return shard.error();
        FinishedCells found;
        if (shard)
          for (record::CellRecord& cell : shard->cells)
            if (cell.status == record::CellStatus::done && !cells.contains(cell.id))
              found.emplace(cell.id, std::move(cell));
        if (shard) so_far.stopping->add(sequence, found, shard->quantities);
        cells.merge(found);
      }
      for (const Cell& cell : grid.cells)
        complete = complete && (cell.variant != sequence.variant || cells.contains(cell.id));
    }
    so_far.sequences = end;
    so_far.stopping->look(end);
    if (!complete || so_far.stopping->unknown() == 0) break;
    begin = end;
  }
  return so_far;
}

}  // namespace lamp::experiments
