// An instrument as one file, by the recipe of experiments/README.md: the largest absolute value of
// each site's output in each layer.
#include <algorithm>
#include <cmath>

#include "experiments/instruments/instrument.hpp"

namespace lamp::experiments {
namespace {

class Largest final : public Instrument {
 public:
  explicit Largest(const Recording& recording)  // a network may be without layers
      : layers_(std::max<std::size_t>(recording.model.n_layer, 1)) {}

  std::vector<Reading<>> readings() override {
    return {{{.path = "/toy/largest",
              .dims = {"site", "layer"},
              .shape = {sites.size(), layers_},
              .units = "1",
              .long_name = "largest absolute value of a site's output; 0 in layers without it"},
             [this] { return largest_; }}};
  }

  [[nodiscard]] bool listens(Site) const override { return true; }

  void begin(const Reference&, const PrecisionPlan&, const Records&) override {
    largest_.assign(sites.size() * layers_, 0.0);
  }

  void values(const TapPoint& point, MatrixView<const double> x) override {
    const SiteInfo& site = info(point.site);
    double& largest =
        largest_[static_cast<std::size_t>(&site - sites.data()) * layers_ + point.layer.value];
    for (std::size_t i = 0; i < x.rows; ++i)
      for (const double value : x.row(i).first(site.causal ? point.first_row + i + 1 : x.cols))
        largest = std::max(largest, std::abs(value));
  }

 private:
  std::size_t layers_;
  std::vector<double> largest_;  // (site, layer)
};

}  // namespace

std::unique_ptr<Instrument> largest(const Recording& recording) {
  return std::make_unique<Largest>(recording);
}

}  // namespace lamp::experiments
