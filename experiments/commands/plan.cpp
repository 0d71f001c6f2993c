// lamp plan: what a run of a config will take. Reads what the run reads, runs nothing of it, writes
// nothing.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "analysis/intervals.hpp"
#include "core/model/files/strict_json.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/commands/plan_cost.hpp"
#include "experiments/commands/plan_products.hpp"
#include "experiments/commands/requests.hpp"
#include "experiments/commands/storage_cost.hpp"
#include "experiments/commands/text.hpp"
#include "experiments/commands/time_cost.hpp"
#include "experiments/commands/timing.hpp"
#include "experiments/commands/truth_cost.hpp"
#include "experiments/run/progress.hpp"
#include "experiments/run/sharing.hpp"

namespace lamp::experiments {
namespace {

constexpr double not_touched_yet =
    6.0 * 1024 * 1024;                 // bytes of HDF5 and of code that a run will use; measured
constexpr double long_wait = 86400.0;  // seconds
constexpr std::size_t most_timed_cells = 100;  // evenly spaced among those that are computed

struct RunPlan {
  std::size_t points = 0, cells = 0, sequences = 0;  // of the grid; that differ; of all texts
  std::size_t least_sequences = 0;                   // that [stop] may end with; 0 without it
  std::size_t variants = 1;                          // references and shards of a sequence
  std::size_t computed = 0;  // cells that take a pass, if proofs succeed, in all variants
  double macs = 0.0;         // of a pass
  MemoryCost memory;
  double program = 0.0, peak = 0.0;   // bytes: what is left without all below; all together
  double shards = 0.0, result = 0.0;  // bytes on disk
  double start_seconds = 0.0;         // until everything is read
  double reference_seconds = 0.0, cell_seconds = 0.0;
  double output_seconds = 0.0;  // of a sequence
  double crowding = 1.0;        // how many times as long a thread takes beside the others
  double meetings = 0.0;        // of the threads that share a pass
  bool unlimited_reference = false;
  std::vector<ProductPlan> products{};
  TruthCost truth{};
  RankingCost rankings{};
  std::size_t threads = 1;
};

/// A line of /proc/self/status in bytes; 0 where there is none.
double own_memory(const std::string& key) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key + ":"))
      return 1024.0 * std::strtod(line.c_str() + key.size() + 1, nullptr);
  return 0.0;
}

double number(std::size_t n) { return static_cast<double>(n); }

std::size_t cores() { return std::max(1U, std::thread::hardware_concurrency()); }

double seconds(const RunPlan& plan, std::size_t threads, std::size_t sequences) {
  constexpr double meeting = 4e-6;  // seconds, about: to wake threads that wait, and be waited for
  const double crowded = threads > 1 ? plan.crowding : 1.0;
  const std::size_t at_once = std::min(threads, cores());
  const double all = number(at_once) / crowded;  // threads' worth of one
  const auto shared = [&](double pass, std::size_t members) {
    return std::min(pass, pass / number(members) + plan.meetings * meeting) * crowded;
  };
  const double reference = plan.unlimited_reference ? plan.reference_seconds / all
                                                    : shared(plan.reference_seconds, at_once);
  const double truth = (number(plan.truth.cells) * plan.truth.seconds + plan.rankings.seconds) /
                       all;  // one after the other, by all threads
  const std::size_t each = (plan.computed + plan.variants - 1) / plan.variants,  // of a variant
      left = each % at_once;  // fewer passes than threads, which share all
  const double cells = number(each / at_once) * plan.cell_seconds * crowded +
                       (left == 0 ? 0.0 : shared(plan.cell_seconds, at_once / left));
  return plan.start_seconds + number(sequences) * (number(plan.variants) * (reference + cells) +
                                                   truth + plan.output_seconds);
}

