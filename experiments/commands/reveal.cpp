// lamp reveal: a command's summation tree from probes, then the arithmetic that has its bits.
#include <charconv>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>

#include "experiments/calc/hex_float.hpp"
#include "experiments/calc/line_filter.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/config/value.hpp"
#include "experiments/reveal/revelation.hpp"
#include "experiments/reveal/tree_drawing.hpp"

namespace lamp::experiments {
namespace {

Error bad_answer(std::size_t line, std::string_view text) {
  constexpr std::size_t shown = 60;
  return {ExitCode::bad_data,
          "--command: answer " + std::to_string(line) + " is " +
              toml_string(text.substr(0, shown)) +
              "; legal: a number, 1.5 or 0x1.8p+0 or \"0x1.8p+0\" or {\"y\": 1.5}"};
}

/// A number as the command may write it: decimal or hexadecimal, in quotes or not, alone or the y
/// of an object.
std::optional<double> read_answer(std::string_view text) {
  const auto trim = [&](std::string_view blanks) {
    const std::size_t first = text.find_first_not_of(blanks), last = text.find_last_not_of(blanks);
    text =
        first == std::string_view::npos ? std::string_view{} : text.substr(first, last - first + 1);
  };
  trim(" \t\r");
  if (text.starts_with('{')) {
    const nlohmann::json object = nlohmann::json::parse(text, nullptr, false);
    if (!object.is_object() || !object.contains("y")) return std::nullopt;
    const nlohmann::json& y = object["y"];
    if (y.is_number()) return y.get<double>();
    return y.is_string() ? read_answer(y.get<std::string>()) : std::nullopt;
  }
  trim("\"");
  if (const Result<double> hex = parse_hex_float(text)) return *hex;
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Asks the command, started anew for each batch: it may keep its answers until its input ends.
class Asker {
 public:
  explicit Asker(const std::string& command) : command_(command) {}

  Result<std::vector<double>> operator()(std::span<const DotProduct> products) {
    std::string lines;
    for (const DotProduct& product : products) lines.append(question_line(product)).append("\n");
    const Result<std::vector<std::string>> answered = run_filter(command_, lines);
    if (!answered) return Error{answered.error().code, "--command: " + answered.error().message};
    std::vector<double> answers;
    for (const std::string& line : *answered) {
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      const std::optional<double> answer = read_answer(line);
      if (!answer) return bad_answer(answers.size() + 1, line);
      answers.push_back(*answer);
    }
    if (answers.size() != products.size())
      return Error{ExitCode::bad_data, "--command: " + std::to_string(answers.size()) +
                                           " answers to " + std::to_string(products.size()) +
                                           " lines; legal: one number a line, in their order"};
    return answers;
  }

 private:
  const std::string& command_;
};

std::string as_text(const Revelation& found) {
  std::string text;
  if (found.tree) {
    const RevealedTree& r = *found.tree;
    text += "tree: " + r.tree.text() + "\n" + drawing(r.tree);
    text += "order: " + (found.names.empty() ? "without a name" : join(found.names)) + "\n";
    text += "probes: " + std::to_string(r.probes) + ", the last " + std::to_string(r.checks) +
            " to test the tree, in " + std::to_string(found.batches) +
            " batches; M = " + to_hex_float(r.scale.large()) + ", units " +
            to_hex_float(r.scale.unit()) + "\n";
  } else {
    text += "tree: none; " + found.why_not + "\n";
  }
  if (!found.is_whole() && found.narrower) text += "type: " + found.narrower->what + "\n";
  const Arithmetic* const arithmetic = found.named();
  if (arithmetic == nullptr) return text + "arith: none; " + found.nameless() + "\n";
  text += "bits: " + std::to_string(found.products()) + " of " +
          std::to_string(random_dot_products) + " random dot products are those of\n";
  if (!found.is_whole())
    text += "(no arithmetic that was tried has them all; this one has the most)\n";
  return text + "arith: " + revealed_arith(*arithmetic) + "\n" + revealed_toml(*arithmetic);
}

}  // namespace

int reveal_command(const RevealOptions& options) {
  Asker asker(options.command);
  const Result<Revelation> found =
      revelation("--command", options.n, options.format, std::ref(asker));
  if (!found) return report("reveal", found.error());
  std::cout << (options.json ? revelation_json(*found) + "\n" : as_text(*found));
  return static_cast<int>(found->is_whole() && found->named() != nullptr ? ExitCode::done
                                                                         : ExitCode::check_failed);
}

}  // namespace lamp::experiments
