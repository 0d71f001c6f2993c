// `lamp`: finds the command, checks its options, calls it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdint>
#include <iostream>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/arith/reveal/reveal.hpp"
#include "experiments/build_info.hpp"
#include "experiments/commands/arguments.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/commands/formats.hpp"
#include "experiments/commands/program.hpp"
#include "experiments/commands/slurm_script.hpp"
#include "experiments/config/arithmetic.hpp"
#include "experiments/config/suggestions.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments {
namespace {

constexpr std::size_t most_parts = 1'000'000;

struct Command {
  CommandInfo info;
  int (*call)(const Arguments&) = nullptr;
  bool (*is_there)() = nullptr;  // null: always. It is not listed where it is not
};

/// Those that are there.
std::vector<CommandInfo> known_commands();

int call_config(const Arguments& arguments) {
  CLI::App app("Every key of a config with its default, legal values and meaning.");
  bool json = false;
  app.add_flag("--json", json, "one JSON object");
  if (const std::optional<int> code = parse(app, "config", arguments)) return *code;
  return config_command(json);
}

int call_version(const Arguments& arguments) {
  CLI::App app("What this binary was made from and with.");
  bool json = false;
  app.add_flag("--json", json, "one JSON object");
  if (const std::optional<int> code = parse(app, "version", arguments)) return *code;
  return version_command(json);
}

/// Standard input, whose failures can be told from its end: stdio's would be taken for it.
std::istream& standard_input() {
  std::ios::sync_with_stdio(false);
  return std::cin;
}

int call_tokenize(const Arguments& arguments) {
  CLI::App app("Text to token ids, or back; standard input to standard output.");
  std::string model;
  TokenizeOptions options;
  app.add_option("MODEL_DIR", model, "folder with vocab.json and merges.txt")->required();
  app.add_flag("--decode", options.decode, "ids to text");
  app.add_flag("--special", options.special, "<|endoftext|> is the end-of-text token, not text");
  if (const std::optional<int> code = parse(app, "tokenize", arguments)) return *code;
  if (options.decode && options.special)
    return usage_error("tokenize", "--special has no meaning with --decode; legal: one of them");
  options.model = model;
  return tokenize_command(options, standard_input(), std::cout);
}

int call_inspect(const Arguments& arguments) {
  CLI::App app("What a result file, a shard, a model folder or a GGUF contains.");
  std::string path;
  InspectOptions options;
  app.add_option("FILE_OR_MODEL_DIR", path, "result.h5, a shard, a model folder or a GGUF")
      ->required();
  app.add_flag("--json", options.json, "one JSON object");
  if (const std::optional<int> code = parse(app, "inspect", arguments)) return *code;
  options.path = path;
  return inspect_command(options);
}

int call_fetch(const Arguments& arguments) {
  CLI::App app(
      "Downloads a published checkpoint and checks its bytes before they get their names. The same "
      "command continues what was cut; what is there already is checked, not loaded again.");
  std::string dir, from;
  FetchOptions options;
  app.add_option("NAME", options.name, "gpt2, gpt2-medium, gpt2-large, gpt2-xl or distilgpt2")
      ->required();
  app.add_option("--dir", dir,
                 "folder of the model (default: data/models/NAME of the tree that this program was "
                 "built in; ./NAME elsewhere)");
  app.add_option("--from", from,
                 "address under which the files are, under their names; http or https");
  app.add_flag("--json", options.json, "one JSON object on standard output when done");
  if (const std::optional<int> code = parse(app, "fetch", arguments)) return *code;
  if (app.count("--dir") > 0) {
    if (dir.empty()) return usage_error("fetch", "--dir is empty; legal: a folder");
    options.dir = dir;
  }
  if (app.count("--from") > 0) options.from = from;
  return fetch_command(options);
}

/// What is wrong with the value of --shards.
std::string illegal_parts(const std::string& shards) {
  return "--shards " + toml_string(shards) + " is not legal; legal: 1 to " +
         std::to_string(most_parts);
}

int call_run(const Arguments& arguments) {
  CLI::App app(
      "Runs the grid of a config and records every cell; continues what the folder already holds.");
  std::string config, out, threads, shard;
  RunOptions options;
  app.add_option("CONFIG.toml", config, "the experiment")->required();
  app.add_option("--out", out, "folder of the run (default: runs/<title>)");
  app.add_option("--set", options.sets, "KEY=VALUE: overrides a key of the config; repeatable")
      ->allow_extra_args(false);
  app.add_option("--threads", threads, "number of threads (default: all cores)");
  app.add_option("--shard", shard, "K/N: only the K-th of N parts of the sequences, K from 1");
  app.add_flag("--json", options.json, "one JSON object on standard output when done");
  app.add_flag("--quiet", options.quiet, "no progress");
  if (const std::optional<int> code = parse(app, "run", arguments)) return *code;
  options.config = config;
  options.command_line = arguments;
  options.command_line.insert(options.command_line.begin(), {"lamp", "run"});
  if (app.count("--out") > 0) {
    if (out.empty()) return usage_error("run", "--out is empty; legal: a folder");
    options.out = out;
  }
  const Result<std::size_t> count = thread_count(app, threads);
  if (!count) return report("run", count.error());
  options.threads = *count;
  if (app.count("--shard") > 0) {
    const std::size_t slash = shard.find('/');
    const std::optional<std::size_t> parts =
        slash == std::string::npos
            ? std::nullopt
            : parse_count(std::string_view(shard).substr(slash + 1), 1, most_parts);
    const std::optional<std::size_t> part =
        parts ? parse_count(std::string_view(shard).substr(0, slash), 1, *parts) : std::nullopt;
    if (!part)
      return usage_error(
          "run", "--shard " + toml_string(shard) +
                     " is not legal; legal: K/N with 1 <= K <= N <= " + std::to_string(most_parts));
    options.part = *part;
    options.parts = *parts;
  }
  return run_command(options);
}

int call_merge(const Arguments& arguments) {
  CLI::App app(
      "Writes the result file of a run; 75 while cells are missing. Of several folders of one "
      "experiment, from other machines say, the file has the grid of the first, with the cells of "
      "all.");
  std::string out;
  std::vector<std::string> folders;
  MergeOptions options;
  app.add_option("DIR", folders, "folder of the run; more than one are joined")->required();
  app.add_option("--out", out, "file to write (default: DIR/result.h5; of several folders none)");
  app.add_flag("--json", options.json, "one JSON object on standard output when done");
  if (const std::optional<int> code = parse(app, "merge", arguments)) return *code;
  options.folders.assign(folders.begin(), folders.end());
  if (app.count("--out") > 0) {
    if (out.empty()) return usage_error("merge", "--out is empty; legal: a file");
    options.out = out;
  } else if (folders.size() > 1) {
    return usage_error("merge", "--out is missing: the result of several folders; legal: a file");
  }
  return merge_command(options);
}

int call_plan(const Arguments& arguments) {
  CLI::App app(
      "Cells, memory, disk and time that a run of a config would take. An estimate: nothing is run "
      "or written.");
  std::string config, threads, shards;
  PlanOptions options;
  app.add_option("CONFIG.toml", config, "the experiment")->required();
  app.add_option("--set", options.sets, "KEY=VALUE: overrides a key of the config; repeatable")
      ->allow_extra_args(false);
  app.add_option("--threads", threads, "number of threads of the run (default: all cores)");
  app.add_option("--shards", shards, "N: also what one of N parts takes, `lamp run --shard K/N`");
  app.add_flag("--json", options.json, "one JSON object");
  if (const std::optional<int> code = parse(app, "plan", arguments)) return *code;
  const Result<std::size_t> count = thread_count(app, threads);
  if (!count) return report("plan", count.error());
  if (app.count("--shards") > 0) {
    const std::optional<std::size_t> parts = parse_count(shards, 1, most_parts);
    if (!parts) return usage_error("plan", illegal_parts(shards));
    options.shards = *parts;
  }
  options.config = config;
  options.threads = *count;
  return plan_command(options);
}

int call_slurm(const Arguments& arguments) {
  CLI::App app(
      "Writes the scripts of a run by parts under Slurm, DIR/slurm/{array,merge}.sh, and prints "
      "the commands that submit them.");
  std::string config, out, shards, threads, time, memory, partition;
  SlurmOptions options;
  app.add_option("CONFIG.toml", config, "the experiment")->required();
  app.add_option("--out", out, "folder of the run, which all nodes see")->required();
  app.add_option("--shards", shards, "number of parts: tasks of the job array")->required();
  app.add_option("--set", options.sets, "KEY=VALUE: overrides a key of the config; repeatable")
      ->allow_extra_args(false);
  app.add_option("--threads", threads, "number of threads of a part (default: 1)");
  app.add_option("--time", time, "limit of a part, as sbatch takes it (default: from the plan)");
  app.add_option("--mem", memory, "memory of a part, as sbatch takes it (default: from the plan)");
  app.add_option("--partition", partition, "of the cluster (default: the cluster's)");
  app.add_flag("--json", options.json, "one JSON object on standard output");
  if (const std::optional<int> code = parse(app, "slurm", arguments)) return *code;
  if (out.empty()) return usage_error("slurm", "--out is empty; legal: a folder");
  const std::optional<std::size_t> parts = parse_count(shards, 1, most_parts);
  if (!parts) return usage_error("slurm", illegal_parts(shards));
  if (app.count("--threads") > 0) {
    const Result<std::size_t> count = thread_count(app, threads);
    if (!count) return report("slurm", count.error());
    options.threads = *count;
  }
  struct Word {
    const char* option;
    const std::string& text;
    bool (*is_legal)(std::string_view);
    const char* legal;
    std::optional<std::string>& value;
  };
  for (const Word& word :
       {Word{"--time", time, is_slurm_time,
             "minutes, [hours:]minutes:seconds, days-hours[:minutes[:seconds]]", options.time},
        Word{"--mem", memory, is_slurm_memory, "digits, and K, M, G or T", options.memory},
        Word{"--partition", partition, is_slurm_partition, "names, joined by commas",
             options.partition}}) {
    if (app.count(word.option) == 0) continue;
    if (!word.is_legal(word.text))
      return usage_error("slurm", std::string(word.option) + " " + toml_string(word.text) +
                                      " is not legal; legal: " + word.legal);
    word.value = word.text;
  }
  options.config = config;
  options.out = out;
  options.shards = *parts;
  return slurm_command(options);
}

int call_status(const Arguments& arguments) {
  CLI::App app(
      "How far a run is. 0 when it is complete, 75 while cells are missing, 65 when a shard is "
      "damaged.");
  std::string folder;
  StatusOptions options;
  app.add_option("DIR", folder, "folder of the run")->required();
  app.add_flag("--json", options.json, "one JSON object");
  if (const std::optional<int> code = parse(app, "status", arguments)) return *code;
  options.folder = folder;
  return status_command(options);
}

int call_verify(const Arguments& arguments) {
  CLI::App app(
      "Computes finished cells again and compares every recorded bit; 1 when one differs.");
  std::string folder, fraction, seed, threads;
  VerifyOptions options;
  app.add_option("DIR", folder, "folder of the run")->required();
  app.add_option("--fraction", fraction,
                 "part of the finished cells, in (0, 1]; at least one a sequence (default: 0.01)");
  app.add_option("--seed", seed,
                 "of the random choice of these cells, which every run tells (default: another one "
                 "each time)");
  app.add_flag(
      "--trust", options.trust,
      "runs the code of the folder's own rules (python:FILE:FUNCTION), which must be trusted");
  app.add_option("--threads", threads, "number of threads (default: all cores)");
  app.add_flag("--json", options.json, "one JSON object");
  if (const std::optional<int> code = parse(app, "verify", arguments)) return *code;
  const Result<std::size_t> count = thread_count(app, threads);
  if (!count) return report("verify", count.error());
  if (app.count("--fraction") > 0) {
    const std::optional<double> part = parse_fraction(fraction);
    if (!part)
      return usage_error("verify", "--fraction " + toml_string(fraction) +
                                       " is not legal; legal: more than 0, at most 1");
    options.fraction = *part;
  }
  if (app.count("--seed") > 0) {
    constexpr std::uint32_t most = std::numeric_limits<std::uint32_t>::max();
    const std::optional<std::size_t> number = parse_count(seed, 0, most);
    if (!number)
      return usage_error("verify", "--seed " + toml_string(seed) + " is not legal; legal: 0 to " +
                                       std::to_string(most));
    options.seed = static_cast<std::uint32_t>(*number);
  }
  options.folder = folder;
  options.threads = *count;
  return verify_command(options);
}

int call_formats(const Arguments& arguments) {
  CLI::App app(
      "The catalog of formats, or everything about the formats and matrix engines that are named.");
  FormatsOptions options;
  app.add_option("NAME", options.names, "a name of the catalog, ps<mu>, e<w>m<t> or ue<w>m<t>");
  app.add_flag("--json", options.json, "one JSON object");
  if (const std::optional<int> code = parse(app, "formats", arguments)) return *code;
  return formats_command(options);
}

int call_completion(const Arguments& arguments) {
  if (!arguments.empty() && arguments.front() == "--words")
    return words_command(known_commands(), std::span(arguments).subspan(1));
  CLI::App app(
      "A script that completes command lines: source <(lamp completion bash); source <(lamp "
      "completion zsh); lamp completion fish | source");
  std::string shell;
  app.add_option("SHELL", shell, join(completed_shells()))->required();
  if (const std::optional<int> code = parse(app, "completion", arguments)) return *code;
  if (!completion_command(shell))
    return usage_error("completion", "unknown shell " + toml_string(shell) +
                                         "; legal: " + join(completed_shells()) +
                                         did_you_mean(nearest(shell, completed_shells())));
  return 0;
}

int call_help(const Arguments& arguments);

int call_calc(const Arguments& arguments) {
  CLI::App app(
      "Evaluates operations: JSON Lines from standard input, JSON Lines to standard output.");
  if (const std::optional<int> code = parse(app, "calc", arguments)) return *code;
  std::istream& in = standard_input();
  const int code = calc_command(in, std::cout);
  return in.bad() ? report("calc", {ExitCode::io, "reading standard input failed"}) : code;
}

int call_reveal(const Arguments& arguments) {
  CLI::App app(
      "The summation tree of a dot product that a command answers, and an arithmetic that has its "
      "bits.");
  std::string n, format;
  RevealOptions options;
  app.add_option("--n", n, "number of terms")->required();
  app.add_option("--format", format,
                 "of the operands, and of the accumulator where it is not wider")
      ->required();
  app.add_option("--command", options.command,
                 "reads lines {\"a\": [..], \"b\": [..]}, answers a number a line")
      ->required();
  app.add_flag("--json", options.json, "one JSON object");
  if (const std::optional<int> code = parse(app, "reveal", arguments)) return *code;
  const std::optional<std::size_t> terms = parse_count(n, 1, most_revealed_terms);
  if (!terms)
    return usage_error("reveal", "--n " + toml_string(n) + " is not legal; legal: 1 to " +
                                     std::to_string(most_revealed_terms));
  Value value;
  value.data = format;
  if (const std::optional<Problem> problem = read_format(value, options.format))
    return usage_error("reveal", "--format: " + to_string(*problem));
  if (const Result<void> fits = check_format(options.format); !fits)
    return usage_error("reveal", "--format: " + fits.error().message);
  if (options.command.empty())
    return usage_error("reveal", "--command is empty; legal: a command of the shell");
  options.n = *terms;
  return reveal_command(options);
}

constexpr std::array commands{
    Command{{"help", "[COMMAND]", "this list, or the options of a command"}, call_help},
    Command{{"run",
             "CONFIG.toml [--out DIR] [--set KEY=VALUE]... [--threads N] [--shard K/N] [--json] "
             "[--quiet]",
             "runs an experiment or continues it"},
            call_run},
    Command{{"plan", "CONFIG.toml [--set KEY=VALUE]... [--threads N] [--shards N] [--json]",
             "cells, memory, disk and time estimate; runs nothing"},
            call_plan},
    Command{{"config", "[--json]", "every key of a config with default, legal values and meaning"},
            call_config},
    Command{{"status", "DIR [--json]", "how far a run is"}, call_status},
    Command{{"merge", "DIR [DIR]... [--out FILE.h5] [--json]",
             "result file of a run, also from several folders of it"},
            call_merge},
    Command{{"verify", "DIR [--fraction F] [--seed N] [--trust] [--threads N] [--json]",
             "computes cells again and compares bits"},
            call_verify},
    Command{{"inspect", "FILE_OR_MODEL_DIR [--json]",
             "what a result file, a shard, a model folder or a GGUF contains"},
            call_inspect},
    Command{{"formats", "[NAME]... [--json]", "the formats and their numbers"}, call_formats},
    Command{{"version", "[--json]", "version, commit, compiler, libraries"}, call_version},
    Command{{"calc", "", "evaluates operations: JSON Lines in, JSON Lines out"}, call_calc},
    Command{{"tokenize", "MODEL_DIR [--decode] [--special]", "text to token ids, or back"},
            call_tokenize},
    Command{{"fetch",
             "gpt2|gpt2-medium|gpt2-large|gpt2-xl|distilgpt2 [--dir DIR] [--from URL] [--json]",
             "downloads a published checkpoint, checks size and SHA-256"},
            call_fetch},
    Command{
        {"bench",
         "[gemm|elementwise|selection|functions|model [DIR]] [--shape gpt2|gpt2-medium|smollm2] "
         "[--length N] [--filter REGEX] [--time SECONDS] [--threads N] [--json FILE]",
         "times of everything beside OpenBLAS, MPFR and the bound"},
        bench_command,
        bench_is_there},
    Command{{"reveal", "--n N --format NAME --command CMD [--json]",
             "the summation tree of a black-box dot product"},
            call_reveal},
    Command{
        {"slurm",
         "CONFIG.toml --out DIR --shards N [--set KEY=VALUE]... [--threads N] [--time T] [--mem M] "
         "[--partition P] [--json]",
         "a run by parts as a job array, and its merge; submits nothing"},
        call_slurm},
    Command{{"completion", "bash|zsh|fish", "completion of the shell"}, call_completion},
};

std::vector<CommandInfo> known_commands() {
  std::vector<CommandInfo> known;
  for (const Command& command : commands)
    if (command.is_there == nullptr || command.is_there()) known.push_back(command.info);
  return known;
}

void print_help() {
  std::cout << "lamp: bit-exact emulation of floating-point arithmetic in a GPT-2 or a Llama, with "
               "look-ahead mixed precision\n\n"
               "usage: lamp [-h] [--version] COMMAND ...      lamp help COMMAND: its options\n\n";
  for (const CommandInfo& command : known_commands())
    std::cout << "  " << command.name << (command.usage.empty() ? "" : " ") << command.usage
              << "\n      " << command.meaning << '\n';
}

const Command* find_command(const std::string& name) {
  for (const Command& command : commands)
    if (command.info.name == name) return &command;
  return nullptr;
}

/// `word` is no command.
std::string unknown_command(const std::string& word) {
  Arguments names;
  for (const CommandInfo& command : known_commands()) names.emplace_back(command.name);
  return "unknown command " + toml_string(word) + "; legal: " + join(names) +
         did_you_mean(nearest(word, names));
}

int call_help(const Arguments& arguments) {
  CLI::App app("The commands, or the options of one.");
  std::string name;
  app.add_option("COMMAND", name, "a command; absent: the list of them");
  if (const std::optional<int> code = parse(app, "help", arguments)) return *code;
  if (app.count("COMMAND") == 0) return print_help(), 0;
  const Command* command = find_command(name);
  if (command == nullptr) return usage_error("help", unknown_command(name));
  return command->call({"-h"});
}

int dispatch(const Arguments& arguments) {
  const auto fail = [](const std::string& message) {
    std::cerr << "lamp: " << one_line(message) << '\n';
    return static_cast<int>(ExitCode::usage);
  };
  if (arguments.empty()) {
    Arguments names;
    for (const CommandInfo& command : known_commands()) names.emplace_back(command.name);
    return fail("a command is missing; legal: " + join(names) + "; see lamp help");
  }
  const std::string& first = arguments.front();
  if (first == "-h" || first == "--help") return print_help(), 0;
  if (first == "--version") {
    std::cout << "lamp " << build_info().version << '\n';
    return 0;
  }
  if (const Command* command = find_command(first))
    return command->call(Arguments(arguments.begin() + 1, arguments.end()));
  if (!first.starts_with('-')) return fail(unknown_command(first));
  const Arguments legal{"-h", "--help", "--version"};
  return fail("unknown option " + toml_string(first) + "; legal: " + join(legal) +
              did_you_mean(nearest(first, legal)));
}

}  // namespace
}  // namespace lamp::experiments

int main(int argc, char** argv) {
  return lamp::experiments::run_program(argc, argv, lamp::experiments::dispatch);
}
