// Every command of `lamp` as a function of its options. Data goes to standard output, the rest to
// standard error; the answer is the exit code. Options are checked by main.cpp before a command
// sees them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/fp/format.hpp"

namespace lamp {
struct Model;  // core/model/weights.hpp
}

namespace lamp::experiments {

struct RunOptions {
  std::filesystem::path config;
  std::optional<std::filesystem::path> out{};  // absent: runs/<title>
  std::vector<std::string> sets{};             // KEY=VALUE, in order
  std::size_t threads = 1;                     // default of the command line: all cores
  std::size_t part = 1, parts = 1;             // --shard K/N: 1 <= part <= parts
  bool json = false;
  bool quiet = false;
  std::vector<std::string> command_line{};  // for provenance
};

struct MergeOptions {
  std::vector<std::filesystem::path> folders;  // one at least; the first one's grid
  std::optional<std::filesystem::path> out{};  // absent: result.h5 in the only folder
  bool json = false;
};

struct TokenizeOptions {
  std::filesystem::path model;
  bool decode = false;
  bool special = false;
};

struct InspectOptions {
  std::filesystem::path path;
  bool json = false;
};

struct PlanOptions {
  std::filesystem::path config;
  std::vector<std::string> sets{};
  std::size_t threads = 1;
  std::size_t shards = 0;  // parts whose cost is asked for; 0: of none
  bool json = false;
};

struct SlurmOptions {
  std::filesystem::path config;
  std::filesystem::path out;  // folder of the run
  std::size_t shards = 1;     // N of --shard K/N
  std::vector<std::string> sets{};
  std::size_t threads = 1;                 // of a part
  std::optional<std::string> time{};       // as sbatch takes it; absent: from the plan
  std::optional<std::string> memory{};     // as sbatch takes it; absent: from the plan
  std::optional<std::string> partition{};  // absent: the cluster's default
  bool json = false;
};

struct StatusOptions {
  std::filesystem::path folder;
  bool json = false;
};

struct VerifyOptions {
  std::filesystem::path folder;
  double fraction = 0.01;               // of a sequence's finished cells, in (0, 1]; one at least
  std::optional<std::uint32_t> seed{};  // of the choice of cells; absent: drawn
  bool trust = false;                   // the code of own rules, which runs
  std::size_t threads = 1;
  bool json = false;
};

struct FetchOptions {
  std::string name{};                          // of a published checkpoint
  std::optional<std::filesystem::path> dir{};  // absent: data/models/NAME of lamp's tree, ./NAME
  std::optional<std::string> from{};           // address of a folder with the same files
  bool json = false;
};

struct RevealOptions {
  std::size_t n = 0;
  FloatFormat format{};
  std::string command{};
  bool json = false;
};

/// A command as `lamp -h` shows it. Its usage drives the completion of shells too: an operand or
/// the value of an option is completed by the word that stands for it (CONFIG.toml, DIR, MODEL_DIR,
/// FILE.h5, FILE_OR_MODEL_DIR, KEY=VALUE, NAME, COMMAND; a|b is itself).
struct CommandInfo {
  std::string_view name;
  std::string_view usage;
  std::string_view meaning;
};

int run_command(const RunOptions& options);
/// One result from the folders of a run.
int merge_command(const MergeOptions& options);
/// Cells, memory, disk and time of a run, estimated; nothing is run.
int plan_command(const PlanOptions& options);
/// Scripts that run a config by parts as a job array of Slurm, and join them; submits nothing.
int slurm_command(const SlurmOptions& options);
/// How far a run is: 0 when complete, 75 when cells are missing, 65 when a shard is damaged.
int status_command(const StatusOptions& options);
/// Computes a sample of finished cells again: 1 where a bit differs.
int verify_command(const VerifyOptions& options);
/// JSON Lines in, JSON Lines out.
int calc_command(std::istream& in, std::ostream& out);
/// Every key of a config with default, legal values and meaning.
int config_command(bool json);
int version_command(bool json);
int tokenize_command(const TokenizeOptions& options, std::istream& in, std::ostream& out);
/// Downloads a published checkpoint, or what is missing of it.
int fetch_command(const FetchOptions& options);
int inspect_command(const InspectOptions& options);
/// The summation tree of a command that answers dot products, and an arithmetic that has its bits;
/// 1 where no arithmetic that is tried has them.
int reveal_command(const RevealOptions& options);
/// Becomes the program that measures, with these arguments; returns where it is not there.
int bench_command(const std::vector<std::string>& arguments);
bool bench_is_there();
/// The shells that have a script of completion.
std::vector<std::string> completed_shells();
/// The script of a shell; false where there is none.
bool completion_command(std::string_view shell);
/// What such a script asks: the ways in which the words after `lamp`, of which the last is being
/// typed, go on.
int words_command(std::span<const CommandInfo> commands, std::span<const std::string> words);

/// One line on standard error, "lamp COMMAND: message"; returns the error's exit code.
int report(std::string_view command, const Error& error);
/// A line on standard error where the checkpoint of a folder has a head that its config.json
/// denies.
void warn_of_head(std::string_view command, const std::filesystem::path& folder,
                  const Model& model);

/// A number on the command line: decimal digits only, the whole text, within [min, max].
std::optional<std::size_t> parse_count(std::string_view text, std::size_t min, std::size_t max);

}  // namespace lamp::experiments
