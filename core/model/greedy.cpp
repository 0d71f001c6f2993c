#include "core/model/greedy.hpp"

#include <cmath>

namespace lamp {
namespace {

/// Keeps the most probable token after the last row.
class LastArgmax final : public TapSink {
 public:
  void values(const TapPoint& point, MatrixView<const double> x) override {
    if (point.site == Site::logits) token = most_probable(x.row(x.rows - 1));
  }
  void selected(const TapPoint&, std::span<const std::uint8_t>) override {}

  std::optional<TokenId> token;
};

}  // namespace

std::optional<TokenId> most_probable(std::span<const double> logits) {
  expects(!logits.empty(), "most_probable: at least one logit");
  std::size_t best = 0;
  for (std::size_t v = 0; v < logits.size(); ++v) {
    if (std::isnan(logits[v])) return std::nullopt;
    if (logits[v] > logits[best]) best = v;
  }
  return static_cast<TokenId>(best);
}

std::vector<TokenId> greedy_continuation(const Model& model, std::span<const TokenId> prefix,
                                         std::size_t count, const PrecisionPlan& plan,
                                         const PassOptions& options, Workspace& workspace) {
  std::vector<TokenId> tokens;
  if (count == 0) return tokens;
  PassOptions last_row = options;
  last_row.first_logits = prefix.size() - 1;
  EarlierRows earlier(model.config, prefix.size() + count);
  LastArgmax sink;
  for (forward_from(model, earlier, prefix, plan, last_row, sink, workspace); sink.token;
       forward_from(model, earlier, {&tokens.back(), 1}, plan, last_row, sink, workspace)) {
    tokens.push_back(*sink.token);
    if (tokens.size() == count) break;
  }
  return tokens;
}

}  // namespace lamp
