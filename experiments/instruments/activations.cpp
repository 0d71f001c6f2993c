// Whole activations of the sites of record.activations, of runs and reference.
#include <algorithm>

#include "experiments/instruments/instrument.hpp"

namespace lamp::experiments {
namespace {

class Activations final : public Instrument {
 public:
  explicit Activations(const Recording& recording) : recording_(recording) {}

  std::vector<Reading<>> readings() override {
    std::vector<Reading<>> all;
    for (const Site site : recording_.config.record_activations)
      all.push_back({quantity(site, "run", "values of the run"),
                     [this, site] { return run_.at(site).flat(); }});
    return all;
  }

  [[nodiscard]] std::vector<Reading<Reference>> reference_readings() const override {
    std::vector<Reading<Reference>> all;
    for (const Site site : recording_.config.record_activations)
      all.push_back(
          {quantity(site, "reference", "values of the reference"),
           [site](const Reference& reference) { return reference.sites.at(site).flat(); }});
    return all;
  }

  [[nodiscard]] bool listens(Site site) const override {
    const std::vector<Site>& asked = recording_.config.record_activations;
    return std::find(asked.begin(), asked.end(), site) != asked.end();
  }
  [[nodiscard]] bool needs_reference(Site site) const override { return listens(site); }

  void begin(const Reference&, const PrecisionPlan&, const Records&) override {
    run_.clear();
    for (const Site site : recording_.config.record_activations)
      run_.insert({site, SiteValues(recording_.model, site, recording_.sequence_length())});
  }

  void values(const TapPoint& point, MatrixView<const double> x) override {
    run_.at(point.site).put(point, x);
  }

 private:
  [[nodiscard]] record::Quantity quantity(Site site, const std::string& name,
                                          const std::string& long_name) const {
    return whole_site_quantity(recording_.model, site, recording_.sequence_length(),
                               "/activations/" + std::string(info(site).name) + "/" + name,
                               long_name);
  }

  Recording recording_;
  SiteValuesMap run_;
};

}  // namespace

std::unique_ptr<Instrument> activations(const Recording& recording) {
  return recording.config.record_activations.empty() ? nullptr
                                                     : std::make_unique<Activations>(recording);
}

}  // namespace lamp::experiments
