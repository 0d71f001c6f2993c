#include "analysis/truth/passes.hpp"

#include <algorithm>
#include <atomic>

#include "core/base/side_by_side.hpp"

namespace lamp::truth {
namespace {

/// The KL of a pass, position by position.
class KlOfPass final : public TapSink {
 public:
  explicit KlOfPass(const ReferenceDistribution& target) : target_(target) {
    positions_.resize(target.positions());
  }
  void values(const TapPoint& point, MatrixView<const double> x) override {
    if (point.site == Site::logits) compare(target_, point.first_row, x, positions_, scratch_);
  }
  void selected(const TapPoint&, std::span<const std::uint8_t>) override {}
  [[nodiscard]] double mean_kl() const { return mean(positions_.kl); }

 private:
  const ReferenceDistribution& target_;
  PositionMetrics positions_;
  MetricsScratch scratch_{};
};

}  // namespace

std::vector<double> kl_of_passes(const Question& question, const ReferenceDistribution& target,
                                 std::span<const PrecisionPlan> plans, std::size_t threads,
                                 const std::function<bool()>& stop) {
  std::vector<double> found(plans.size());
  std::vector<Workspace> workspaces(std::max<std::size_t>(threads, 1));
  std::atomic<bool> stopped = false;
  side_by_side(std::span(workspaces), plans.size(), [&](Workspace& workspace, std::size_t i) {
    if (stop && stop()) {
      stopped = true;
      return false;
    }
    KlOfPass kl(target);
    forward(question.model, question.tokens, plans[i], question.options, kl, workspace);
    found[i] = kl.mean_kl();
    return true;
  });
  if (stopped) found.clear();
  return found;
}

PrecisionPlan with_low_scores(const Question& q) {
  PrecisionPlan plan = q.reference;
  for (std::size_t l = 0; l < layers_of(q.model.config, q.site); ++l)
    for (std::size_t h = 0; h < heads_of(q.model.config, q.site); ++h)
      plan.set({.site = q.site, .layer = Layer{l}, .head = Head{h}},
               q.low.at(q.site, Layer{l}, Head{h}));
  return plan;
}

PrecisionPlan with_sets(const Question& q, const GivenSets& recomputed) {
  PrecisionPlan plan = with_low_scores(q);
  plan.select(q.site, {.spec = {.rule = &given_sets, .given = &recomputed}, .recompute = q.high});
  return plan;
}

}  // namespace lamp::truth
