#include "experiments/commands/unlimited_cost.hpp"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <random>
#include <span>
#include <vector>

#include "core/model/forward.hpp"
#include "core/mpfr/outputs.hpp"
#include "core/mpfr/steps.hpp"

namespace lamp::experiments {
namespace {

double count(std::size_t n) { return static_cast<double>(n); }

/// Seconds of one call of work, which does `each` operations.
template <class Work>
double seconds_each(std::size_t each, const Work& work) {
  constexpr double enough = 3e-3;
  const std::clock_t start = std::clock();  // of the processor: others at work do not stretch it
  std::size_t calls = 0;
  double spent = 0.0;
  do {
    work();
    ++calls;
    spent = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  } while (spent < enough);
  return spent / count(calls * each);
}

}  // namespace

UnlimitedCost::UnlimitedCost(const Arithmetic& arithmetic, Activation activation) {
  const mpfr::ExponentRange range = mpfr::ExponentRange::widest_of_all();
  const mpfr::UnlimitedOutput fl(arithmetic.mac.format);
  std::mt19937_64 random(4);
  constexpr std::size_t terms = 256;
  std::vector<mpfr::Number> x, weights;
  for (std::size_t k = 0; k < terms; ++k) {
    const auto number = [&] {
      return fl.exactly(static_cast<double>(random() >> 40) * 0x1p-23 - 1.0);
    };
    x.push_back(fl.div(number(), fl.exactly(3.0)));  // of N bits
    weights.push_back(number());
  }
  mac_ = seconds_each(terms, [&] { static_cast<void>(fl.dot(x, weights)); });
  operation_ = seconds_each(2, [&] { static_cast<void>(fl.div(fl.add(x[0], x[1]), x[2])); });
  exp_ = seconds_each(1, [&] { static_cast<void>(fl.function(Function::exp, x[3])); });
  const Function f = mpfr::steps::function_of(activation);
  activation_ = seconds_each(1, [&] { static_cast<void>(fl.function(f, x[4])); });
}

double UnlimitedCost::site(const SiteRow& row, const ModelConfig& model, std::size_t first,
                           std::size_t rows) const {
  const double t = count(rows), so_far = count(first) + (t + 1.0) / 2.0;  // of a row, in the mean
  const double width = row.width == nullptr ? so_far : count(row.width(model));
  const auto in = [&](std::size_t k) {
    return count(input_columns(model, row, k, Head{}, first + rows).count);
  };
  switch (row.operation) {
    case Operation::embed:
    case Operation::embed_tokens:
    case Operation::residual:
    case Operation::product:
      return t * width * operation_;
    case Operation::rms_norm:
      return t * width * (mac_ + 2.0 * operation_);
    case Operation::rope:
      return t * width * (3.0 * operation_ + activation_);
    case Operation::layer_norm:
      return t * width * (2.0 * mac_ + 3.0 * operation_);
    case Operation::linear:
    case Operation::scores:
    case Operation::logits:
      return t * width * (in(0) * mac_ + operation_);
    case Operation::softmax:
      return t * width * (mac_ + exp_ + 2.0 * operation_);
    case Operation::values:
      return t * so_far * width * mac_;
    case Operation::activation:
      return t * width * activation_;
  }
  contract_violated("UnlimitedCost: a known operation");
}

namespace {

/// Numbers of a site's output in a pass over `length` tokens: of a causal site those of one head,
/// of another one those of all.
double numbers_of(const ModelConfig& model, const SiteRow& row, std::size_t length) {
  const double width = count(width_of(model, row.site, length));
  return count(length) * width * (info(row.site).causal ? 1.0 : count(heads_of(model, row.site)));
}

/// The most that is held at once besides the stream and the logits: what the sites of a part (of
/// one, or of those per head together) give, and what of the sites before is still read.
double most_held(const ModelConfig& model, std::size_t length) {
  const std::span<const SiteRow> rows = model.network->sites;
  double most = 0.0;
  for (std::size_t at = 0, end = 0; at < rows.size(); at = end) {
    end = at + (info(rows[at].site).per_head
                    ? same_grain(rows.subspan(at), &SiteInfo::per_head).size()
                    : 1);
    double held = 0.0;
    for (const SiteRow& row : rows.first(end))
      if (!makes_stream(row.operation) && row.operation != Operation::logits &&
          (&row >= &rows[at] || reads(rows.subspan(at), row.site)))
        held += numbers_of(model, row, length);
    most = std::max(most, held);
  }
  return most;
}

}  // namespace

double unlimited_bytes(const Arithmetic& arithmetic, const ModelConfig& model, std::size_t length) {
  constexpr double limb_bits = 64.0, owner = sizeof(mpfr::Number) + 16.0;  // and the allocator's
  const double number = owner + 8.0 * std::ceil(arithmetic.mac.format.p / limb_bits);
  const double t = count(length), d = count(model.n_embd);
  double kept = 0.0;
  for (const KeptColumns& part : kept_columns(model))
    kept += t * count(part.columns.count) * count(layers_of(model, part.site));
  const double streams = 2.0 * t * d;  // and the next one, made from it
  const double logits = d * t + count(std::min(logit_rows, length) * model.vocab_size);
  return (kept + streams + std::max(most_held(model, length), logits)) * number;
}

}  // namespace lamp::experiments
