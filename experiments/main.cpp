// `lamp`: finds the command, checks its options, calls it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/base/target.hpp"
#include "experiments/build_info.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/config_value.hpp"

namespace lamp::experiments {
namespace {

using Arguments = std::vector<std::string>;

constexpr std::size_t most_threads = 1024;
constexpr std::size_t most_parts = 1'000'000;

struct Command {
  std::string_view name;
  std::string_view usage;
  std::string_view meaning;
  int (*call)(const Arguments&) = nullptr;  // null: not there yet
};

int usage_error(std::string_view command, const std::string& message) { return report(command, {ExitCode::usage, message}); }

/// Parses the options of one command; an exit code where that ends the program (help, or a usage error).
std::optional<int> parse(CLI::App& app, std::string_view command, const Arguments& arguments) {
  app.name("lamp " + std::string(command));
  try {
    Arguments reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return 0;
  } catch (const CLI::ExtrasError&) {
    const Arguments extra = app.remaining();
    const std::string word = extra.empty() ? std::string() : extra.front();
    if (!word.starts_with('-'))
      return usage_error(command, "unexpected argument " + toml_string(word) + "; see lamp " + std::string(command) + " -h");
    Arguments names;
    for (const CLI::Option* option : app.get_options())
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    const std::string near = nearest(word.substr(0, word.find('=')), names);
    return usage_error(command,
                       "unknown option " + word + "; legal: " + join(names) + (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
  } catch (const CLI::ParseError& error) {
    return usage_error(command, std::string(error.what()) + "; see lamp " + std::string(command) + " -h");
  }
}

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

int call_tokenize(const Arguments& arguments) {
  CLI::App app("Text to token ids, or back; standard input to standard output.");
  std::string model;
  TokenizeOptions options;
  app.add_option("MODEL_DIR", model, "folder with vocab.json and merges.txt")->required();
  app.add_flag("--decode", options.decode, "ids to text");
  app.add_flag("--special", options.special, "<|endoftext|> is the end-of-text token, not text");
  if (const std::optional<int> code = parse(app, "tokenize", arguments)) return *code;
  if (options.decode && options.special) return usage_error("tokenize", "--special has no meaning with --decode; legal: one of them");
  options.model = model;
  return tokenize_command(options, std::cin, std::cout);
}

int call_inspect(const Arguments& arguments) {
  CLI::App app("What a model folder contains.");
  std::string path;
  InspectOptions options;
  app.add_option("FILE_OR_MODEL_DIR", path, "model folder")->required();
  app.add_flag("--json", options.json, "one JSON object");
  if (const std::optional<int> code = parse(app, "inspect", arguments)) return *code;
  options.path = path;
  return inspect_command(options);
}

int call_run(const Arguments& arguments) {
  CLI::App app("Runs the grid of a config and records every cell; continues what the folder already holds.");
  std::string config, out, threads, shard;
  RunOptions options;
  app.add_option("CONFIG.toml", config, "the experiment")->required();
  app.add_option("--out", out, "folder of the run (default: runs/<title>)");
  app.add_option("--set", options.sets, "KEY=VALUE: overrides a key of the config; repeatable")->allow_extra_args(false);
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
  options.threads = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, most_threads);
  if (app.count("--threads") > 0) {
    const std::optional<std::size_t> count = parse_count(threads, 1, most_threads);
    if (!count)
      return usage_error("run", "--threads " + toml_string(threads) + " is not legal; legal: 1 to " + std::to_string(most_threads));
    options.threads = *count;
  }
  if (app.count("--shard") > 0) {
    const std::size_t slash = shard.find('/');
    const std::optional<std::size_t> parts =
        slash == std::string::npos ? std::nullopt : parse_count(std::string_view(shard).substr(slash + 1), 1, most_parts);
    const std::optional<std::size_t> part = parts ? parse_count(std::string_view(shard).substr(0, slash), 1, *parts) : std::nullopt;
    if (!part)
      return usage_error("run",
                         "--shard " + toml_string(shard) + " is not legal; legal: K/N with 1 <= K <= N <= " + std::to_string(most_parts));
    options.part = *part;
    options.parts = *parts;
  }
  return run_command(options);
}

int call_merge(const Arguments& arguments) {
  CLI::App app("Writes the result file of a run; 75 while cells are missing.");
  std::string folder, out;
  MergeOptions options;
  app.add_option("DIR", folder, "folder of the run")->required();
  app.add_option("--out", out, "file to write (default: DIR/result.h5)");
  app.add_flag("--json", options.json, "one JSON object on standard output when done");
  if (const std::optional<int> code = parse(app, "merge", arguments)) return *code;
  options.folder = folder;
  if (app.count("--out") > 0) {
    if (out.empty()) return usage_error("merge", "--out is empty; legal: a file");
    options.out = out;
  }
  return merge_command(options);
}

int call_calc(const Arguments& arguments) {
  CLI::App app("Evaluates operations: JSON Lines from standard input, JSON Lines to standard output.");
  if (const std::optional<int> code = parse(app, "calc", arguments)) return *code;
  return calc_command(std::cin, std::cout);
}

constexpr std::array commands{
    Command{"run", "CONFIG.toml [--out DIR] [--set KEY=VALUE]... [--threads N] [--shard K/N] [--json] [--quiet]",
            "runs an experiment or continues it", call_run},
    Command{"plan", "CONFIG.toml", "cells, memory, disk and time estimate; runs nothing"},
    Command{"config", "[--json]", "every key of a config with default, legal values and meaning", call_config},
    Command{"status", "DIR", "how far a run is"},
    Command{"merge", "DIR [--out FILE.h5] [--json]", "result file of a run", call_merge},
    Command{"verify", "DIR [--fraction F]", "computes cells again and compares bits"},
    Command{"inspect", "FILE_OR_MODEL_DIR [--json]", "what a model folder contains", call_inspect},
    Command{"formats", "[NAME]...", "the formats and their numbers"},
    Command{"version", "[--json]", "version, commit, compiler, libraries", call_version},
    Command{"calc", "", "evaluates operations: JSON Lines in, JSON Lines out", call_calc},
    Command{"tokenize", "MODEL_DIR [--decode] [--special]", "text to token ids, or back", call_tokenize},
    Command{"fetch", "gpt2[-medium|-large|-xl] [--dir D]", "downloads a published checkpoint"},
    Command{"bench", "[gemm|model DIR] [--json]", "every kernel against OpenBLAS"},
    Command{"reveal", "--n N --format F --command CMD", "the summation tree of a dot product"},
    Command{"slurm", "CONFIG.toml --out DIR --shards N", "a job-array script"},
    Command{"completion", "bash", "completion of the shell"},
};

void print_help() {
  std::cout << "lamp: bit-exact emulation of floating-point arithmetic in a GPT-2, with look-ahead mixed precision\n\n"
               "usage: lamp [-h] [--version] COMMAND ...      lamp COMMAND -h: its options\n\n";
  for (const Command& command : commands)
    std::cout << "  " << command.name << (command.usage.empty() ? "" : " ") << command.usage << "\n      " << command.meaning
              << (command.call == nullptr ? " (not available yet in this version)" : "") << '\n';
}

int dispatch(const Arguments& arguments) {
  Arguments names;
  for (const Command& command : commands) names.emplace_back(command.name);
  const auto fail = [](const std::string& message) {
    std::cerr << "lamp: " << one_line(message) << '\n';
    return static_cast<int>(ExitCode::usage);
  };
  if (arguments.empty()) return fail("a command is missing; legal: " + join(names) + "; see lamp -h");
  const std::string& first = arguments.front();
  if (first == "-h" || first == "--help") return print_help(), 0;
  if (first == "--version") {
    std::cout << "lamp " << build_info().version << '\n';
    return 0;
  }
  const auto command = std::find_if(commands.begin(), commands.end(), [&](const Command& c) { return c.name == first; });
  if (command == commands.end()) {
    const bool option = first.starts_with('-');
    const Arguments legal = option ? Arguments{"-h", "--help", "--version"} : names;
    const std::string near = nearest(first, legal);
    return fail((option ? "unknown option " : "unknown command ") + toml_string(first) + "; legal: " + join(legal) +
                (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
  }
  if (command->call == nullptr) return usage_error(command->name, "not available yet in this version");
  return command->call(Arguments(arguments.begin() + 1, arguments.end()));
}

}  // namespace
}  // namespace lamp::experiments

int main(int argc, char** argv) {
  using lamp::ExitCode;
  try {
    const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    if (const char* target = std::getenv("LAMP_TARGET"); target != nullptr)
      if (const lamp::Result<void> forced = lamp::force_target(target); !forced)
        return lamp::experiments::report("LAMP_TARGET", forced.error());
    const int code = lamp::experiments::dispatch(arguments);
    std::cout.flush();
    if (std::cout) return code;
    std::cerr << "lamp: writing to standard output failed\n";
    return static_cast<int>(ExitCode::io);
  } catch (const std::bad_alloc&) {
    std::cerr << "lamp: out of memory; use fewer threads, a smaller model or shorter sequences\n";
    return static_cast<int>(ExitCode::out_of_memory);
  } catch (const std::exception& error) {
    std::cerr << "lamp: internal error, please report: " << lamp::experiments::one_line(error.what()) << '\n';
    return static_cast<int>(ExitCode::internal);
  }
}
