#include "experiments/reveal/revelation.hpp"

#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "core/arith/orders/order_text.hpp"
#include "core/arith/reveal/order_names.hpp"
#include "core/model/files/strict_json.hpp"
#include "experiments/calc/hex_float.hpp"
#include "experiments/config/number_systems.hpp"
#include "experiments/config/value.hpp"

namespace lamp::experiments {
namespace {

using Json = nlohmann::ordered_json;

/// Lines that are sent once more at the end, in another batch and in reverse: does the command
/// answer them the same?
class Repeated {
 public:
  void remember(const DotProduct& product, double answer, std::size_t batch, std::size_t line) {
    asked_.push_back({product, answer, batch, line});
  }
  /// The error names a line and its two answers (code check_failed), or is that of `ask`.
  Result<void> check(std::string_view name, const DotProducts& ask) const {
    std::vector<DotProduct> again;
    for (std::size_t q = asked_.size(); q-- > 0;) again.push_back(asked_[q].product);
    const Result<std::vector<double>> answers = ask(again);
    if (!answers) return answers.error();
    for (std::size_t q = 0; q < asked_.size(); ++q) {
      const Asked& asked = asked_[q];
      const double second = (*answers)[asked_.size() - 1 - q];
      if (same_bits(asked.answer, second)) continue;
      constexpr std::size_t shown = 60;
      const std::string text = question_line(asked.product);
      return Error{ExitCode::check_failed,
                   std::string(name) + ": line " + std::to_string(asked.line) + " of batch " +
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

/// The error is that of `ask`, or that its answers vary.
Result<Revelation> ask_everything(std::string_view name, std::size_t n, const FloatFormat& format,
                                  const DotProducts& ask, Answers& answers) {
  Revelation found{.n = n, .format = format};
  const DotProducts batch = [&](std::span<const DotProduct> products) {
    ++found.batches;
    return ask(products);
  };
  Repeated repeated;
  Result<RevealedTree> revealed = reveal(n, format, [&](std::span<const DotProduct> probes) {
    Result<std::vector<double>> given = batch(probes);
    if (!given) return given;
    repeated.remember(probes.front(), given->front(), found.batches, 1);
    answers.to_probes.insert(answers.to_probes.end(), given->begin(), given->end());
    return given;
  });
  if (!revealed && revealed.error().code != ExitCode::check_failed) return revealed.error();
  if (revealed)
    found.tree = std::move(revealed).value();
  else
    found.why_not = revealed.error().message;

  std::vector<DotProduct> all = random_products(n, format, random_dot_products);
  const std::vector<DotProduct> type = type_products(n, format),
                                ladder = ladder_products(n, format);
  all.insert(all.end(), type.begin(), type.end());
  all.insert(all.end(), ladder.begin(), ladder.end());
  const Result<std::vector<double>> given = batch(all);
  if (!given) return given.error();
  for (std::size_t q = 0; q < random_dot_products; ++q)
    repeated.remember(all[q], (*given)[q], found.batches, q + 1);
  if (const Result<void> same = repeated.check(name, batch); !same) return same.error();
  found.narrower =
      narrower_type(n, format, std::span(*given).subspan(random_dot_products, type.size()));

  const auto product = all.begin() + random_dot_products;
  const auto number = given->begin() + random_dot_products;
  answers.random.assign(all.begin(), product), answers.to_random.assign(given->begin(), number);
  answers.more.assign(product, all.end()), answers.to_more.assign(number, given->end());
  return found;
}

/// A tree says nothing of F.
std::string order_name(const Order& order) {
  const auto* steps = std::get_if<Multiterm>(&order);
  return steps != nullptr ? "multiterm:" + std::to_string(steps->size) + ",F" : order_text(order);
}

}  // namespace

std::string question_line(const DotProduct& product) {
  return json_text(nlohmann::json{{"a", product.a}, {"b", product.b}});
}

std::string revealed_toml(const Arithmetic& arithmetic) {
  std::string text = "[arithmetic.revealed]\n";
  for (const auto& [key, value] : keys_of(arithmetic))
    text.append(key).append(" = ").append(toml_string(value)).append("\n");
  return text;
}

std::string revealed_arith(const Arithmetic& arithmetic) { return json_text(arith(arithmetic)); }

const Arithmetic* Revelation::named() const {
  return agreement && !agreement->candidate.last ? &agreement->candidate.arithmetic : nullptr;
}

std::string Revelation::nameless() const {
  if (!agreement) return "no arithmetic that was tried has every answer to the probes";
  const FinalRounding& last = *agreement->candidate.last;
  return "the sum of " + json_text(arith(agreement->candidate.arithmetic)) +
         ", rounded once more at the end to " + format_word(last.format) + " by " +
         std::string(rounding_name(last.mode)) +
         ", has all bits, and no arithmetic of a config says that (of sequential, blocked:n does)";
}

std::string revelation_json(const Revelation& found) {
  Json out{{"n", found.n}, {"format", format_word(found.format)}};
  if (found.tree) {
    const RevealedTree& r = *found.tree;
    out.update({{"tree", r.tree.text()},
                {"groups", r.tree.has_groups()},
                {"depth", r.tree.depth()},
                {"names", found.names},
                {"probes", r.probes},
                {"checks", r.checks},
                {"large", to_hex_float(r.scale.large())},
                {"unit", to_hex_float(r.scale.unit())}});
  } else {
    out.update({{"tree", nullptr}, {"why", found.why_not}});
  }
  const Arithmetic* const arithmetic = found.named();
  out.update({{"batches", found.batches},
              {"arith", arithmetic != nullptr ? arith(*arithmetic) : Json(nullptr)},
              {"same_bits", found.products()},
              {"of", random_dot_products},
              {"toml", arithmetic != nullptr ? Json(revealed_toml(*arithmetic)) : Json(nullptr)}});
  if (arithmetic == nullptr) out["nameless"] = found.nameless();
  if (!found.is_whole() && found.narrower) out["narrower"] = found.narrower->what;
  return json_text(out);
}

Result<Revelation> revelation(std::string_view name, std::size_t n, const FloatFormat& format,
                              const DotProducts& ask) {
  Answers answers{.n = n, .format = format};
  Result<Revelation> asked = ask_everything(name, n, format, ask, answers);
  if (!asked) return asked;
  Revelation found = std::move(asked).value();
  const AdditionTree* tree = found.tree ? &found.tree->tree : nullptr;
  if (tree != nullptr)
    for (const Order& order : orders_of(*tree)) found.names.push_back(order_name(order));
  found.agreement = best_candidate(candidates(tree, n, format), answers);
  if (!found.is_whole() && found.narrower &&
      !(found.tree && found.narrower->probes_hold))  // the tree, if any, may be a false one
    return Error{ExitCode::check_failed, std::string(name) + ": " + found.narrower->what};
  if (!found.tree && !found.is_whole()) return Error{ExitCode::check_failed, found.why_not};
  return found;
}

}  // namespace lamp::experiments