double seconds(const RunPlan& plan, std::size_t threads) {
  return seconds(plan, threads, plan.sequences);
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
  plan.start_seconds = number(weights_of_run(experiment)) * reading.seconds;  // storing is packing
  StorageCost storing;
  for (const NumberSystem& system : stored_weights(experiment))
    plan.start_seconds +=
        storing.of_number(system) * weight_bytes(experiment.model.config) / sizeof(float);

  const ShardCost shard = shard_cost(experiment, cells);
  plan.shards =
      number(plan.sequences) * (shard.bytes + (number(plan.variants) - 1.0) * shard.structure);
  plan.result = plan.shards - (number(plan.sequences) - 2.0) *
                                  shard.structure;  // one file, but with scales and provenance
  plan.output_seconds = 3.0 * shard.seconds;        // made once, merged and compared
  if (experiment.config.stop)
    plan.least_sequences =
        experiment.config.tokens.paths.size() *
        round_ends(experiment.config.stop->min_sequences, experiment.config.tokens.sequences)
            .front();

  TimeCost time(experiment);
  plan.reference_seconds = time.reference();
  for (const SiteRow& row : experiment.model.config.network->sites)
    plan.meetings += number(layers_of(experiment.model.config, row.site) *
                            heads_of(experiment.model.config, row.site));
  plan.unlimited_reference = is_unlimited(
      experiment.grid.reference.at(experiment.model.config.network->sites.front().site));
  const std::size_t step = (computed.size() + most_timed_cells - 1) / most_timed_cells;
  std::size_t timed = 0;
  for (std::size_t i = 0; i < computed.size(); i += step, ++timed)
    plan.cell_seconds += time.cell(*computed[i]);
  plan.cell_seconds /= number(timed);
  plan.products = products_of(experiment, cells, time);
  plan.truth = truth_cost(experiment, cells, time);
  plan.rankings = ranking_cost(experiment, cells, time);
  plan.crowding =
      crowding(experiment.model.config,
               cells.front().plan.at(experiment.model.config.network->sites.back().site),
               std::min(threads, cores()));
  const double truth = std::max(plan.truth.shared + number(threads) * plan.truth.per_thread,
                                plan.rankings.shared + number(threads) * plan.rankings.per_thread);
  const double workers = number(std::min(threads, cells.size())),
               others = threads > 1 ? number(threads - 1) : 0.0;
  const double finished = plan.memory.recorded / 2.0;  // the other half comes when truths are known
  plan.peak = plan.program + plan.memory.weights +
              std::max(reading.bytes, plan.memory.reference + workers * plan.memory.workspace +
                                          others * plan.memory.member + finished +
                                          std::max(finished, truth));
  return plan;
}

using Json = nlohmann::ordered_json;

Json products_json(const std::vector<ProductPlan>& products) {
  Json list = Json::array();
  for (const ProductPlan& p : products)
    list.push_back({{"what", p.what},
                    {"evaluation", name_in(evaluation_names, p.evaluation)},
                    {"arithmetics", p.arithmetics},
                    {"ns_per_mac", {p.fastest * 1e9, p.slowest * 1e9}}});
  return list;
}

Json truth_json(const TruthCost& truth) {
  if (truth.cells == 0) return {};
  const auto whole = [](double x) { return static_cast<std::uint64_t>(std::llround(x)); };
  return {{"cells", truth.cells},
          {"scores", whole(truth.scores)},
          {"suffixes", whole(truth.suffixes)},
          {"macs", whole(truth.macs)},
          {"passes", whole(truth.passes)},
          {"subsets", whole(truth.subsets)},
          {"seconds", truth.seconds},
          {"memory", {{"shared", whole(truth.shared)}, {"per_thread", whole(truth.per_thread)}}}};
}

/// What the ground truth takes, of each of its cells.
std::string truth_text(const TruthCost& truth) {
  if (truth.cells == 0) return {};
  std::array<char, 300> text{};
  std::snprintf(
      text.data(), text.size(),
      "truth       %zu cell%s: %.0f scores, %.0f rests of passes of %.3g "
      "multiply-accumulates in all,\n            %.0f whole passes, %.3g subsets of rows; "
      "about %s of one thread each\n",
      truth.cells, truth.cells == 1 ? "" : "s", truth.scores, truth.suffixes, truth.macs,
      truth.passes, truth.subsets, duration_text(truth.seconds).c_str());
  return text.data();
}

