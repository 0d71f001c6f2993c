// Forward selection: which score helps most beside those that are recomputed already.
#include "analysis/truth/forward.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <utility>

#include "analysis/not_finite.hpp"
#include "experiments/instruments/truth/part.hpp"

namespace lamp::experiments {
namespace {

class ForwardTruth final : public TruthPart {
 public:
  using TruthPart::TruthPart;

  void add_readings(std::vector<Reading<>>& all) override {
    const std::string none = "; NaN where no score is left that makes it a number";
    all.push_back({of_steps("kl", "nat",
                            "KL(reference || run) with the scores of this step and of those before "
                            "recomputed, all others low" +
                                none),
                   [this] { return kl_; }});
    all.push_back({of_steps("single_kl", "nat",
                            "KL(reference || run) with as many scores recomputed, the first by "
                            "the ranking of the first step" +
                                none),
                   [this] { return single_kl_; }});
    for (std::size_t c = 0; c < coordinates.size(); ++c)
      all.push_back(
          {of_steps(std::string("chosen_") + coordinates[c], "1",
                    std::string(coordinates[c]) + " of the score of this step; 0 where kl is NaN"),
           [this, c] { return chosen_[c]; }});
  }

  [[nodiscard]] std::vector<record::Axis> axes() const override {
    std::vector<std::int64_t> steps(asked.forward);
    std::iota(steps.begin(), steps.end(), 1);
    return {{.name = "step", .values = std::move(steps), .long_name = "scores recomputed"}};
  }

  void clear() override {
    kl_.clear(), single_kl_.clear();
    for (std::vector<std::uint32_t>& values : chosen_) values.clear();
  }

  bool evaluate(TruthOfCell& cell) override {
    const std::optional<truth::ForwardSelection> found =
        truth::forward_selection(cell.question, cell.exact, cell.rows, asked.forward,
                                 cell.pass.options.threads, truth_is_stopped);
    if (!found) return false;
    kl_.assign(asked.forward, not_a_number), single_kl_.assign(asked.forward, not_a_number);
    for (std::vector<std::uint32_t>& values : chosen_) values.assign(asked.forward, 0);
    for (std::size_t k = 0; k < found->steps.size(); ++k) {
      const truth::Step& step = found->steps[k];
      kl_[k] = step.kl;
      const std::array at{step.row.layer.value, step.row.head.value, step.row.query,
                          std::size_t{step.key}};
      for (std::size_t c = 0; c < at.size(); ++c) chosen_[c][k] = static_cast<std::uint32_t>(at[c]);
    }
    std::copy(found->single_kl.begin(), found->single_kl.end(), single_kl_.begin());
    return true;
  }

 private:
  static constexpr std::array coordinates{"layer", "head", "query", "key"};

  [[nodiscard]] record::Quantity of_steps(const std::string& name, std::string units,
                                          std::string long_name) const {
    record::Quantity q = quantity("/truth/forward/" + name, std::move(units), std::move(long_name));
    q.dims = {"step"}, q.shape = {asked.forward};
    return q;
  }

  std::vector<double> kl_, single_kl_;
  std::array<std::vector<std::uint32_t>, coordinates.size()> chosen_;
};

}  // namespace

std::unique_ptr<TruthPart> forward_truth(const Recording& recording) {
  return recording.config.truth->forward > 0 ? std::make_unique<ForwardTruth>(recording) : nullptr;
}

}  // namespace lamp::experiments
