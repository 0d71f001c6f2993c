// Greedy continuations: how every cell, and the reference once a sequence, goes on from the first
// tokens.
#include <algorithm>
#include <cstdint>
#include <string>

#include "analysis/metrics.hpp"
#include "core/model/greedy.hpp"
#include "experiments/instruments/instrument.hpp"

namespace lamp::experiments {
namespace {

class Continuation final : public Instrument {
 public:
  explicit Continuation(const ContinuationConfig& asked) : asked_(asked) {}

  std::vector<Reading<>> readings() override {
    return {{{.path = "/metrics/divergence_position",
              .dims = {},
              .shape = {},
              .units = "1",
              .long_name =
                  "first generated position, from 0, whose token differs from the reference's; " +
                  std::to_string(asked_.tokens) + ", their number, where none does"},
             [this] {
               return std::vector{static_cast<double>(
                   divergence_position(run_, reference_->continuation, asked_.tokens))};
             }},
            {tokens_quantity("run", "the run's"), [this] { return padded(run_, asked_.tokens); }}};
  }

  [[nodiscard]] std::vector<Reading<Reference>> reference_readings() const override {
    return {{tokens_quantity("reference", "the reference's"),
             [tokens = asked_.tokens](const Reference& reference) {
               return padded(reference.continuation, tokens);
             }}};
  }

  void begin(const Reference& reference, const PrecisionPlan&, const Records&) override {
    reference_ = &reference;
  }
  void end(const Pass& pass) override { run_ = generated(pass); }
  void end_reference(const Pass& pass, Reference& reference) const override {
    reference.continuation = generated(pass);
  }

 private:
  /// Each plan reads what it generated itself.
  [[nodiscard]] std::vector<TokenId> generated(const Pass& pass) const {
    const std::size_t prompt = std::min(asked_.prefix, pass.tokens.size());
    return greedy_continuation(pass.model, pass.tokens.first(prompt), asked_.tokens, pass.plan,
                               pass.options, pass.workspace);
  }

  [[nodiscard]] record::Quantity tokens_quantity(const std::string& name,
                                                 const std::string& whose) const {
    return {.path = "/continuations/" + name,
            .dims = {"position"},
            .shape = {asked_.tokens},
            .units = "1",
            .long_name =
                "token ids of " + whose + " greedy continuation; -1 from where a logit was NaN"};
  }

  /// Signed, so that -1 can stand for no token.
  static std::vector<std::int64_t> padded(std::span<const TokenId> tokens, std::size_t count) {
    std::vector<std::int64_t> values(count, -1);
    std::copy(tokens.begin(), tokens.end(), values.begin());
    return values;
  }

  ContinuationConfig asked_;
  const Reference* reference_ = nullptr;
  std::vector<TokenId> run_;
};

}  // namespace

std::unique_ptr<Instrument> continuation(const Recording& recording) {
  const std::optional<ContinuationConfig>& asked = recording.config.continuation;
  return asked ? std::make_unique<Continuation>(*asked) : nullptr;
}

}  // namespace lamp::experiments
