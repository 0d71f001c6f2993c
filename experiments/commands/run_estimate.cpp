#include "experiments/commands/run_estimate.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "analysis/intervals.hpp"
#include "experiments/commands/requests.hpp"
#include "experiments/commands/storage_cost.hpp"
#include "experiments/commands/time_cost.hpp"
#include "experiments/commands/timing.hpp"
#include "experiments/run/sharing.hpp"

namespace lamp::experiments {
namespace {

constexpr double not_touched_yet =
    6.0 * 1024 * 1024;  // bytes of HDF5 and of code that a run will use; measured
constexpr std::size_t most_timed_cells = 100;  // evenly spaced among those that are computed

/// A line of /proc/self/status in bytes; 0 where there is none.
double own_memory(const std::string& key) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key + ":"))
      return 1024.0 * std::strtod(line.c_str() + key.size() + 1, nullptr);
  return 0.0;
}

double real(std::size_t n) { return static_cast<double>(n); }

std::size_t cores() { return std::max(1U, std::thread::hardware_concurrency()); }

}  // namespace

double seconds_of(const RunPlan& plan, std::size_t threads, double sequences) {
  constexpr double meeting = 4e-6;  // seconds, about: to wake threads that wait, and be waited for
  const double crowded = threads > 1 ? plan.crowding : 1.0;
  const std::size_t at_once = std::min(threads, cores());
  const double all = real(at_once) / crowded;  // threads' worth of one
  const auto shared = [&](double pass, std::size_t members) {
    return std::min(pass, pass / real(members) + plan.meetings * meeting) * crowded;
  };
  const double reference = plan.unlimited_reference ? plan.reference_seconds / all
                                                    : shared(plan.reference_seconds, at_once);
  const double truth = (real(plan.truth.cells) * plan.truth.seconds + plan.rankings.seconds) /
                       all;  // one after the other, by all threads
  const std::size_t each = (plan.computed + plan.variants - 1) / plan.variants,  // of a variant
      left = each % at_once;  // fewer passes than threads, which share all
  const double cells = real(each / at_once) * plan.cell_seconds * crowded +
                       (left == 0 ? 0.0 : shared(plan.cell_seconds, at_once / left));
  return plan.start_seconds +
         sequences * (real(plan.variants) * (reference + cells) + truth + plan.output_seconds);
}

PartPlan largest_part(const RunPlan& plan, std::size_t parts) {
  const std::size_t all = plan.sequences * plan.variants, most = (all + parts - 1) / parts;
  return {.parts = parts,
          .sequences = most,
          .seconds = seconds_of(plan, plan.threads, real(most) / real(plan.variants)),
          .shards = plan.shards * real(most) / real(all)};
}

double merge_seconds(const RunPlan& plan) {
  return plan.start_seconds + real(plan.sequences) * plan.output_seconds;
}

RunPlan estimate(const Experiment& experiment, std::size_t threads) {
  const double program = own_memory("VmRSS") + not_touched_yet;  // before anything is timed
  const std::vector<Cell> cells = distinct_cells(experiment.grid);
  RunPlan plan{.points = experiment.grid.cells.size(),
               .cells = cells.size(),
               .sequences = experiment.tokens.sequences.size() / experiment.grid.variants.size(),
               .variants = experiment.grid.variants.size(),
               .memory = {}};
  plan.threads = threads;
  std::vector<std::vector<const Cell*>> each(plan.variants);
  for (const Cell& cell : cells) each[cell.variant].push_back(&cell);
  std::vector<const Cell*> computed;
  for (const std::vector<const Cell*>& of_variant : each)
    for (const Cell* cell : worth_computing(of_variant)) computed.push_back(cell);
  plan.computed = computed.size();
  plan.macs = macs_of_pass(experiment.model.config, experiment.config.tokens.sequence_length,
                           cells.front().plan);

  plan.memory = memory_cost(experiment, cells);
  plan.program = program;
  const ReadingCost reading = reading_cost(experiment.model.config);
  plan.start_seconds = real(weights_of_run(experiment)) * reading.seconds;  // storing is packing
  StorageCost storing;
  for (const NumberSystem& system : stored_weights(experiment))
    plan.start_seconds +=
        storing.of_number(system) * weight_bytes(experiment.model.config) / sizeof(float);

  const ShardCost shard = shard_cost(experiment, cells);
  plan.shards =
      real(plan.sequences) * (shard.bytes + (real(plan.variants) - 1.0) * shard.structure);
  plan.result =
      plan.shards -
      (real(plan.sequences) - 2.0) * shard.structure +  // one file, but with scales and provenance
      real(plan.sequences) * text_bytes(experiment, cells);
  plan.output_seconds = 3.0 * shard.seconds;  // made once, merged and compared
  if (experiment.config.stop)
    plan.least_sequences =
        experiment.config.tokens.paths.size() *
        round_ends(experiment.config.stop->min_sequences, experiment.config.tokens.sequences)
            .front();

  TimeCost time(experiment);
  plan.reference_seconds = time.reference();
  for (const SiteRow& row : experiment.model.config.network->sites)
    plan.meetings += real(layers_of(experiment.model.config, row.site) *
                          heads_of(experiment.model.config, row.site));
  plan.unlimited_reference = is_unlimited(
      experiment.grid.reference.at(experiment.model.config.network->sites.front().site));
  const std::size_t step = (computed.size() + most_timed_cells - 1) / most_timed_cells;
  std::size_t timed = 0;
  for (std::size_t i = 0; i < computed.size(); i += step, ++timed)
    plan.cell_seconds += time.cell(*computed[i]);
  plan.cell_seconds /= real(timed);
  plan.products = products_of(experiment, cells, time);
  plan.truth = truth_cost(experiment, cells, time);
  plan.rankings = ranking_cost(experiment, cells, time);
  plan.crowding =
      crowding(experiment.model.config,
               cells.front().plan.at(experiment.model.config.network->sites.back().site),
               std::min(threads, cores()));
  const double truth = std::max(plan.truth.shared + real(threads) * plan.truth.per_thread,
                                plan.rankings.shared + real(threads) * plan.rankings.per_thread);
  const double workers = real(std::min(threads, cells.size())),
               others = threads > 1 ? real(threads - 1) : 0.0;
  const double finished = plan.memory.recorded / 2.0;  // the other half comes when truths are known
  plan.peak = plan.program + plan.memory.weights +
              std::max(reading.bytes, plan.memory.reference + workers * plan.memory.workspace +
                                          others * plan.memory.member + finished +
                                          std::max(finished, truth)) +
              (experiment.rules.empty() ? 0.0 : real(threads) * interpreter_bytes);
  return plan;
}

}  // namespace lamp::experiments
