// lamp plan: what a run of a config will take. Reads what the run reads, runs nothing of it, writes
// nothing.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "core/model/files/strict_json.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/commands/requests.hpp"
#include "experiments/commands/run_estimate.hpp"
#include "experiments/commands/text.hpp"
#include "experiments/commands/timing.hpp"
#include "experiments/config/own_rules.hpp"
#include "experiments/run/progress.hpp"

namespace lamp::experiments {
namespace {

constexpr double long_wait = 86400.0;  // seconds

double number(std::size_t n) { return static_cast<double>(n); }

double seconds(const RunPlan& plan, std::size_t threads) {
  return seconds_of(plan, threads, number(plan.sequences));
}

/// What of the most that [stop] may take the least is.
double least_share(const RunPlan& plan) {
  return number(plan.least_sequences) / number(plan.sequences);
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

/// Own rules, whose time is not known.
std::vector<std::string> rules_of(const Experiment& experiment) {
  std::vector<std::string> rules;
  for (const OwnRuleName& rule : own_rules_of(experiment.config))
    rules.push_back(own_rule_text(rule));
  return rules;
}

std::string rules_text(const Experiment& experiment) {
  std::string text;
  for (const std::string& rule : rules_of(experiment))
    text += (text.empty() ? "own rules   " : "            ") + one_line(rule) + "\n";
  if (text.empty()) return text;
  return text + "            evaluated by a python3 for each thread, " +
         bytes_text(interpreter_bytes) + " each; what the rules take is not known\n";
}

/// The least that a run with [stop] takes; all else is of the most.
Json stop_json(const RunPlan& plan) {
  if (plan.least_sequences == 0) return {};
  const auto whole = [&](double x) {
    return static_cast<std::uint64_t>(std::llround(x * least_share(plan)));
  };
  return {{"sequences", plan.least_sequences},
          {"passes", plan.least_sequences * (plan.computed + plan.variants)},
          {"disk", {{"shards", whole(plan.shards)}, {"result", whole(plan.result)}}},
          {"seconds",
           {{"one_thread", seconds_of(plan, 1, number(plan.least_sequences))},
            {"all", seconds_of(plan, plan.threads, number(plan.least_sequences))}}}};
}

std::string stop_text(const RunPlan& plan) {
  if (plan.least_sequences == 0) return {};
  const auto line = [&](const char* name, std::size_t sequences) {
    return std::string(name) + std::to_string(sequences) +
           " sequences in all: " + std::to_string(sequences * (plan.computed + plan.variants)) +
           " passes, about " +
           bytes_text(plan.shards * number(sequences) / number(plan.sequences)) + " of shards, " +
           duration_text(seconds_of(plan, plan.threads, number(sequences))) + "\n";
  };
  return line("stop        at least ", plan.least_sequences) +
         line("            at most  ", plan.sequences) +
         "            all else is said of the most\n";
}

/// One of the parts that --shards asks for; no member of the others.
Json parts_json(const RunPlan& plan, std::size_t parts) {
  if (parts == 0) return {};
  const PartPlan part = largest_part(plan, parts);
  const auto whole = [](double x) { return static_cast<std::uint64_t>(std::llround(x)); };
  return {{"count", part.parts},        {"sequences", part.sequences},
          {"memory", whole(plan.peak)}, {"disk", whole(part.shards)},
          {"seconds", part.seconds},    {"merge_seconds", merge_seconds(plan)}};
}

std::string parts_text(const RunPlan& plan, std::size_t parts) {
  if (parts == 0) return {};
  const PartPlan part = largest_part(plan, parts);
  return "parts       " + std::to_string(parts) + " of " + std::to_string(part.sequences) +
         (part.sequences == 1 ? " sequence" : " sequences at most") +
         (plan.variants == 1 ? "" : " (each in one variant)") + ": about " + bytes_text(plan.peak) +
         " and " + duration_text(part.seconds) + " each, with " + std::to_string(plan.threads) +
         (plan.threads == 1 ? " thread" : " threads") + ";\n            lamp merge about " +
         duration_text(merge_seconds(plan)) + "\n";
}

std::size_t shortest(const Experiment& experiment) {
  std::size_t least = experiment.config.tokens.sequence_length;
  for (const TokenSequence& sequence : experiment.tokens.sequences)
    least = std::min(least, sequence.ids.size());
  return least;
}

/// "48", or "12 to 48 (each counted as 48)".
std::string lengths_text(const Experiment& experiment) {
  const std::size_t longest = experiment.config.tokens.sequence_length,
                    least = shortest(experiment);
  return least == longest ? std::to_string(longest)
                          : std::to_string(least) + " to " + std::to_string(longest) +
                                " (each counted as " + std::to_string(longest) + ")";
}

Json as_json(const Experiment& experiment, const RunPlan& plan, std::size_t parts) {
  const auto whole = [](double x) { return static_cast<std::uint64_t>(std::llround(x)); };
  return {{"title", experiment.config.title},
          {"experiment", nullptr},  // the weights enter it
          {"texts", experiment.config.tokens.paths.size()},
          {"sequences", plan.sequences},
          {"sequence_length", experiment.config.tokens.sequence_length},
          {"shortest", shortest(experiment) < experiment.config.tokens.sequence_length
                           ? Json(shortest(experiment))
                           : Json()},
          {"stop", stop_json(plan)},
          {"continuation", experiment.config.continuation
                               ? Json{{"prefix", experiment.config.continuation->prefix},
                                      {"tokens", experiment.config.continuation->tokens}}
                               : Json()},
          {"truth", truth_json(plan.truth)},
          {"rankings", rankings_json(plan.rankings)},
          {"own_rules", rules_of(experiment)},
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
          {"threads", plan.threads},
          {"parts", parts_json(plan, parts)}};
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

std::string plain(const Experiment& experiment, const RunPlan& plan, std::size_t parts) {
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
          count(plan.sequences, "sequence") + " of " + lengths_text(experiment) + " in all\n" +
          continued + stop_text(plan) + "passes      " +
          std::to_string(plan.sequences * (plan.computed + plan.variants)) + " (" +
          (plan.variants == 1 ? "a reference" : count(plan.variants, "reference")) + " and " +
          count(plan.computed, "cell") + " a sequence), " +
          std::to_string(std::llround(plan.macs * 1e-6)) + " million multiply-accumulates each\n" +
          products_text(plan.products) + truth_text(plan.truth) + rankings_text(plan.rankings) +
          rules_text(experiment);
  const MemoryCost& m = plan.memory;
  text += "memory      about " + bytes_text(plan.peak) + " with " + count(plan.threads, "thread") +
          ": program " + bytes_text(plan.program) + ", weights " + bytes_text(m.weights) +
          ",\n            reference " + bytes_text(m.reference) + ", workspace " +
          bytes_text(m.workspace) + " a thread, recorded " + bytes_text(m.recorded) + "\n";
  text += "disk        about " + bytes_text(plan.shards) + " of shards and " +
          bytes_text(plan.result) + " of result.h5\n";
  text += "time        about " + duration_text(seconds(plan, plan.threads)) + " with " +
          count(plan.threads, "thread") + ", " + duration_text(seconds(plan, 1)) +
          " with one; estimated from kernels run for milliseconds\n" + parts_text(plan, parts);
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
  if (options.shards > 0)
    if (const Result<void> legal = check_planned_parts(*experiment, options.shards); !legal)
      return report("plan", legal.error());
  RunPlan plan = estimate(*experiment, options.threads);
  plan.start_seconds += read;
  std::cout << (options.json ? json_text(as_json(*experiment, plan, options.shards)) + '\n'
                             : plain(*experiment, plan, options.shards));
  return 0;
}

}  // namespace lamp::experiments
