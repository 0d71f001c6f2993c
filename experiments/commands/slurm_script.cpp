#include "experiments/commands/slurm_script.hpp"

#include <algorithm>

#include "experiments/config/value.hpp"

namespace lamp::experiments {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 9 && std::all_of(text.begin(), text.end(), is_digit);
}

/// A file name on a line of #SBATCH. Slurm reads quotes, and %% as %.
std::string slurm_file(const std::filesystem::path& file, std::string_view pattern) {
  std::string quoted = "\"";
  for (const char c : file.string()) {
    if (c == '"') quoted += '\\';
    quoted += c;
    if (c == '%') quoted += '%';
  }
  return quoted.append(pattern) + '"';
}

/// The lines that sbatch reads. `log`: name of the log, with Slurm's patterns.
std::string options_of(const SlurmScripts& scripts, const SlurmJob& job, std::string_view log) {
  std::string text;
  for (const std::string& reason : job.reasons) text += "# " + reason + "\n";
  const auto option = [&](const std::string& words) { text += "#SBATCH --" + words + "\n"; };
  option("ntasks=1");
  option("cpus-per-task=" + std::to_string(job.threads));
  option("mem=" + job.memory);
  option("time=" + job.time);
  if (!job.partition.empty()) option("partition=" + job.partition);
  option("requeue");
  option("open-mode=append");
  option("output=" + slurm_file(scripts.folder / "", log));
  return text;
}

}  // namespace

std::filesystem::path array_file(const SlurmScripts& scripts) {
  return scripts.folder / "array.sh";
}
std::filesystem::path merge_file(const SlurmScripts& scripts) {
  return scripts.folder / "merge.sh";
}

std::string array_script(const SlurmScripts& scripts) {
  const std::string parts = std::to_string(scripts.parts);
  return "#!/bin/bash\n# " + scripts.title + ", parts 1 to " + parts +
         ": written by lamp slurm. What ends early continues where it was: a task whose\n"
         "# node dies by itself, any other one when this is submitted again.\n"
         "#SBATCH --job-name=lamp\n#SBATCH --array=1-" +
         parts + "\n" + options_of(scripts, scripts.part, "array-%a.log") +
         "\npart=\"${SLURM_ARRAY_TASK_ID:?is the number of the part, which sbatch sets}\"\n"
         "echo \"part $part of " +
         parts +
         ", restart ${SLURM_RESTART_COUNT:-0}, on $(hostname)\" >&2\n\n"
         "# A signal is lamp's to answer: it publishes what is finished, and is waited for.\n"
         "trap : INT TERM\n"
         "summary=$(exec " +
         shell_line(scripts.run) + " --shard \"$part/" + parts +
         "\")\ncode=$?\nprintf '%s\\n' \"$summary\"\n\n"
         "# 75 with a summary: this part is done, others may not be. Without one another run has "
         "the\n"
         "# folder, and nothing was done.\n"
         "if [ \"$code\" -eq 75 ] && [ -n \"$summary\" ]; then exit 0; fi\n"
         "exit \"$code\"\n";
}

std::string merge_script(const SlurmScripts& scripts) {
  return "#!/bin/bash\n# " + scripts.title +
         ", its result: written by lamp slurm. Ends with 75 where a part is not done.\n"
         "#SBATCH --job-name=lamp-merge\n" +
         options_of(scripts, scripts.joined, "merge.log") + "\nexec " + shell_line(scripts.merge) +
         "\n";
}

std::vector<std::string> submit_lines(const SlurmScripts& scripts) {
  return {
      "job=$(sbatch --parsable " + shell_word(array_file(scripts).string()) + ") &&",
      "sbatch --dependency=afterany:\"${job%%;*}\" " + shell_word(merge_file(scripts).string())};
}

bool is_slurm_time(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash != std::string_view::npos && !is_number(text.substr(0, dash))) return false;
  if (dash != std::string_view::npos) text.remove_prefix(dash + 1);
  if (std::count(text.begin(), text.end(), ':') > 2) return false;
  for (std::size_t colon = 0; colon != std::string_view::npos; text.remove_prefix(colon + 1)) {
    colon = text.find(':');
    if (!is_number(text.substr(0, colon))) return false;
    if (colon == std::string_view::npos) break;
  }
  return true;
}

bool is_slurm_memory(std::string_view text) {
  constexpr std::string_view units = "KMGTkmgt";
  if (!text.empty() && units.find(text.back()) != std::string_view::npos) text.remove_suffix(1);
  return is_number(text);
}

bool is_slurm_partition(std::string_view text) {
  return !text.empty() && text.front() != '-' && std::all_of(text.begin(), text.end(), [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("_-.,").find(c) != std::string_view::npos;
  });
}

bool is_slurm_path(const std::filesystem::path& path) {
  const std::string text = path.string();
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F || c == '\\';
  });
}

}  // namespace lamp::experiments
