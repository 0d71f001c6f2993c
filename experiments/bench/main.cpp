// `lamp-bench`, which `lamp bench` runs: a program of its own, so that `lamp` needs neither
// OpenBLAS nor Google Benchmark.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <regex>

#include "core/arith/gemm/backend.hpp"
#include "core/model/files/strict_json.hpp"
#include "experiments/bench/passes.hpp"
#include "experiments/bench/report.hpp"
#include "experiments/commands/arguments.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/commands/program.hpp"
#include "experiments/config/suggestions.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments::bench {
namespace {

constexpr double longest_repetition = 60.0;  // seconds
constexpr std::size_t longest_pass = std::size_t{1} << 20;

struct Options {
  std::optional<Group> group{};  // absent: all
  PassOptions passes{};
  std::optional<std::regex> filter{};
  MeasureOptions measure{};
  std::optional<std::string> json{};  // a file, or "-"
};

/// The groups that the command line may name.
std::vector<std::string> legal_groups() {
  std::vector<std::string> names = names_in(group_names);
  std::erase(names, "machine");
  return names;
}

Error usage(const std::string& message) { return {ExitCode::usage, message}; }

Result<double> repetition_seconds(const std::string& text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size() && value > 0.0 &&
      value <= longest_repetition)
    return value;
  return usage("--time " + toml_string(text) +
               " is not legal; legal: seconds, more than 0, at most 60");
}

Result<std::regex> filter_of(const std::string& text) {
  try {
    return std::regex(text, std::regex::ECMAScript | std::regex::optimize);
  } catch (const std::regex_error&) {
    return usage("--filter " + toml_string(text) +
                 " is no regular expression; legal: one of ECMAScript");
  }
}

/// What the command line says, as text.
struct Words {
  std::string what, folder, shape, length, filter, time, threads, json;
};

/// WHAT, DIR and --shape, which say what is measured.
Result<void> read_group(const CLI::App& app, const Words& words, Options& options) {
  if (app.count("WHAT") > 0) {
    options.group = value_in(group_names, words.what);
    if (!options.group || options.group == Group::machine) {
      return usage(toml_string(words.what) + " is not legal; legal: " + join(legal_groups()) +
                   did_you_mean(nearest(words.what, legal_groups())));
    }
  }
  if (app.count("DIR") > 0) {
    if (options.group != Group::model)
      return usage("unexpected argument " + toml_string(words.folder) + "; legal: model DIR");
    options.passes.folder = words.folder;
  }
  if (app.count("--shape") > 0) {
    if (options.group.value_or(Group::model) != Group::model || options.passes.folder)
      return usage("--shape has no meaning here; legal: alone, or with model");
    options.group = Group::model;
    options.passes.shape = words.shape;
  }
  if (!options.group) options.passes.default_length = 256;
  return {};
}

/// The other options.
Result<void> read_values(const CLI::App& app, const Words& words, Options& options) {
  if (app.count("--length") > 0) {
    options.passes.length = parse_count(words.length, 1, longest_pass);
    if (!options.passes.length)
      return usage("--length " + toml_string(words.length) + " is not legal; legal: 1 to " +
                   std::to_string(longest_pass));
  }
  if (app.count("--filter") > 0) {
    Result<std::regex> expression = filter_of(words.filter);
    if (!expression) return expression.error();
    options.filter = std::move(*expression);
  }
  if (app.count("--time") > 0) {
    const Result<double> seconds = repetition_seconds(words.time);
    if (!seconds) return seconds.error();
    options.measure.seconds = *seconds;
  }
  if (app.count("--threads") > 0) {
    const Result<std::size_t> count = thread_count(app, words.threads);
    if (!count) return count.error();
    options.passes.threads = *count;
  }
  if (app.count("--json") > 0) {
    options.json = words.json.empty() ? "-" : words.json;
    if (value_in(group_names, words.json))
      return usage("--json " + words.json +
                   " names a group; legal: behind it, or a path such as ./" + words.json);
  }
  return {};
}

