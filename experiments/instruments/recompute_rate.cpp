// How much of each selecting site a cell recomputed.
#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

#include "experiments/instruments/instrument.hpp"

namespace lamp::experiments {
namespace {

/// "recompute_rate" is that of the scores, the first site that LAMP was for.
std::string path_of_rate(Site site) {
  const std::string path = "/metrics/recompute_rate";
  return site == Site::scores ? path : path + "_" + std::string(info(site).name);
}

std::string meaning_of_rate(Site site) {
  const std::string name(info(site).name);
  return "recomputed " + name + " / " + (info(site).causal ? "causal " : "all ") + name;
}

class RecomputeRate final : public Instrument {
 public:
  explicit RecomputeRate(const Recording& recording) : recording_(recording) {
    for (const SelectionConfig& selection : recording.config.selections)
      recomputed_[selection.site] = {};
  }

  std::vector<Reading<>> readings() override {
    std::vector<Reading<>> all;
    for (const SiteRow& row : recording_.model.network->sites)  // not as the config lists them
      if (const Site site = row.site; listens(site))
        all.push_back(
            {site_quantity(recording_.model, site, path_of_rate(site), "1", meaning_of_rate(site)),
             [this, site] { return rate(site); }});
    return all;
  }

  [[nodiscard]] bool listens(Site site) const override { return recomputed_.contains(site); }

  void begin(const Reference& reference, const PrecisionPlan&, const Records&) override {
    length_ = reference.tokens.size();
    for (auto& [site, counts] : recomputed_)
      counts.assign(layers_of(recording_.model, site) * heads_of(recording_.model, site), 0);
  }

  void selected(const TapPoint& point, std::span<const std::uint8_t> marks) override {
    recomputed_.at(point.site)[part_of(recording_.model, point)] +=
        static_cast<std::uint64_t>(std::count(marks.begin(), marks.end(), 1));
  }

 private:
  /// Of the components of one layer and head.
  [[nodiscard]] std::vector<double> rate(Site site) const {
    const std::size_t all = info(site).causal ? length_ * (length_ + 1) / 2
                                              : length_ * width_of(recording_.model, site, length_);
    std::vector<double> rate;
    for (const std::uint64_t count : recomputed_.at(site))
      rate.push_back(static_cast<double>(count) / static_cast<double>(all));
    return rate;
  }

  Recording recording_;
  std::size_t length_ = 0;                                 // of the sequence
  std::map<Site, std::vector<std::uint64_t>> recomputed_;  // (layer, head)
};

}  // namespace

std::unique_ptr<Instrument> recompute_rate(const Recording& recording) {
  return recording.config.selections.empty() ? nullptr : std::make_unique<RecomputeRate>(recording);
}

}  // namespace lamp::experiments
