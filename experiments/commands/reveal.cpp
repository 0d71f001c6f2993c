// lamp reveal: a command's summation tree from probes, then the arithmetic that has its bits.
#include <bit>
#include <charconv>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/arith/orders/order_text.hpp"
#include "core/arith/reveal/order_names.hpp"
#include "core/arith/reveal/reveal.hpp"
#include "core/model/files/strict_json.hpp"
#include "experiments/calc/hex_float.hpp"
#include "experiments/calc/line_filter.hpp"
#include "experiments/commands/commands.hpp"
#include "experiments/config/arithmetic.hpp"
#include "experiments/config/value.hpp"
#include "experiments/reveal/candidates.hpp"
#include "experiments/reveal/questions.hpp"
#include "experiments/reveal/tree_drawing.hpp"

namespace lamp::experiments {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t random_dot_products = 1000;

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

std::string line_of(const DotProduct& product) {
  return json_text(nlohmann::json{{"a", product.a}, {"b", product.b}});
}

/// Asks the command, started anew for each batch: it may keep its answers until its input ends.
class Asker {
 public:
  explicit Asker(const std::string& command) : command_(command) {}

  Result<std::vector<double>> operator()(std::span<const DotProduct> products) {
    std::string lines;
    for (const DotProduct& product : products) lines.append(line_of(product)).append("\n");
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
      return Error{ExitCode::bad_data, "--command: " + std::to_string(answers.size()) +
                                           " answers to " + std::to_string(products.size()) +
                                           " lines; legal: one number a line, in their order"};
    return answers;
  }
  [[nodiscard]] std::size_t batches() const { return batches_; }

 private:
  const std::string& command_;
  std::size_t batches_ = 0;
};

/// Lines that are sent once more at the end, in another batch and in reverse: does the command
/// answer them the same?
class Repeated {
 public:
  void remember(const DotProduct& product, double answer, std::size_t batch, std::size_t line) {
    asked_.push_back({product, answer, batch, line});
  }
  /// The error names a line and its two answers (code check_failed), or is the asker's.
  Result<void> check(Asker& asker) const {
    std::vector<DotProduct> again;
    for (std::size_t q = asked_.size(); q-- > 0;) again.push_back(asked_[q].product);
    const Result<std::vector<double>> answers = asker(again);
    if (!answers) return answers.error();
    for (std::size_t q = 0; q < asked_.size(); ++q) {
      const Asked& asked = asked_[q];
      const double second = (*answers)[asked_.size() - 1 - q];
      if (same_bits(asked.answer, second)) continue;
      constexpr std::size_t shown = 60;
      const std::string text = line_of(asked.product);
      return Error{ExitCode::check_failed,
                   "--command: line " + std::to_string(asked.line) + " of batch " +
                       std::to_string(asked.batch) + ", " + text.substr(0, shown) +
                       (text.size() > shown ? ".." : "") + ", was answered " +
                       to_hex_float(asked.answer) + " and, sent again, " + to_hex_float(second) +
                       ": its sums vary from call to call, so no arithmetic has its bits"};
    }
    return {};
  }

 private:
  struct Asked {
    DotProduct product;
    double answer;
    std::size_t batch, line;
  };
  std::vector<Asked> asked_;
};

/// What was found, for both kinds of output.
struct Answer {
  std::optional<RevealedTree> revealed;
  std::string why_not;  // there is no tree
  std::optional<NarrowerType> narrower;
  std::vector<std::string> names;
  std::optional<Agreement> agreement;
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
  for (const auto& [key, value] : keys_of(arithmetic))
    text.append(key).append(" = ").append(toml_string(value)).append("\n");
  return text;
}

std::size_t products(const Answer& answer) {
  return answer.agreement ? answer.agreement->products : 0;
}
/// Whether every answer is reproduced, even if by no arithmetic that a config could name.
bool is_whole(const Answer& answer) { return products(answer) == random_dot_products; }
/// The arithmetic to name; null where its sum would have to be rounded once more at the end.
const Arithmetic* named(const Answer& answer) {
  return answer.agreement && !answer.agreement->candidate.last
             ? &answer.agreement->candidate.arithmetic
             : nullptr;
}

/// Why no arithmetic is named.
std::string nameless(const Answer& answer) {
  if (!answer.agreement) return "no arithmetic that was tried has every answer to the probes";
  const FinalRounding& last = *answer.agreement->candidate.last;
  return "the sum of " + json_text(arith(answer.agreement->candidate.arithmetic)) +
         ", rounded once more at the end to " + format_word(last.format) + " by " +
         std::string(rounding_name(last.mode)) +
         ", has all bits, and no arithmetic of a config says that (of sequential, blocked:n does)";
}

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
  const Arithmetic* const arithmetic = named(answer);
  out.update({{"batches", answer.batches},
              {"arith", arithmetic != nullptr ? arith(*arithmetic) : Json(nullptr)},
              {"same_bits", products(answer)},
              {"of", random_dot_products},
              {"toml", arithmetic != nullptr ? Json(toml(*arithmetic)) : Json(nullptr)}});
  if (arithmetic == nullptr) out["nameless"] = nameless(answer);
  if (!is_whole(answer) && answer.narrower) out["narrower"] = answer.narrower->what;
  return json_text(out);
}