Json rankings_json(const RankingCost& cost) {
  if (cost.rankings == 0) return {};
  const auto whole = [](double x) { return static_cast<std::uint64_t>(std::llround(x)); };
  return {{"rankings", cost.rankings},
          {"suffixes", whole(cost.suffixes)},
          {"macs", whole(cost.macs)},
          {"seconds", cost.seconds},
          {"memory", {{"shared", whole(cost.shared)}, {"per_thread", whole(cost.per_thread)}}}};
}

/// What rules take that know the pass, of each sequence.
std::string rankings_text(const RankingCost& cost) {
  if (cost.rankings == 0) return {};
  std::array<char, 300> text{};
  std::snprintf(text.data(), text.size(),
                "rankings    %zu of a sequence, which rules know before a pass: %.0f rests of "
                "passes of %.3g\n            multiply-accumulates in all; about %s of one thread\n",
                cost.rankings, cost.suffixes, cost.macs, duration_text(cost.seconds).c_str());
  return text.data();
}

/// The least that a run with [stop] takes; all else is of the most.
Json stop_json(const RunPlan& plan) {
  if (plan.least_sequences == 0) return {};
  return {{"sequences", plan.least_sequences},
          {"passes", plan.least_sequences * (plan.computed + plan.variants)},
          {"seconds",
           {{"one_thread", seconds(plan, 1, plan.least_sequences)},
            {"all", seconds(plan, plan.threads, plan.least_sequences)}}}};
}

std::string stop_text(const RunPlan& plan) {
  if (plan.least_sequences == 0) return {};
  return "stop        after " + std::to_string(plan.least_sequences) + " to " +
         std::to_string(plan.sequences) + " sequences in all: about " +
         duration_text(seconds(plan, plan.threads, plan.least_sequences)) + " to " +
         duration_text(seconds(plan, plan.threads)) + "; all else is said of the most\n";
}

Json as_json(const Experiment& experiment, const RunPlan& plan) {
  const auto whole = [](double x) { return static_cast<std::uint64_t>(std::llround(x)); };
  return {{"title", experiment.config.title},
          {"experiment", nullptr},  // the weights enter it
          {"texts", experiment.config.tokens.paths.size()},
          {"sequences", plan.sequences},
          {"sequence_length", experiment.config.tokens.sequence_length},
          {"stop", stop_json(plan)},
          {"continuation", experiment.config.continuation
                               ? Json{{"prefix", experiment.config.continuation->prefix},
                                      {"tokens", experiment.config.continuation->tokens}}
                               : Json()},
          {"truth", truth_json(plan.truth)},
          {"rankings", rankings_json(plan.rankings)},
          {"grid_points", plan.points},
          {"cells", plan.cells},
          {"computed", plan.computed},
          {"passes", plan.sequences * (plan.computed + plan.variants)},
          {"macs_per_pass", whole(plan.macs)},
          {"products", products_json(plan.products)},
          {"memory",
           {{"peak", whole(plan.peak)},
            {"program", whole(plan.program)},
            {"weights", whole(plan.memory.weights)},
            {"reference", whole(plan.memory.reference)},
            {"workspace_per_thread", whole(plan.memory.workspace)},
            {"recorded", whole(plan.memory.recorded)}}},
          {"disk", {{"shards", whole(plan.shards)}, {"result", whole(plan.result)}}},
          {"seconds",
           {{"start", plan.start_seconds},
            {"cell", plan.cell_seconds},
            {"reference", plan.reference_seconds},
            {"output", number(plan.sequences) * plan.output_seconds},
            {"one_thread", seconds(plan, 1)},
            {"all", seconds(plan, plan.threads)}}},
          {"threads", plan.threads}};
}

/// "0.08", "12": nanoseconds to two digits.
std::string nanoseconds(double seconds) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2g", seconds * 1e9);
  return text.data();
}

