#include "experiments/commands/arguments.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <iostream>
#include <thread>

#include "experiments/commands/commands.hpp"
#include "experiments/config/suggestions.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments {

int usage_error(std::string_view command, const std::string& message) {
  return report(command, {ExitCode::usage, message});
}

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
      return usage_error(command, "unexpected argument " + toml_string(word) + "; see lamp " +
                                      std::string(command) + " -h");
    Arguments names;
    for (const CLI::Option* option : app.get_options())
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    return usage_error(command, "unknown option " + word + "; legal: " + join(names) +
                                    did_you_mean(nearest(word.substr(0, word.find('=')), names)));
  } catch (const CLI::ParseError& error) {
    return usage_error(command,
                       std::string(error.what()) + "; see lamp " + std::string(command) + " -h");
  }
}

Result<std::size_t> thread_count(const CLI::App& app, const std::string& text) {
  if (app.count("--threads") == 0)
    return std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, most_threads);
  if (const std::optional<std::size_t> count = parse_count(text, 1, most_threads)) return *count;
  return Error{ExitCode::usage, "--threads " + toml_string(text) + " is not legal; legal: 1 to " +
                                    std::to_string(most_threads)};
}

std::optional<double> parse_fraction(std::string_view text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value > 0.0 && value <= 1.0 ? std::optional(value) : std::nullopt;
}

}  // namespace lamp::experiments