std::string as_text(const Answer& answer) {
  std::string text;
  if (answer.revealed) {
    const RevealedTree& r = *answer.revealed;
    text += "tree: " + r.tree.text() + "\n" + drawing(r.tree);
    text += "order: " + (answer.names.empty() ? "without a name" : join(answer.names)) + "\n";
    text += "probes: " + std::to_string(r.probes) + ", the last " + std::to_string(r.checks) +
            " to test the tree, in " + std::to_string(answer.batches) +
            " batches; M = " + to_hex_float(r.scale.large()) + ", units " +
            to_hex_float(r.scale.unit()) + "\n";
  } else {
    text += "tree: none; " + answer.why_not + "\n";
  }
  if (!is_whole(answer) && answer.narrower) text += "type: " + answer.narrower->what + "\n";
  const Arithmetic* const arithmetic = named(answer);
  if (arithmetic == nullptr) return text + "arith: none; " + nameless(answer) + "\n";
  text += "bits: " + std::to_string(products(answer)) + " of " +
          std::to_string(random_dot_products) + " random dot products are those of\n";
  if (!is_whole(answer))
    text += "(no arithmetic that was tried has them all; this one has the most)\n";
  return text + "arith: " + json_text(arith(*arithmetic)) + "\n" + toml(*arithmetic);
}

/// Asks for everything: probes, products, and lines once more. The error is the command's failure,
/// or that its answers vary.
Result<Answer> question(const RevealOptions& options, Answers& answers) {
  Asker asker(options.command);
  Repeated repeated;
  Answer answer;
  Result<RevealedTree> revealed =
      reveal(options.n, options.format, [&](std::span<const DotProduct> probes) {
        Result<std::vector<double>> given = asker(probes);
        if (!given) return given;
        repeated.remember(probes.front(), given->front(), asker.batches(), 1);
        answers.to_probes.insert(answers.to_probes.end(), given->begin(), given->end());
        return given;
      });
  if (!revealed && revealed.error().code != ExitCode::check_failed) return revealed.error();
  if (revealed)
    answer.revealed = std::move(revealed).value();
  else
    answer.why_not = revealed.error().message;

  std::vector<DotProduct> all = random_products(options.n, options.format, random_dot_products);
  const std::vector<DotProduct> type = type_products(options.n, options.format),
                                ladder = ladder_products(options.n, options.format);
  all.insert(all.end(), type.begin(), type.end());
  all.insert(all.end(), ladder.begin(), ladder.end());
  const Result<std::vector<double>> given = asker(all);
  if (!given) return given.error();
  for (std::size_t q = 0; q < random_dot_products; ++q)
    repeated.remember(all[q], (*given)[q], asker.batches(), q + 1);
  if (const Result<void> same = repeated.check(asker); !same) return same.error();
  answer.narrower = narrower_type(options.n, options.format,
                                  std::span(*given).subspan(random_dot_products, type.size()));

  const auto product = all.begin() + random_dot_products;
  const auto number = given->begin() + random_dot_products;
  answers.random.assign(all.begin(), product), answers.to_random.assign(given->begin(), number);
  answers.more.assign(product, all.end()), answers.to_more.assign(number, given->end());
  answer.batches = asker.batches();
  return answer;
}

/// A tree says nothing of F.
std::string order_name(const Order& order) {
  const auto* steps = std::get_if<Multiterm>(&order);
  return steps != nullptr ? "multiterm:" + std::to_string(steps->size) + ",F" : order_text(order);
}

}  // namespace

int reveal_command(const RevealOptions& options) {
  Answers answers{.n = options.n, .format = options.format};
  Result<Answer> asked = question(options, answers);
  if (!asked) return report("reveal", asked.error());
  Answer answer = std::move(asked).value();
  const AdditionTree* tree = answer.revealed ? &answer.revealed->tree : nullptr;
  if (tree != nullptr)
    for (const Order& order : orders_of(*tree)) answer.names.push_back(order_name(order));
  answer.agreement = best_candidate(candidates(tree, options.n, options.format), answers);
  if (!is_whole(answer) && answer.narrower &&
      !(answer.revealed && answer.narrower->probes_hold))  // the tree, if any, may be a false one
    return report("reveal", {ExitCode::check_failed, "--command: " + answer.narrower->what});
  if (!answer.revealed && !is_whole(answer))
    return report("reveal", {ExitCode::check_failed, answer.why_not});
  std::cout << (options.json ? as_json(answer, options) + "\n" : as_text(answer));
  return static_cast<int>(is_whole(answer) && named(answer) != nullptr ? ExitCode::done
                                                                       : ExitCode::check_failed);
}

}  // namespace lamp::experiments
