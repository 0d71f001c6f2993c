// lamp reveal: a command's summation tree from probes, then the arithmetic that has its bits.
#include <charconv>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/arith/order_text.hpp"
#include "core/arith/reveal.hpp"
#include "experiments/arithmetic_config.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/config_value.hpp"
#include "experiments/hex_float.hpp"
#include "experiments/line_filter.hpp"
#include "experiments/reveal_candidates.hpp"
#include "experiments/tree_drawing.hpp"

namespace lamp::experiments {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t random_dot_products = 1000;

Error bad_answer(std::size_t line, std::string_view text) {
  constexpr std::size_t shown = 60;
  return {ExitCode::bad_data, "--command: answer " + std::to_string(line) + " is " + toml_string(text.substr(0, shown)) +
                                  "; legal: a number, 1.5 or 0x1.8p+0 or \"0x1.8p+0\" or {\"y\": 1.5}"};
}

/// A number as the command may write it: decimal or hexadecimal, in quotes or not, alone or the y of an object.
std::optional<double> read_answer(std::string_view text) {
  const auto trim = [&](std::string_view blanks) {
    const std::size_t first = text.find_first_not_of(blanks), last = text.find_last_not_of(blanks);
    text = first == std::string_view::npos ? std::string_view{} : text.substr(first, last - first + 1);
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
    for (const DotProduct& product : products) lines.append(nlohmann::json{{"a", product.a}, {"b", product.b}}.dump()).append("\n");
    ++batches_;
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
      return Error{ExitCode::bad_data, "--command: " + std::to_string(answers.size()) + " answers to " + std::to_string(products.size()) +
                                           " lines; legal: one number a line, in their order"};
    return answers;
  }
  [[nodiscard]] std::size_t batches() const { return batches_; }

 private:
  const std::string& command_;
  std::size_t batches_ = 0;
};

/// What was found, for both kinds of output.
struct Answer {
  std::optional<RevealedTree> revealed;
  std::string why_not;  // there is no tree
  std::vector<std::string> names;
  Agreement agreement;
  std::size_t batches = 0;
};

Json arith(const Arithmetic& arithmetic) {
  Json object = Json::object();
  for (const auto& [key, value] : keys_of(arithmetic)) {
    const std::size_t dot = key.find('.');
    if (dot == std::string::npos)
      object[key] = value;
    else
      object[key.substr(0, dot)][key.substr(dot + 1)] = value;
  }
  return object;
}

std::string toml(const Arithmetic& arithmetic) {
  std::string text = "[arithmetic.revealed]\n";
  for (const auto& [key, value] : keys_of(arithmetic)) text.append(key).append(" = ").append(toml_string(value)).append("\n");
  return text;
}

bool is_whole(const Answer& answer) { return answer.agreement.products == random_dot_products; }

std::string as_json(const Answer& answer, const RevealOptions& options) {
  Json out{{"n", options.n}, {"format", format_word(options.format)}};
  if (answer.revealed) {
    const RevealedTree& r = *answer.revealed;
    out.update({{"tree", r.tree.text()},
                {"groups", r.tree.has_groups()},
                {"depth", r.tree.depth()},
                {"names", answer.names},
                {"probes", r.probes},
                {"checks", r.checks},
                {"large", to_hex_float(r.scale.large())},
                {"unit", to_hex_float(r.scale.unit())}});
  } else {
    out.update({{"tree", nullptr}, {"why", answer.why_not}});
  }
  out.update({{"batches", answer.batches},
              {"arith", arith(answer.agreement.arithmetic)},
              {"same_bits", answer.agreement.products},
              {"of", random_dot_products},
              {"toml", toml(answer.agreement.arithmetic)}});
  return out.dump();
}

std::string as_text(const Answer& answer) {
  std::string text;
  if (answer.revealed) {
    const RevealedTree& r = *answer.revealed;
    text += "tree: " + r.tree.text() + "\n" + drawing(r.tree);
    text += "order: " + (answer.names.empty() ? "without a name" : join(answer.names)) + "\n";
    text += "probes: " + std::to_string(r.probes) + ", the last " + std::to_string(r.checks) + " to test the tree, in " +
            std::to_string(answer.batches) + " batches; M = " + to_hex_float(r.scale.large()) + ", units " + to_hex_float(r.scale.unit()) +
            "\n";
  } else {
    text += "tree: none; " + answer.why_not + "\n";
  }
  const Agreement& best = answer.agreement;
  text += "bits: " + std::to_string(best.products) + " of " + std::to_string(random_dot_products) + " random dot products are those of\n";
  if (!is_whole(answer)) text += "(no arithmetic that was tried has them all; this one has the most)\n";
  return text + "arith: " + arith(best.arithmetic).dump() + "\n" + toml(best.arithmetic);
}

}  // namespace

int reveal_command(const RevealOptions& options) {
  Asker asker(options.command);
  const DotProducts ask = [&](std::span<const DotProduct> products) { return asker(products); };
  Answer answer;
  Result<RevealedTree> revealed = reveal(options.n, options.format, ask);
  if (!revealed && revealed.error().code != ExitCode::check_failed) return report("reveal", revealed.error());
  if (revealed)
    answer.revealed = std::move(revealed).value();
  else
    answer.why_not = revealed.error().message;
  const AdditionTree* tree = answer.revealed ? &answer.revealed->tree : nullptr;
  if (tree != nullptr)
    for (const Order& order : orders_of(*tree))
      answer.names.push_back(order.kind == OrderKind::multiterm ? "multiterm:" + std::to_string(order.size) + ",F" : order_text(order));

  const std::vector<DotProduct> products = random_products(options.n, options.format, random_dot_products);
  const Result<std::vector<double>> answers = ask(products);
  if (!answers) return report("reveal", answers.error());
  answer.batches = asker.batches();
  answer.agreement = best_candidate(candidates(tree, options.n, options.format), products, *answers);
  if (!answer.revealed && !is_whole(answer)) return report("reveal", {ExitCode::check_failed, answer.why_not});
  std::cout << (options.json ? as_json(answer, options) + "\n" : as_text(answer));
  return static_cast<int>(is_whole(answer) ? ExitCode::done : ExitCode::check_failed);
}

}  // namespace lamp::experiments
