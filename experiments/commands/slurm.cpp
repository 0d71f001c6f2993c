// lamp slurm: a run by parts as a job array, written as two scripts into the folder of the run.
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "core/base/system_error.hpp"
#include "core/model/files/strict_json.hpp"
#include "core/record/publish.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/commands/requests.hpp"
#include "experiments/commands/run_estimate.hpp"
#include "experiments/commands/slurm_script.hpp"
#include "experiments/commands/text.hpp"
#include "experiments/config/value.hpp"
#include "experiments/run/progress.hpp"
#include "experiments/run/run_folder.hpp"

namespace lamp::experiments {
namespace {

constexpr double memory_margin = 1.1, time_margin = 2.0;  // nodes may be slower than this machine

/// As sbatch takes it, rounded up.
std::string mebibytes(double bytes) {
  return std::to_string(std::llround(std::ceil(bytes / (1024.0 * 1024.0)))) + "M";
}
std::string minutes(double seconds) {
  return std::to_string(std::llround(std::ceil(seconds / 60.0)));
}

/// Whether the folder can be that of the run. Whose it is the weights tell too, which are read
/// where somebody's study.toml is there.
Result<void> check_out(const SlurmOptions& options, const Experiment& without_weights) {
  if (!is_slurm_path(options.out))
    return Error{ExitCode::usage, "--out " + toml_string(options.out.string()) +
                                      ": sbatch takes no file there; legal: a folder without "
                                      "control characters and backslashes in its path"};
  if (!may_be_there(options.out / "study.toml")) return check_own(options.out, without_weights);
  const Result<Experiment> experiment = prepare(options.config, options.sets);
  return experiment ? check_own(options.out, *experiment) : Result<void>(experiment.error());
}

/// What a job asks for; `what` takes `seconds` as planned.
SlurmJob job_of(const SlurmOptions& options, const RunPlan& plan, double seconds,
                const std::string& what, const std::optional<std::string>& time) {
  const std::string estimate = "lamp plan estimates " + bytes_text(plan.peak) + " with " +
                               std::to_string(plan.threads) +
                               (plan.threads == 1 ? " thread" : " threads");
  return {
      .memory = options.memory.value_or(mebibytes(memory_margin * plan.peak)),
      .time = time.value_or(minutes(time_margin * seconds)),
      .partition = options.partition.value_or(""),
      .reasons = {
          "Memory: " + std::string(options.memory ? "as given by --mem; " : "1.1 times what ") +
              estimate + ".",
          "Time: " +
              std::string(time ? "as given by --time; lamp plan estimates "
                               : "twice what lamp plan estimates, ") +
              duration_text(seconds) + " for " + what + " on the machine where this was written."}};
}

SlurmScripts scripts_of(const SlurmOptions& options, const Experiment& experiment,
                        const RunPlan& plan) {
  std::error_code failure;
  const std::string lamp = std::filesystem::read_symlink("/proc/self/exe", failure).string(),
                    out = std::filesystem::absolute(options.out).string();
  const PartPlan part = largest_part(plan, options.shards);
  SlurmScripts scripts{
      .title = one_line(experiment.config.title),
      .folder = std::filesystem::path(out) / "slurm",
      .parts = options.shards,
      .run = {lamp, "run", std::filesystem::absolute(options.config).string(), "--out", out},
      .merge = {lamp, "merge", out}};
  for (const std::string& set : options.sets) scripts.run.insert(scripts.run.end(), {"--set", set});
  scripts.run.insert(scripts.run.end(),
                     {"--threads", std::to_string(options.threads), "--quiet", "--json"});
  scripts.part = job_of(options, plan, part.seconds,
                        std::to_string(part.sequences) + " of " +
                            std::to_string(plan.sequences * plan.variants) +
                            (plan.variants == 1 ? " sequences" : " sequences of all variants"),
                        options.time);
  scripts.part.threads = options.threads;
  scripts.joined = job_of(options, plan, merge_seconds(plan), "the merge", {});
  return scripts;
}

Result<void> write(const std::filesystem::path& file, const std::string& text) {
  return record::publish(file, std::as_bytes(std::span(text)));
}

Result<void> write(const SlurmScripts& scripts) {
  std::error_code failure;
  std::filesystem::create_directories(scripts.folder, failure);
  if (failure) return system_error(scripts.folder, "cannot create it", failure.value());
  if (Result<void> array = write(array_file(scripts), array_script(scripts)); !array) return array;
  return write(merge_file(scripts), merge_script(scripts));
}

nlohmann::ordered_json as_json(const SlurmScripts& scripts, const RunPlan& plan) {
  const PartPlan part = largest_part(plan, scripts.parts);
  return {{"array", array_file(scripts).string()},
          {"merge", merge_file(scripts).string()},
          {"parts", scripts.parts},
          {"sequences", part.sequences},
          {"threads", scripts.part.threads},
          {"memory", scripts.part.memory},
          {"time", scripts.part.time},
          {"merge_time", scripts.joined.time},
          {"estimate",
           {{"memory", std::llround(plan.peak)},
            {"seconds", part.seconds},
            {"merge_seconds", merge_seconds(plan)}}},
          {"submit", submit_lines(scripts)}};
}

}  // namespace

int slurm_command(const SlurmOptions& options) {
  const Result<Experiment> experiment =
      prepare(options.config, options.sets, read_model_without_weights);
  if (!experiment) return report("slurm", experiment.error());
  if (const Result<void> legal = check_planned_parts(*experiment, options.shards); !legal)
    return report("slurm", legal.error());
  const RunPlan plan = estimate(*experiment, options.threads);
  if (const Result<void> ours = check_out(options, *experiment); !ours)
    return report("slurm", ours.error());

  const SlurmScripts scripts = scripts_of(options, *experiment, plan);
  if (const Result<void> written = write(scripts); !written)
    return report("slurm", written.error());
  if (options.json) {
    std::cout << json_text(as_json(scripts, plan)) << "\n";
    return 0;
  }
  for (const std::string& line : submit_lines(scripts)) std::cout << line << "\n";
  std::cerr << "lamp slurm: nothing is submitted yet; the commands above do it\n";
  return 0;
}

}  // namespace lamp::experiments
