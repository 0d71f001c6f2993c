// How much of each head's scores a cell recomputed.
#include <algorithm>
#include <cstdint>

#include "experiments/instruments/instrument.hpp"

namespace lamp::experiments {
namespace {

class RecomputeRate final : public Instrument {
 public:
  explicit RecomputeRate(const Recording& recording) : recording_(recording) {}

  std::vector<Reading<>> readings() override {
    return {{{.path = "/metrics/recompute_rate",
              .dims = {"layer", "head"},
              .shape = {recording_.model.n_layer, recording_.model.n_head},
              .units = "1",
              .long_name = "recomputed scores / causal scores"},
             [this] { return rate(); }}};
  }

  [[nodiscard]] bool listens(Site site) const override { return site == Site::scores; }

  void begin(const Reference&, const PrecisionPlan&, bool) override {
    recomputed_.assign(recording_.model.n_layer * recording_.model.n_head, 0);
  }

  void selected(const TapPoint& point, std::span<const std::uint8_t> marks) override {
    recomputed_[point.layer.value * recording_.model.n_head + point.head.value] +=
        static_cast<std::uint64_t>(std::count(marks.begin(), marks.end(), 1));
  }

 private:
  [[nodiscard]] std::vector<double> rate() const {
    const std::size_t length = recording_.sequence_length();
    const double causal = static_cast<double>(length * (length + 1) / 2);
    std::vector<double> rate;
    for (const std::uint64_t count : recomputed_)
      rate.push_back(static_cast<double>(count) / causal);
    return rate;
  }

  Recording recording_;
  std::vector<std::uint64_t> recomputed_;  // (layer, head)
};

}  // namespace

std::unique_ptr<Instrument> recompute_rate(const Recording& recording) {
  const std::vector<SelectionConfig>& selections = recording.config.selections;
  const bool selects = std::any_of(selections.begin(), selections.end(),
                                   [](const SelectionConfig& s) { return s.site == Site::scores; });
  return selects ? std::make_unique<RecomputeRate>(recording) : nullptr;
}

}  // namespace lamp::experiments