/// "products    scores: kernel-32, 0.07 to 0.1 ns a multiply-accumulate, 3 arithmetics", a line
/// each.
std::string products_text(const std::vector<ProductPlan>& products) {
  std::string text;
  for (const ProductPlan& p : products) {
    text += text.empty() ? "products    " : "            ";
    for (std::size_t i = 0; i < p.what.size(); ++i) text += (i == 0 ? "" : ", ") + p.what[i];
    const std::string least = nanoseconds(p.fastest), most = nanoseconds(p.slowest);
    text += ": " + std::string(name_in(evaluation_names, p.evaluation)) + ", " + least +
            (least == most ? "" : " to " + most) + " ns each" +
            (p.arithmetics == 1 ? "" : ", " + std::to_string(p.arithmetics) + " arithmetics") +
            "\n";
  }
  return text;
}

std::string plain(const Experiment& experiment, const RunPlan& plan) {
  const auto count = [](std::size_t n, const std::string& what) {
    return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
  };
  std::string text = experiment.config.title + "\ngrid        " + count(plan.points, "point");
  if (plan.cells != plan.points) text += ", " + std::to_string(plan.cells) + " of them different";
  if (plan.computed != plan.cells)
    text += "; " + std::to_string(plan.computed) +
            " to compute, to which the others must be equal (more where rows have NaN or ties)";
  for (const GridAxis& axis : experiment.config.grid)
    text += "\n              " + axis.key + ": " + std::to_string(axis.values.size());
  const std::optional<ContinuationConfig>& asked = experiment.config.continuation;
  const std::string continued = asked ? "continued   " + count(asked->tokens, "token") +
                                            " after the first " + std::to_string(asked->prefix) +
                                            ", in each pass\n"
                                      : "";
  text += "\ntokens      " + count(experiment.config.tokens.paths.size(), "text") + ", " +
          count(plan.sequences, "sequence") + " of " +
          std::to_string(experiment.config.tokens.sequence_length) + " in all\n" + continued +
          stop_text(plan) + "passes      " +
          std::to_string(plan.sequences * (plan.computed + plan.variants)) + " (" +
          (plan.variants == 1 ? "a reference" : count(plan.variants, "reference")) + " and " +
          count(plan.computed, "cell") + " a sequence), " +
          std::to_string(std::llround(plan.macs * 1e-6)) + " million multiply-accumulates each\n" +
          products_text(plan.products) + truth_text(plan.truth) + rankings_text(plan.rankings);
  const MemoryCost& m = plan.memory;
  text += "memory      about " + bytes_text(plan.peak) + " with " + count(plan.threads, "thread") +
          ": program " + bytes_text(plan.program) + ", weights " + bytes_text(m.weights) +
          ",\n            reference " + bytes_text(m.reference) + ", workspace " +
          bytes_text(m.workspace) + " a thread, recorded " + bytes_text(m.recorded) + "\n";
  text += "disk        about " + bytes_text(plan.shards) + " of shards and " +
          bytes_text(plan.result) + " of result.h5\n";
  text += "time        about " + duration_text(seconds(plan, plan.threads)) + " with " +
          count(plan.threads, "thread") + ", " + duration_text(seconds(plan, 1)) +
          " with one; estimated from kernels run for milliseconds\n";
  if (plan.unlimited_reference) {
    const double all = number(plan.sequences * plan.variants) * plan.reference_seconds;
    text += "reference   " + experiment.config.reference + " takes about " + duration_text(all) +
            " of that with one thread" +
            (all > long_wait ? ": too long to wait for? fewer bits, sequences or tokens take less\n"
                             : "\n");
  }
  return text;
}

}  // namespace

int plan_command(const PlanOptions& options) {
  const double start = thread_seconds();
  const Result<Experiment> experiment =
      prepare(options.config, options.sets, read_model_without_weights);
  if (!experiment) return report("plan", experiment.error());
  const double read = thread_seconds() - start;
  RunPlan plan = estimate(*experiment, options.threads);
  plan.start_seconds += read;
  std::cout << (options.json ? json_text(as_json(*experiment, plan)) + '\n'
                             : plain(*experiment, plan));
  return 0;
}

}  // namespace lamp::experiments
