// How far the KL of binary64 runs is to be believed: single scores low, by the truth's binary64
// runs and by the oracle at 204 bits. Prints CSV; not a test.
//   lamp_truth_noise MODEL TEXT T SCORES THREADS MU..
// T tokens from the beginning of the text; SCORES of each mu, spread over layers and over KL.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/oracle/replacements.hpp"
#include "analysis/truth/end_to_end.hpp"
#include "core/model/files/tokenizer.hpp"

namespace lamp {
namespace {

using oracle::Real;
using truth::Background;

struct Measured {
  truth::Row row;
  std::uint32_t key;
  double kl;  // binary64
};

/// Every score alone low. Rows of one are left out: nothing changes there.
std::vector<Measured> one_low(const ModelConfig& model, const Background& exact,
                              std::size_t threads) {
  const std::size_t length = exact.pass().length();
  std::vector<std::uint32_t> keys(length);
  for (std::size_t j = 0; j < length; ++j) keys[j] = static_cast<std::uint32_t>(j);
  std::vector<truth::Change> changes;
  for (const truth::Row& row : truth::all_rows(model, Site::scores, length))
    for (std::size_t j = 0; row.query > 0 && j <= row.query; ++j)
      changes.push_back({row, std::span(keys).subspan(j, 1)});
  const std::vector<truth::Effect> effects = exact.effects(changes, threads, {});
  std::vector<Measured> all;
  for (std::size_t c = 0; c < changes.size(); ++c)
    all.push_back({changes[c].row, changes[c].keys[0], effects[c].kl});
  return all;
}

/// `count` of them, as many of each layer: at evenly spaced ranks by KL, the least and the largest
/// among them. all: by ascending layer, no NaN.
std::vector<Measured> spread(std::vector<Measured> all, std::size_t layers, std::size_t count) {
  std::stable_sort(all.begin(), all.end(), [](const Measured& x, const Measured& y) {
    return x.row.layer != y.row.layer ? x.row.layer < y.row.layer : x.kl < y.kl;
  });
  const std::size_t of_layer = all.size() / layers, wanted = std::min(count / layers, of_layer);
  std::vector<Measured> some;
  for (std::size_t l = 0; l < layers; ++l)
    for (std::size_t i = 0; i < wanted; ++i)
      some.push_back(all[l * of_layer + (wanted == 1 ? 0 : i * (of_layer - 1) / (wanted - 1))]);
  return some;
}

/// Error of binary64's log p: root mean square under the exact p, less its mean there, of all
/// positions.
double logit_error(const ReferenceDistribution& p, const oracle::Pass<Real>& exact) {
  const oracle::Matrix<Real> log_p = oracle::log_softmax(exact.logits);
  Real sum(0);
  for (oracle::Index t = 0; t < log_p.rows(); ++t) {
    const std::span<const double> found = p.log_probabilities(static_cast<std::size_t>(t));
    Real mean(0), square(0);
    for (oracle::Index v = 0; v < log_p.cols(); ++v) {
      const Real weight = exp(log_p(t, v)),
                 error = Real(found[static_cast<std::size_t>(v)]) - log_p(t, v);
      mean += weight * error, square += weight * error * error;
    }
    sum += square - mean * mean;
  }
  return std::sqrt(static_cast<double>(sum / Real(static_cast<double>(log_p.rows()))));
}

std::optional<std::size_t> number(std::string_view text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

int fail(const std::string& what) {
  std::fprintf(stderr, "lamp_truth_noise: %s\n", what.c_str());
  return static_cast<int>(ExitCode::usage);
}

int measure(std::span<char*> arguments) {
  std::vector<std::size_t> numbers;
  for (const char* text : arguments.subspan(std::min<std::size_t>(2, arguments.size())))
    numbers.push_back(number(text).value_or(0));
  if (numbers.size() < 4 || std::count(numbers.begin(), numbers.end(), 0) > 0 ||
      *std::max_element(numbers.begin() + 3, numbers.end()) > 23)
    return fail("MODEL TEXT T SCORES THREADS MU.., numbers from 1 on, mu at most 23");
  const std::size_t length = numbers[0], count = numbers[1], threads = numbers[2];
  const Result<Model> model = read_model(arguments[0]);
  if (!model) return fail(model.error().message);
  const Result<Tokenizer> tokenizer = Tokenizer::read(arguments[0]);
  if (!tokenizer) return fail(tokenizer.error().message);
  std::ifstream file(arguments[1], std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  Result<std::vector<TokenId>> tokens = tokenizer->encode_documents(text);
  if (!tokens) return fail(tokens.error().message);
  if (length < 2 || tokens->size() < length || length > model->config.n_positions)
    return fail(
        "T is 2 or more, and no more than the tokens of the text and the model's positions");
  tokens->resize(length);
  if (count < model->config.n_layer) return fail("SCORES is at least the number of layers");

  const oracle::Weights<Real> weights(*model);
  const oracle::Pass<Real> exact_pass = oracle::forward<Real>(weights, *tokens);
  const PassOptions options{.activation = model->config.activation};
  const PrecisionPlan reference(fused(binary64));
  const Arithmetic high = fused(binary32);
  std::printf("mu,layer,head,query,key,kl,kl_exact,e\n");
  for (const std::size_t mu : std::span(numbers).subspan(3)) {
    const PrecisionPlan low(lamp_paper(static_cast<int>(mu)));
    const Background exact =
        Background::reference({*model, *tokens, options, reference, low, high});
    const double e = logit_error(exact.target(), exact_pass);
    const std::vector<Measured> some =
        spread(one_low(model->config, exact, threads), model->config.n_layer, count);
    std::vector<oracle::Replacement<Real>> replacements;
    for (const Measured& m : some)
      replacements.push_back(
          {{m.row.layer, m.row.head, m.row.query, m.key}, Real(exact.other(m.row)[m.key])});
    const std::vector<Real> kl =
        oracle::kl_of_each(weights, exact_pass, exact_pass.logits, replacements, threads);
    for (std::size_t i = 0; i < some.size(); ++i)
      std::printf("%zu,%zu,%zu,%zu,%u,%.17g,%.17g,%.17g\n", mu, some[i].row.layer.value,
                  some[i].row.head.value, some[i].row.query, some[i].key, some[i].kl,
                  static_cast<double>(kl[i]), e);
  }
  return 0;
}

}  // namespace
}  // namespace lamp

int main(int argc, char** argv) {
  return lamp::measure(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
}
