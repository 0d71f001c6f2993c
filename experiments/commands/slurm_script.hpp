// The two scripts of a run by parts under Slurm, as text: a job array whose tasks are the parts,
// and the job that joins them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace lamp::experiments {

/// What a script says besides the command: all as sbatch takes it, and why, in words of one line.
struct SlurmJob {
  std::size_t threads = 1;
  std::string memory, time;
  std::string partition{};  // empty: the cluster's default
  std::vector<std::string> reasons{};
};

struct SlurmScripts {
  std::string title;               // of the run, one line
  std::filesystem::path folder;    // of the scripts and their logs; absolute, see is_slurm_path
  std::size_t parts = 1;           // tasks 1 to parts
  std::vector<std::string> run;    // `lamp run ..` without --shard, words
  std::vector<std::string> merge;  // `lamp merge ..`, words
  SlurmJob part{}, joined{};
};

/// Its task K runs part K and ends with 0 where that is done, although other parts are missing
/// (75); any other end of lamp is its own, with lamp's line in the log. 75 it ends with where
/// another run holds the folder. The task of a node that died is queued again.
std::string array_script(const SlurmScripts& scripts);
/// Ends as `lamp merge` does: 75 where a part did not finish.
std::string merge_script(const SlurmScripts& scripts);
/// Lines of a shell that submit both, the second to start when all tasks of the first have ended.
std::vector<std::string> submit_lines(const SlurmScripts& scripts);

std::filesystem::path array_file(const SlurmScripts& scripts);
std::filesystem::path merge_file(const SlurmScripts& scripts);

/// "90", "90:00", "1:30:00", "2-12", "2-12:00", "2-12:00:00".
bool is_slurm_time(std::string_view text);
/// Digits, and K, M, G or T.
bool is_slurm_memory(std::string_view text);
/// One or more names, joined by commas.
bool is_slurm_partition(std::string_view text);
/// Whether #SBATCH can name a file there: Slurm knows no quotation for control characters, and
/// takes no % for what it is where there is a backslash.
bool is_slurm_path(const std::filesystem::path& path);

}  // namespace lamp::experiments