/// The options, or the exit code where the command ends here.
std::variant<Options, int> read_options(const Arguments& arguments) {
  CLI::App app(
      "Times of matrix products, elementwise sites, selections, functions and whole passes, beside "
      "OpenBLAS SGEMM, MPFR, copies and the bound of the vector ports, all measured in turn.");
  Words words;
  app.add_option("WHAT", words.what, join(legal_groups()) + " (default: all)");
  app.add_option("DIR", words.folder, "with model: a model folder or a GGUF, instead of a shape");
  app.add_option("--shape", words.shape,
                 "whole passes of " + shape_names() + " with random weights");
  app.add_option("--length", words.length,
                 "tokens of a pass (default: 1024, or 256 where all is measured)");
  app.add_option("--filter", words.filter,
                 "a regular expression: rows in whose GROUP/NAME TARGET it occurs");
  app.add_option("--time", words.time, "seconds of a repetition (default: 0.05)");
  app.add_option("--threads", words.threads,
                 "of whole passes, and of the SGEMM beside them (default: 1)");
  app.add_option("--json", words.json, "one JSON object, to a file or - (default: -)")
      ->expected(0, 1);
  if (const std::optional<int> code = parse(app, "bench", arguments)) return *code;
  Options options;
  for (const auto& read : {read_group, read_values})
    if (const Result<void> done = read(app, words, options); !done)
      return report("bench", done.error());
  return options;
}

/// Instruction sets that may run, the widest first.
std::vector<std::string> targets() {
  std::vector<std::string> names;
  for (const Backend backend : {Backend::avx512, Backend::avx2})
    if (available(backend)) names.emplace_back(name_in(backend_names, backend));
  if (names.empty()) names.emplace_back(name_in(backend_names, Backend::scalar));
  return names;
}

/// The rows that were asked for, behind those that they are compared with; none where nothing was.
Result<std::vector<Row>> rows_of(const Options& options) {
  const std::vector<std::string> all_targets = targets();
  const std::string& best = all_targets.front();
  std::vector<Row> rows;
  const auto add = [&](Group group, const auto& rows_of_group) {
    if (options.group.value_or(group) != group) return;
    for (Row& row : rows_of_group()) {
      const bool compared = group == Group::model && row.name == sgemm_sum;
      if (compared || !options.filter || std::regex_search(key_of(row), *options.filter))
        rows.push_back(std::move(row));
    }
    if (!rows.empty() && rows.back().name == sgemm_sum) rows.pop_back();  // beside nothing
  };
  add(Group::gemm, [&] { return gemm_rows(all_targets); });
  add(Group::elementwise, [&] { return elementwise_rows(best); });
  add(Group::selection, [&] { return selection_rows(best); });
  add(Group::functions, [&] { return function_rows(best); });
  if (options.group.value_or(Group::model) == Group::model) {
    const Result<PassSetting> setting = prepare_passes(options.passes);
    if (!setting) return setting.error();
    add(Group::model, [&] { return pass_rows(*setting, best); });
  }
  if (rows.empty()) return rows;
  std::vector<Row> all = machine_rows(all_targets);
  all.insert(all.end(), std::make_move_iterator(rows.begin()), std::make_move_iterator(rows.end()));
  return all;
}

int write(const std::string& json, const std::string& file) {
  if (file == "-") return std::cout << json, 0;
  std::ofstream out(file, std::ios::binary);
  out << json;
  out.close();
  if (out) return 0;
  return report("bench", {ExitCode::cannot_create, "cannot write " + toml_string(file)});
}

int bench(const Arguments& arguments) {
  const std::variant<Options, int> read = read_options(arguments);
  if (const int* code = std::get_if<int>(&read)) return *code;
  const Options& options = std::get<Options>(read);
  const Result<std::vector<Row>> rows = rows_of(options);
  if (!rows) return report("bench", rows.error());
  if (rows->empty())
    return report("bench",
                  usage("--filter matches no row; legal: what occurs in a GROUP/NAME TARGET such "
                        "as \"gemm/ps7 via binary32 avx512\""));
  std::cerr << "measuring " << rows->size() << " rows, " << options.measure.repetitions
            << " repetitions of " << options.measure.seconds
            << " s each, and as long as whole passes take\n";
  const std::vector<Measurement> measurements = measure(*rows, options.measure);
  std::vector<Measured> all;
  for (std::size_t i = 0; i < rows->size(); ++i) all.push_back({(*rows)[i], measurements[i]});
  if (options.json != "-") print_table(all, options.passes.threads, std::cout);
  if (!options.json) return 0;
  return write(json_text(as_json(all, options.passes.threads), 1) + "\n", *options.json);
}

}  // namespace
}  // namespace lamp::experiments::bench

int main(int argc, char** argv) {
  return lamp::experiments::run_program(argc, argv, lamp::experiments::bench::bench);
}
