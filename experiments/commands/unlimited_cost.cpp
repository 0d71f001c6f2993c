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
  const Function gelu = mpfr::steps::gelu_function(activation);
  gelu_ = seconds_each(1, [&] { static_cast<void>(fl.function(gelu, x[4])); });
}

double UnlimitedCost::site(Site site, const ModelConfig& model, std::size_t first,
                           std::size_t rows) const {
  const double t = count(rows), d = count(model.n_embd), inner = count(model.n_inner),
               head = count(model.d_head());
  const double entries = t * (count(first) + (t + 1.0) / 2.0);  // causal
  const auto linear = [&](double in, double out) { return t * out * (in * mac_ + operation_); };
  switch (site) {
    case Site::embed:
    case Site::resid_1:
    case Site::resid_2:
      return t * d * operation_;
    case Site::ln_1:
    case Site::ln_2:
    case Site::ln_f:
      return t * d * (2.0 * mac_ + 3.0 * operation_);
    case Site::qkv:
      return linear(d, 3.0 * d);
    case Site::scores:
      return entries * (head * mac_ + operation_);
    case Site::softmax:
      return entries * (mac_ + exp_ + 2.0 * operation_);
    case Site::values:
      return entries * head * mac_;
    case Site::attn_proj:
      return linear(d, d);
    case Site::mlp_fc:
      return linear(d, inner);
    case Site::gelu:
      return t * inner * gelu_;
    case Site::mlp_proj:
      return linear(inner, d);
    case Site::logits:
      return linear(d, count(model.vocab_size));
  }
  contract_violated("UnlimitedCost: a site of the table");
}

double unlimited_bytes(const Arithmetic& arithmetic, const ModelConfig& model, std::size_t length) {
  constexpr double limb_bits = 64.0, owner = sizeof(mpfr::Number) + 16.0;  // and the allocator's
  const double number = owner + 8.0 * std::ceil(arithmetic.mac.format.p / limb_bits);
  const double t = count(length), d = count(model.n_embd);
  const double kept =
      t * d * (2.0 * count(model.n_layer) + 2.0);  // keys and values; x, and what is added to it
  const double layer = t * std::max({4.0 * d + 2.0 * t, d + 2.0 * count(model.n_inner), 4.0 * d});
  const double logits = d * t + count(std::min(logit_rows, length) * model.vocab_size);
  return (kept + std::max(layer, logits)) * number;
}

}  // namespace lamp::experiments
